package fakeaws

import (
	"maps"
	"slices"
	"strings"
	"time"
)

const accessPolicyPrefix = "arn:aws:eks::aws:cluster-access-policy/"

// association ties an access policy to an access entry.
type association struct {
	scope                accessScope
	associated, modified time.Time
}

type accessScope struct {
	Type       string   `json:"type"`
	Namespaces []string `json:"namespaces"`
}

type associationJSON struct {
	PolicyARN    string      `json:"policyArn"`
	AccessScope  accessScope `json:"accessScope"`
	AssociatedAt seconds     `json:"associatedAt"`
	ModifiedAt   seconds     `json:"modifiedAt"`
}

func (a *association) show(policy string) associationJSON {
	scope := accessScope{a.scope.Type, append([]string{}, a.scope.Namespaces...)}
	return associationJSON{policy, scope, seconds(a.associated), seconds(a.modified)}
}

type associateAccessPolicyResult struct {
	ClusterName  string          `json:"clusterName"`
	PrincipalARN string          `json:"principalArn"`
	Policy       associationJSON `json:"associatedAccessPolicy"`
}

// associateAccessPolicy also changes the scope of a policy that is associated
// already. The policies that AWS offers are known by their names' form.
func associateAccessPolicy(c *restCall) (any, error) {
	k, e, err := c.entry()
	if err != nil {
		return nil, err
	}
	var in struct {
		PolicyARN   string      `json:"policyArn"`
		AccessScope accessScope `json:"accessScope"`
	}
	if err := c.read(&in); err != nil {
		return nil, err
	}
	name, known := strings.CutPrefix(in.PolicyARN, accessPolicyPrefix)
	switch {
	case !known || !strings.HasPrefix(name, "AmazonEKS") || !strings.HasSuffix(name, "Policy"):
		return nil, errInvalidParameterException("The specified policyArn is not valid: %s", in.PolicyARN)
	case e.kind != "STANDARD":
		return nil, errNotStandard()
	case in.AccessScope.Type == "cluster" && len(in.AccessScope.Namespaces) > 0,
		in.AccessScope.Type == "namespace" && len(in.AccessScope.Namespaces) == 0,
		in.AccessScope.Type != "cluster" && in.AccessScope.Type != "namespace":
		return nil, errInvalidParameterException("The accessScope is not valid")
	}
	a := &association{scope: in.AccessScope, associated: c.now, modified: c.now}
	if before := e.policies[in.PolicyARN]; before != nil {
		a.associated = before.associated
	}
	e.policies[in.PolicyARN] = a
	return associateAccessPolicyResult{k.name, e.principal, a.show(in.PolicyARN)}, nil
}

type listAssociatedAccessPoliciesResult struct {
	ClusterName  string            `json:"clusterName"`
	PrincipalARN string            `json:"principalArn"`
	Policies     []associationJSON `json:"associatedAccessPolicies"`
	NextToken    *string           `json:"nextToken,omitempty"`
}

func listAssociatedAccessPolicies(c *restCall) (any, error) {
	k, e, err := c.entry()
	if err != nil {
		return nil, err
	}
	arns, next, err := c.page(slices.Sorted(maps.Keys(e.policies)), maxEKSPage)
	if err != nil {
		return nil, err
	}
	result := listAssociatedAccessPoliciesResult{k.name, e.principal, []associationJSON{}, next}
	for _, arn := range arns {
		result.Policies = append(result.Policies, e.policies[arn].show(arn))
	}
	return result, nil
}

func disassociateAccessPolicy(c *restCall) (any, error) {
	_, e, err := c.entry()
	if err != nil {
		return nil, err
	}
	if e.policies[c.labels[2]] == nil {
		return nil, errResourceNotFound("The specified policyArn is not associated with the specified principalArn.")
	}
	delete(e.policies, c.labels[2])
	return struct{}{}, nil
}
