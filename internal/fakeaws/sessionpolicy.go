package fakeaws

import (
	"encoding/json"
	"fmt"
	"slices"
)

const maxSessionPolicy = 2048

// sessionPolicy is the policy that was passed when a session was begun. Of its
// statements the actions are looked at: an Allow counts only for every resource
// and without conditions, a Deny whatever else it says.
type sessionPolicy struct{ Statement oneOrMany[sessionStatement] }

type sessionStatement struct {
	Effect    string
	Action    oneOrMany[string]
	NotAction oneOrMany[string]
	Resource  oneOrMany[string]
	Condition json.RawMessage
}

func (s sessionStatement) names(action string) bool {
	matches := func(pattern string) bool { return likeAction(action, pattern) }
	if len(s.Action) > 0 {
		return slices.ContainsFunc(s.Action, matches)
	}
	return len(s.NotAction) > 0 && !slices.ContainsFunc(s.NotAction, matches)
}

// refusal says why the policy does not let an action through, nil if it does.
func (p *sessionPolicy) refusal(who *identity, action string) error {
	allowed := false
	for _, s := range p.Statement {
		switch {
		case !s.names(action):
		case s.Effect == "Deny":
			return errDenied("User: %s is not authorized to perform: %s with an explicit deny in a session policy", who.arn(who.account.id), action)
		case slices.Contains(s.Resource, "*") && len(s.Condition) == 0:
			allowed = true
		}
	}
	if !allowed {
		return errDenied("User: %s is not authorized to perform: %s because no session policy allows the %s action", who.arn(who.account.id), action, action)
	}
	return nil
}

// sessionPolicy reads Policy, nil if there is none.
func (c *call) sessionPolicy() (*sessionPolicy, error) {
	if c.params.has("PolicyArns.member.1.arn") {
		return nil, errValidation("This emulator knows no managed policies: give the session policy in Policy.")
	}
	document := c.params.get("Policy")
	if !c.params.has("Policy") {
		return nil, nil
	}
	if len(document) > maxSessionPolicy {
		return nil, errConstraint("policy", fmt.Sprintf("Member must have length less than or equal to %d", maxSessionPolicy))
	}
	var p sessionPolicy
	if json.Unmarshal([]byte(document), &p) != nil || len(p.Statement) == 0 {
		return nil, errMalformedPolicy("Syntax errors in policy.")
	}
	for _, s := range p.Statement {
		if s.Effect != "Allow" && s.Effect != "Deny" || len(s.Action)+len(s.NotAction) == 0 || len(s.Resource) == 0 {
			return nil, errMalformedPolicy("Syntax errors in policy.")
		}
	}
	return &p, nil
}

// authorize refuses what the caller's session policy does not allow. Whoever
// signs may ask who they are, whatever policies say.
func (c *call) authorize(action string) error {
	if c.caller == nil || c.caller.policy == nil || action == "sts:GetCallerIdentity" {
		return nil
	}
	return c.caller.policy.refusal(c.caller, action)
}
