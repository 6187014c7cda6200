package fakeaws

import (
	"encoding/json"
	"slices"
)

// trustPolicy is the part of a role's trust policy that is understood: AWS and
// Federated principals, actions, and conditions that compare strings. A statement
// with a condition key or operator that is not known here never allows and, if
// it denies, always denies.
type trustPolicy struct{ Statement oneOrMany[trustStatement] }

type trustStatement struct {
	Effect    string
	Principal trustPrincipal
	Action    oneOrMany[string]
	Condition conditions
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

// attempt is somebody trying to get into a role.
type attempt struct {
	action string // such as sts:AssumeRole
	facts  facts
	is     func(kind, principal string) bool // whether a policy's principal means them
}

// admits tells whether the policy lets the attempt in: some statement allows
// it and none denies it.
func (p trustPolicy) admits(a attempt) bool {
	allowed := false
	for _, s := range p.Statement {
		if !s.concerns(a) {
			continue
		}
		holds, understood := s.Condition.hold(a.facts)
		if s.Effect == "Deny" && (holds || !understood) {
			return false
		}
		allowed = allowed || s.Effect == "Allow" && holds && understood
	}
	return allowed
}

func (s trustStatement) concerns(a attempt) bool {
	if !slices.ContainsFunc(s.Action, func(pattern string) bool { return likeAction(a.action, pattern) }) {
		return false
	}
	for kind, principals := range s.Principal {
		if slices.ContainsFunc(principals, func(name string) bool { return a.is(kind, name) }) {
			return true
		}
	}
	return false
}

// is tells whether a principal of a policy means the identity.
func (i *identity) is(kind, principal string) bool {
	home := i.account.id
	names := []string{"*", home, "arn:aws:iam::" + home + ":root", i.arn(home)}
	if i.role != nil {
		names = append(names, i.role.arn(home))
	}
	return kind == "AWS" && slices.Contains(names, principal)
}
