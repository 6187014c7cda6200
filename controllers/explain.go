package controllers

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/arn"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/awsauth"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// Explanation is why an identity is or is not let in.
type Explanation struct {
	// Principal is the user or the role behind the identity, as listed; Listed
	// tells whether it was there, Looked whether its kind was listed at all,
	// Unlisted why not, where that was tried.
	Principal      rules.Principal
	Listed, Looked bool
	Unlisted       error
	// Canonical is the ARN that EKS looks up: a role's without path.
	Canonical string
	// Session is the session's name where the identity is a role's session.
	Session string

	// Verdicts are what the rules say, LeftOut those that select the principal
	// and give it nothing.
	Verdicts []rules.Verdict
	LeftOut  []rules.LeftOut
	// Refused is why there are no verdicts; nil if there are, or no rules, which
	// NoRules says.
	Refused error
	NoRules bool

	// Entry is what EKS takes now, nil for none. Ours tells whose it is.
	Entry *awsauth.Entry
	Ours  bool
	// Account: there is no entry, and mapAccounts lets the identity in under
	// its canonical ARN, without groups.
	Account bool
	// Unread are the lists of which EKS reads nothing, each with the reason.
	Unread []string
	// Near are entries that are almost for this identity, each with what is
	// wrong about it.
	Near []string
	// Access is what the access entries of EKS say.
	Access Access
	// Next is what the refresher is about to do, empty for nothing.
	Next string
}

// Explain tells why an identity, given by the ARN of a user, a role or a
// role's session, is or is not let in. d.Rules may be nil.
func Explain(ctx context.Context, d PlanData, identity string) (Explanation, error) {
	a, err := arn.Parse(identity)
	if err != nil {
		return Explanation{}, err
	}
	var x Explanation
	switch a.Type {
	case arn.TypeUser:
		x.Principal.Kind, x.Canonical = rules.User, a.String()
	case arn.TypeRole:
		x.Principal.Kind, x.Canonical = rules.Role, a.WithoutPath().String()
	case arn.TypeAssumedRole:
		role := roleOf(a)
		x.Principal.Kind, x.Canonical, x.Session = rules.Role, role.String(), a.Session
		a = role
	default:
		return Explanation{}, fmt.Errorf("%s is of the type %s; give the ARN of a user, a role or a role's session", identity, a.Type)
	}
	x.find(d, a)
	if x.NoRules = d.Rules == nil; !x.NoRules {
		x.judge(ctx, d)
	}
	x.lookUp(d)
	x.lookUpAccess(d)
	return x, nil
}

// find looks for the principal in the listing. Of a role only the name may be
// known, which is unique within an account.
func (x *Explanation) find(d PlanData, a arn.ARN) {
	kind := x.Principal.Kind
	x.Looked, x.Unlisted = d.looked(kind, a.AccountID), d.unlisted(kind, a.AccountID)
	at := slices.IndexFunc(d.Principals, func(p rules.Principal) bool {
		if p.Kind != kind {
			return false
		}
		return arn.Fold(p.ARN) == arn.Fold(a.String()) || kind == rules.Role && principalKey(kind, p.ARN).arn == arn.Fold(x.Canonical)
	})
	if at >= 0 {
		x.Principal, x.Listed = d.Principals[at], true
		return
	}
	x.Principal = rules.Principal{Kind: kind, ARN: a.String(), AccountID: a.AccountID, Path: a.Path, Name: a.Name}
}

// judge asks the rules, and what the refresher would do.
func (x *Explanation) judge(ctx context.Context, d PlanData) {
	set, err := rules.Parse(d.Rules.Data, d.ruleOptions())
	if err != nil {
		x.Refused = err
		return
	}
	x.Verdicts = set.Explain(x.Principal, d.Now)
	plan, err := NewPlan(ctx, d)
	if err != nil {
		x.Refused = err
		return
	}
	for _, l := range plan.Evaluation.LeftOut {
		if l.ARN == x.Principal.ARN {
			x.LeftOut = append(x.LeftOut, l)
		}
	}
	next := slices.DeleteFunc([]string{plan.next(arn.Fold(x.Canonical), x.Principal), plan.nextAccess(x.Principal)},
		func(text string) bool { return text == "" })
	if x.Next = strings.Join(slices.Compact(next), "; "); x.Next != "" && plan.Paused {
		x.Next += "; but it is paused, until: aws-auth-refresher resume"
	}
}

// next is what becomes of one entry.
func (o *Outcome) next(key string, p rules.Principal) string {
	is := func(e awsauth.Entry) bool { return e.Key() == key }
	gives := func(e awsauth.Entry) string { return e.Username + " [" + strings.Join(e.Groups, ", ") + "]" }
	for _, h := range o.Removal.Held {
		if principalKey(h.Kind, h.ARN).arn == key {
			return "its entry is held, because too many others lost their rule at once"
		}
	}
	if i := slices.IndexFunc(o.Added, is); i >= 0 {
		return "the refresher is about to add it as " + gives(o.Added[i])
	}
	if i := slices.IndexFunc(o.Changed, is); i >= 0 {
		return "the refresher is about to make it " + gives(o.Changed[i])
	}
	if slices.ContainsFunc(o.Removed, is) {
		return "the refresher is about to take its entry out"
	}
	if i := slices.IndexFunc(o.Result.Overflow, is); i >= 0 {
		return "it does not fit: a ConfigMap holds 1 MiB"
	}
	for _, c := range o.Conflicts {
		if arn.Fold(c.Grant.EntryARN) == key && c.Elsewhere {
			return "the rules would make it " + gives(entryOf(c.Grant)) + ", but somebody else's access entry wins"
		}
		if arn.Fold(c.Grant.EntryARN) == key {
			return "the rules would make it " + gives(entryOf(c.Grant)) + ", but somebody else's entry stands there and wins"
		}
	}
	for _, r := range o.Evaluation.Rules {
		if r.Frozen && r.Kind == p.Kind {
			return fmt.Sprintf("%s rule %d is frozen: it matches %d principals, more than its maxMatches, so nobody new gets in by it",
				r.Kind.DataKey(), r.Rule+1, r.Matched)
		}
	}
	return ""
}

// lookUp reads aws-auth as EKS does.
func (x *Explanation) lookUp(d PlanData) {
	var document *awsauth.Document
	if d.AWSAuth == nil {
		document = new(awsauth.Reader).Read(nil, 0)
	} else {
		document = new(awsauth.Reader).Read(d.AWSAuth.Data, binaryBytes(d.AWSAuth))
	}
	entry, ok := document.Lookup(x.Canonical)
	if ok {
		x.Entry, x.Ours = &entry, x.recorded(d, entry)
		return
	}
	x.Account = slices.Contains(document.MapAccounts(), x.Principal.AccountID)
	problems := document.Unreadable()
	for _, key := range slices.Sorted(maps.Keys(problems)) {
		x.Unread = append(x.Unread, fmt.Sprintf("EKS reads nothing of %s, and nobody in it gets in: %v", key, problems[key]))
	}
	for _, e := range document.Entries() {
		if reason := x.near(e); reason != "" {
			x.Near = append(x.Near, fmt.Sprintf("%s has an entry for %s, %s", e.Kind.DataKey(), e.ARN, reason))
		}
	}
}

func (x *Explanation) recorded(d PlanData, e awsauth.Entry) bool {
	if d.State == nil {
		return false
	}
	record, err := rules.DecodeRecord(d.State.BinaryData[recordKey])
	return err == nil && newRecorded(record, d.Now).holds(e)
}

// near is what keeps an entry from being for this identity, where that is one
// thing.
func (x *Explanation) near(e awsauth.Entry) string {
	a, err := arn.Parse(e.ARN)
	if err != nil {
		return ""
	}
	sameAccount, samePath := a.AccountID == x.Principal.AccountID, a.Path == x.Principal.Path
	isRole := x.Principal.Kind == rules.Role
	switch {
	case !strings.EqualFold(a.Name, x.Principal.Name):
		return ""
	case isRole && a.Type == arn.TypeAssumedRole && sameAccount:
		return "which nobody matches: EKS knows sessions by their role, " + x.Canonical
	case a.Type != string(x.Principal.Kind):
		return ""
	case isRole && sameAccount && a.Path != "/":
		return "which nobody matches: EKS knows roles without their path, as " + x.Canonical
	case sameAccount && !samePath:
		return "whose path is " + a.Path + " and not " + x.Principal.Path
	case !sameAccount && (samePath || isRole):
		return "which is of another account"
	case sameAccount && samePath:
		return "which is of another partition"
	}
	return ""
}
