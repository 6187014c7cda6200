package fakeaws

import (
	"encoding/json"
	"slices"
)

// trustPolicy is the part of a role's trust policy that is understood: AWS
// principals, the action sts:AssumeRole, and conditions that compare
// sts:ExternalId. A statement with another condition never allows and, if it
// denies, always denies.
type trustPolicy struct{ Statement oneOrMany[trustStatement] }

type trustStatement struct {
	Effect    string
	Principal trustPrincipal
	Action    oneOrMany[string]
	Condition map[string]map[string]oneOrMany[string]
}

// trustPrincipal is "*" or lists by type, such as AWS.
type trustPrincipal map[string]oneOrMany[string]

// UnmarshalJSON accepts both forms.
func (p *trustPrincipal) UnmarshalJSON(b []byte) error {
	var all string
	if json.Unmarshal(b, &all) == nil {
		*p = trustPrincipal{"AWS": {all}}
		return nil
	}
	return json.Unmarshal(b, (*map[string]oneOrMany[string])(p))
}

// oneOrMany is a list that may be written as its only element.
type oneOrMany[T any] []T

// UnmarshalJSON accepts both forms.
func (l *oneOrMany[T]) UnmarshalJSON(b []byte) error {
	var one T
	if json.Unmarshal(b, &one) == nil {
		*l = oneOrMany[T]{one}
		return nil
	}
	return json.Unmarshal(b, (*[]T)(l))
}

func parseTrustPolicy(document string) (trustPolicy, error) {
	var p trustPolicy
	if err := json.Unmarshal([]byte(document), &p); err != nil || len(p.Statement) == 0 {
		return trustPolicy{}, errMalformedPolicy("Syntax errors in policy.")
	}
	for _, s := range p.Statement {
		if s.Effect != "Allow" && s.Effect != "Deny" {
			return trustPolicy{}, errMalformedPolicy("Syntax errors in policy.")
		}
		if len(s.Principal) == 0 || len(s.Action) == 0 {
			return trustPolicy{}, errMalformedPolicy("AssumeRolepolicy contained an invalid principal or action")
		}
	}
	return p, nil
}

// admits tells whether the caller may assume the role: some statement allows
// it and none denies it.
func (p trustPolicy) admits(caller *identity, externalID string) bool {
	allowed := false
	for _, s := range p.Statement {
		if !s.concerns(caller) {
			continue
		}
		holds, understood := s.holds(externalID)
		if s.Effect == "Deny" && (holds || !understood) {
			return false
		}
		allowed = allowed || s.Effect == "Allow" && holds && understood
	}
	return allowed
}

func (s trustStatement) concerns(caller *identity) bool {
	assumes := func(action string) bool { return slices.Contains([]string{"sts:AssumeRole", "sts:*", "*"}, action) }
	return slices.ContainsFunc(s.Action, assumes) && slices.ContainsFunc(s.Principal["AWS"], caller.is)
}

// is tells whether a principal of a policy means the identity.
func (i *identity) is(principal string) bool {
	home := i.account.id
	names := []string{"*", home, "arn:aws:iam::" + home + ":root", i.arn(home)}
	if i.role != nil {
		names = append(names, i.role.arn(home))
	}
	return slices.Contains(names, principal)
}

// holds evaluates the conditions; understood is false if one is not known here.
func (s trustStatement) holds(externalID string) (holds, understood bool) {
	holds, understood = true, true
	for operator, keys := range s.Condition {
		for key, values := range keys {
			switch {
			case key != "sts:ExternalId":
				understood = false
			case operator == "StringEquals":
				holds = holds && slices.Contains(values, externalID)
			case operator == "StringNotEquals":
				holds = holds && !slices.Contains(values, externalID)
			default:
				understood = false
			}
		}
	}
	return holds, understood
}
