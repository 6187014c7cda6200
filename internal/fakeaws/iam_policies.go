package fakeaws

import (
	"encoding/json"
	"slices"
	"strings"
)

const (
	maxAttached     = 10 // managed policies of one user, group or role
	maxPolicyName   = 128
	pathOfAWSPolicy = "arn:aws:iam::aws:policy/"
)

// policies are what hangs on a user, group or role.
type policies struct {
	inline   []inlinePolicy // by name
	attached []string       // ARNs, sorted
}

type inlinePolicy struct{ name, document string }

// mustBeNone refuses the deletion of what still has policies.
func (p policies) mustBeNone() error {
	switch {
	case len(p.inline) > 0:
		return errDeleteConflict("delete policies")
	case len(p.attached) > 0:
		return errDeleteConflict("detach all policies")
	}
	return nil
}

// policyAction is an action that exists for users, groups and roles alike.
type policyAction func(c *call, of *entity, p *policies) (any, error)

func onUser(do policyAction) action {
	return func(c *call) (any, error) {
		u, err := c.namedUser()
		if err != nil {
			return nil, err
		}
		return do(c, &u.entity, &u.policies)
	}
}

func onGroup(do policyAction) action {
	return func(c *call) (any, error) {
		g, err := c.namedGroup()
		if err != nil {
			return nil, err
		}
		return do(c, &g.entity, &g.policies)
	}
}

func onRole(do policyAction) action {
	return func(c *call) (any, error) {
		r, err := c.namedRole()
		if err != nil {
			return nil, err
		}
		return do(c, &r.entity, &r.policies)
	}
}

// policyARN reads the ARN of a managed policy, of AWS or of the own account.
func (c *call) policyARN(field string) (string, error) {
	arn := c.params.get(field)
	for _, prefix := range []string{pathOfAWSPolicy, "arn:aws:iam::" + c.account.id + ":policy/"} {
		if name, ok := strings.CutPrefix(arn, prefix); ok && checkName(field, afterSlash(name), maxPolicyName) == nil {
			return arn, nil
		}
	}
	return "", errInvalidInput("ARN " + arn + " is not valid.")
}

func afterSlash(arn string) string { return arn[strings.LastIndexByte(arn, '/')+1:] }

func attachPolicy(c *call, _ *entity, p *policies) (any, error) {
	arn, err := c.policyARN("PolicyArn")
	if err != nil {
		return nil, err
	}
	i, found := slices.BinarySearch(p.attached, arn)
	switch {
	case found:
		return nil, nil
	case len(p.attached) >= maxAttached:
		return nil, errQuota("AttachedPolicies", maxAttached)
	}
	p.attached = slices.Insert(p.attached, i, arn)
	return nil, nil
}

func detachPolicy(c *call, _ *entity, p *policies) (any, error) {
	arn := c.params.get("PolicyArn")
	i, found := slices.BinarySearch(p.attached, arn)
	if !found {
		return nil, errNoSuchEntity("Policy %s was not found.", arn)
	}
	p.attached = slices.Delete(p.attached, i, i+1)
	return nil, nil
}

type listAttachedResult struct {
	AttachedPolicies *list[xmlAttachedPolicy]
	page
}

func listAttachedPolicies(c *call, _ *entity, p *policies) (any, error) {
	arns, page, err := paginate(c, p.attached, func(arn string) string { return arn })
	if err != nil {
		return nil, err
	}
	return listAttachedResult{listOf(arns, attachedXML), page}, nil
}

func attachedXML(arn string) xmlAttachedPolicy {
	return xmlAttachedPolicy{PolicyName: afterSlash(arn), PolicyArn: arn}
}

// inlineNamed tells where the inline policy PolicyName is, or belongs.
func (c *call) inlineNamed(p *policies) (i int, found bool, err error) {
	name, err := c.params.name("PolicyName", maxPolicyName)
	if err != nil {
		return 0, false, err
	}
	i, found = slices.BinarySearchFunc(p.inline, name, func(p inlinePolicy, name string) int {
		return strings.Compare(p.name, name)
	})
	return i, found, nil
}

// existingInline is inlineNamed for a policy that must be there.
func (c *call) existingInline(of *entity, p *policies) (int, error) {
	i, found, err := c.inlineNamed(p)
	if err == nil && !found {
		err = errNoSuchEntity("The %s policy with name %s cannot be found.", of.kind, c.params.get("PolicyName"))
	}
	return i, err
}

func putPolicy(c *call, _ *entity, p *policies) (any, error) {
	i, found, err := c.inlineNamed(p)
	if err != nil {
		return nil, err
	}
	document := c.params.get("PolicyDocument")
	var policy struct{ Statement json.RawMessage }
	if json.Unmarshal([]byte(document), &policy) != nil || policy.Statement == nil {
		return nil, errMalformedPolicy("Syntax errors in policy.")
	}
	if !found {
		p.inline = slices.Insert(p.inline, i, inlinePolicy{})
	}
	p.inline[i] = inlinePolicy{name: c.params.get("PolicyName"), document: document}
	return nil, nil
}

type getPolicyResult struct {
	UserName  string `xml:",omitempty"`
	GroupName string `xml:",omitempty"`
	RoleName  string `xml:",omitempty"`
	xmlPolicy
}

func getPolicy(c *call, of *entity, p *policies) (any, error) {
	i, err := c.existingInline(of, p)
	if err != nil {
		return nil, err
	}
	result := getPolicyResult{xmlPolicy: inlineXML(p.inline[i])}
	switch of.kind {
	case "user":
		result.UserName = of.name
	case "group":
		result.GroupName = of.name
	default:
		result.RoleName = of.name
	}
	return result, nil
}

func inlineXML(p inlinePolicy) xmlPolicy {
	return xmlPolicy{PolicyName: p.name, PolicyDocument: escapeDocument(p.document)}
}

func deletePolicy(c *call, of *entity, p *policies) (any, error) {
	i, err := c.existingInline(of, p)
	if err != nil {
		return nil, err
	}
	p.inline = slices.Delete(p.inline, i, i+1)
	return nil, nil
}

type listPoliciesResult struct {
	PolicyNames *list[string]
	page
}

func listPolicies(c *call, _ *entity, p *policies) (any, error) {
	name := func(p inlinePolicy) string { return p.name }
	found, page, err := paginate(c, p.inline, name)
	if err != nil {
		return nil, err
	}
	return listPoliciesResult{listOf(found, name), page}, nil
}
