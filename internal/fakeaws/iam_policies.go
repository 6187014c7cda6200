package fakeaws

import (
	"encoding/json"
	"slices"
	"strings"
)

// policyARN reads the ARN of a managed policy, of AWS or of the own account.
func (c *call) policyARN(field string) (string, error) {
	arn := c.params.get(field)
	for _, owner := range []string{"aws", c.account.id} {
		if name, ok := strings.CutPrefix(arn, "arn:aws:iam::"+owner+":policy/"); ok && checkName(field, policyName(name), 128) == nil {
			return arn, nil
		}
	}
	return "", errInvalidInput("ARN " + arn + " is not valid.")
}

// policyName is what follows the last slash.
func policyName(arn string) string { return arn[strings.LastIndexByte(arn, '/')+1:] }

func attachUserPolicy(c *call) (any, error) {
	u, err := c.namedUser()
	if err != nil {
		return nil, err
	}
	arn, err := c.policyARN("PolicyArn")
	if err != nil {
		return nil, err
	}
	i, found := slices.BinarySearch(u.attached, arn)
	switch {
	case found:
		return nil, nil
	case len(u.attached) >= maxPoliciesOfUser:
		return nil, errQuota("PoliciesPerUser", maxPoliciesOfUser)
	}
	u.attached = slices.Insert(u.attached, i, arn)
	return nil, nil
}

func detachUserPolicy(c *call) (any, error) {
	u, err := c.namedUser()
	if err != nil {
		return nil, err
	}
	arn := c.params.get("PolicyArn")
	i, found := slices.BinarySearch(u.attached, arn)
	if !found {
		return nil, errNoSuchEntity("Policy %s was not found.", arn)
	}
	u.attached = slices.Delete(u.attached, i, i+1)
	return nil, nil
}

type listAttachedUserPoliciesResult struct {
	AttachedPolicies *list[xmlAttachedPolicy]
	page
}

func listAttachedUserPolicies(c *call) (any, error) {
	u, err := c.namedUser()
	if err != nil {
		return nil, err
	}
	arns, p, err := paginate(c, u.attached, func(arn string) string { return arn })
	if err != nil {
		return nil, err
	}
	return listAttachedUserPoliciesResult{listOf(arns, attachedXML), p}, nil
}

func attachedXML(arn string) xmlAttachedPolicy {
	return xmlAttachedPolicy{PolicyName: policyName(arn), PolicyArn: arn}
}

// inlineNamed tells where in the user's inline policies PolicyName is or belongs.
func (c *call) inlineNamed() (u *user, i int, found bool, err error) {
	if u, err = c.namedUser(); err != nil {
		return nil, 0, false, err
	}
	name, err := c.params.name("PolicyName", 128)
	if err != nil {
		return nil, 0, false, err
	}
	i, found = slices.BinarySearchFunc(u.inline, name, func(p inlinePolicy, name string) int {
		return strings.Compare(p.name, name)
	})
	return u, i, found, nil
}

func putUserPolicy(c *call) (any, error) {
	u, i, found, err := c.inlineNamed()
	if err != nil {
		return nil, err
	}
	document := c.params.get("PolicyDocument")
	var policy struct{ Statement json.RawMessage }
	if json.Unmarshal([]byte(document), &policy) != nil || policy.Statement == nil {
		return nil, errMalformedPolicy("Syntax errors in policy.")
	}
	if !found {
		u.inline = slices.Insert(u.inline, i, inlinePolicy{})
	}
	u.inline[i] = inlinePolicy{name: c.params.get("PolicyName"), document: document}
	return nil, nil
}

type getUserPolicyResult struct {
	UserName string
	xmlPolicy
}

func getUserPolicy(c *call) (any, error) {
	u, i, found, err := c.inlineNamed()
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, c.noInline()
	}
	return getUserPolicyResult{u.name, inlineXML(u.inline[i])}, nil
}

func (c *call) noInline() error {
	return errNoSuchEntity("The user policy with name %s cannot be found.", c.params.get("PolicyName"))
}

func inlineXML(p inlinePolicy) xmlPolicy {
	return xmlPolicy{PolicyName: p.name, PolicyDocument: escapeDocument(p.document)}
}

func deleteUserPolicy(c *call) (any, error) {
	u, i, found, err := c.inlineNamed()
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, c.noInline()
	}
	u.inline = slices.Delete(u.inline, i, i+1)
	return nil, nil
}

type listUserPoliciesResult struct {
	PolicyNames *list[string]
	page
}

func listUserPolicies(c *call) (any, error) {
	u, err := c.namedUser()
	if err != nil {
		return nil, err
	}
	name := func(p inlinePolicy) string { return p.name }
	policies, p, err := paginate(c, u.inline, name)
	if err != nil {
		return nil, err
	}
	return listUserPoliciesResult{listOf(policies, name), p}, nil
}
