package controllers

import (
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/arn"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/awsauth"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/principals"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/removal"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// maxSkew is how far our clock may be from AWS's for ages to be reckoned by it.
const maxSkew = 5 * time.Minute

// agePause is, for each call that a listing takes, how long the next one waits
// that ages alone ask for.
const agePause = 500 * time.Millisecond

// known is what the last complete listings said. It serves until the next one:
// a listing that fails does not take away what was known, and what is missing
// from an old one proves nothing.
type known struct {
	// listings are the last ones, complete or not, without their principals:
	// that of our own account, then the others'. There are none before the
	// first.
	listings []principals.Listing
	of       map[string]*holding // by account
	// skew is how far AWS's clock was ahead of ours at that time.
	skew   time.Duration
	skewAt time.Time
	// at is when IAM was listed, next when it is to be listed again, digest the
	// rules it was listed for.
	at     time.Time
	next   time.Time
	digest string
	// outgrows is when the next principal grows too old; zero: none is known to.
	outgrows time.Time
}

// holding is what is known of one account.
type holding struct{ users, roles []rules.Principal }

func (k *known) due(now time.Time, digest string) bool {
	setBack := now.Before(k.at)
	return len(k.listings) == 0 || k.digest != digest || setBack || !now.Before(k.next)
}

// ageDue is when IAM is to be listed for those who grow too old, which only a
// listing of that time tells; zero: no need. Many such moments close to each
// other share a listing.
func (k *known) ageDue() time.Time {
	earliest := k.at.Add(time.Duration(max(k.calls(), 1)) * agePause)
	if k.outgrows.IsZero() || k.outgrows.After(earliest) {
		return k.outgrows
	}
	return earliest
}

// calls is how many calls the last listing took.
func (k *known) calls() (n int) {
	for _, l := range k.listings {
		n += l.Users.Calls + l.Roles.Calls
	}
	return n
}

// listed tells about the last listing of an account, complete or not.
func (k *known) listed(accountID string, kind rules.Kind) (begun time.Time, complete bool) {
	scope := k.scope(accountID, kind)
	return scope.Begun, scope.Asked && scope.Complete
}

// scope is what the last listing covered of an account and kind; the zero value
// where the account is not listed.
func (k *known) scope(accountID string, kind rules.Kind) principals.Scope {
	for _, l := range k.listings {
		if l.AccountID == accountID {
			return scopeOf(l, kind)
		}
	}
	return principals.Scope{}
}

// listedFor is listed for rules: a listing without the details that they look at
// tells nothing about whom they do not grant.
func (k *known) listedFor(set *rules.Set) func(accountID string, kind rules.Kind) (begun time.Time, complete bool) {
	return func(accountID string, kind rules.Kind) (begun time.Time, complete bool) {
		scope := k.scope(accountID, kind)
		return scope.Begun, scope.Asked && scope.Complete && (set == nil || !set.Needs().Details(kind) || scope.Detailed)
	}
}

// covers tells whether the last listing was complete and would have a principal
// if it existed. An entry for a role does not tell the role's path.
func (k *known) covers(a arn.ARN) bool {
	for _, l := range k.listings {
		if l.AccountID == "" || l.AccountID != a.AccountID || l.Partition != a.Partition {
			continue
		}
		kind := rules.Kind(a.Type)
		scope := scopeOf(l, kind)
		return scope.Asked && scope.Complete &&
			(scope.PathPrefix == "/" || kind == rules.User && scope.PathPrefix != "" && strings.HasPrefix(a.Path, scope.PathPrefix))
	}
	return false
}

// all are the principals of all accounts.
func (k *known) all() []rules.Principal {
	var parts [][]rules.Principal
	for _, l := range k.listings {
		h := k.of[l.AccountID]
		for _, part := range [][]rules.Principal{h.users, h.roles} {
			if len(part) > 0 {
				parts = append(parts, part)
			}
		}
	}
	if len(parts) == 1 {
		return parts[0] // nothing to copy
	}
	return slices.Concat(parts...)
}

// accounts are the numbers of those that are listed, empty where one is not
// known.
func (k *known) accounts() []string {
	var numbers []string
	for _, l := range k.listings {
		numbers = append(numbers, l.AccountID)
	}
	return numbers
}

// clock is what ages are reckoned by: our clock, or, while that is far from
// AWS's, AWS's. A clock that was set since then shows in that it went on by
// something else than the time that passed.
func (k *known) clock(now time.Time) rules.Clock {
	skew := k.skew
	if !k.skewAt.IsZero() {
		passed := now.Sub(k.skewAt) // monotonic
		skew -= now.Round(0).Sub(k.skewAt.Round(0)) - passed
	}
	if skew.Abs() > maxSkew {
		return rules.Clock{Now: now.Add(skew), Doubted: true}
	}
	return rules.Clock{Now: now}
}

// update takes over what a listing at that time is evidence of, and returns
// the ARNs of principals that were deleted and made again since the last one.
func (k *known) update(l principals.Listing, now time.Time) (again []string) {
	all := append([]principals.Listing{l}, l.Others...)
	if l.AccountID == "" && len(k.listings) > 0 {
		all[0].AccountID, all[0].Partition = k.listings[0].AccountID, k.listings[0].Partition
	}
	of := make(map[string]*holding, len(all))
	skewKnown := false
	for i, l := range all {
		h := k.of[l.AccountID]
		if h == nil {
			h = &holding{}
		}
		again = append(again, h.update(l)...)
		of[l.AccountID] = h
		if l.SkewKnown && !skewKnown {
			k.skew, k.skewAt, skewKnown = l.Skew, now, true
		}
		all[i].Principals, all[i].Others = nil, nil
	}
	k.listings, k.of = all, of
	return again
}

func (h *holding) update(l principals.Listing) (again []string) {
	for _, kind := range rules.Kinds() {
		scope, held := l.Users, &h.users
		if kind == rules.Role {
			scope, held = l.Roles, &h.roles
		}
		switch {
		case !scope.Asked:
			*held = nil
		case scope.Complete:
			fresh := only(kind, l.Principals)
			again = append(again, madeAgain(*held, fresh)...)
			*held = fresh
		case scope.Detailed && len(*held) > 0 && (*held)[0].Details == nil:
			// The rules now look at what is not known of these: nothing is
			// concluded until it is.
			*held = nil
		}
	}
	return again
}

// scopes gives the scopes of a listing in the order of kinds.
func scopes(l principals.Listing) iter.Seq2[rules.Kind, principals.Scope] {
	return func(yield func(rules.Kind, principals.Scope) bool) {
		_ = yield(rules.User, l.Users) && yield(rules.Role, l.Roles)
	}
}

// scopeOf is the scope of a kind; the zero value for what is none.
func scopeOf(l principals.Listing, kind rules.Kind) principals.Scope {
	for of, scope := range scopes(l) {
		if of == kind {
			return scope
		}
	}
	return principals.Scope{}
}

func only(kind rules.Kind, all []rules.Principal) []rules.Principal {
	first, last := 0, len(all)
	for first < last && all[first].Kind != kind {
		first++
	}
	end := first
	for end < last && all[end].Kind == kind {
		end++
	}
	return all[first:end:end]
}

func madeAgain(before, now []rules.Principal) (again []string) {
	ids := make(map[string]string, len(before))
	for _, p := range before {
		ids[p.ARN] = p.ID
	}
	for _, p := range now {
		if id := ids[p.ARN]; id != "" && p.ID != "" && id != p.ID {
			again = append(again, p.ARN)
		}
	}
	return again
}

// observations turns a listing into evidence, one account and kind at a time.
func observations(l principals.Listing) []removal.Observation {
	all := observed(l)
	for _, other := range l.Others {
		all = append(all, observed(other)...)
	}
	return all
}

func observed(l principals.Listing) []removal.Observation {
	there := make(map[string]bool, len(l.Principals))
	for _, p := range l.Principals {
		there[arn.Fold(p.ARN)] = true
	}
	observe := func(kind rules.Kind, s principals.Scope) removal.Observation {
		return removal.Observation{
			AccountID: l.AccountID, Kind: kind, PathPrefix: s.PathPrefix, Begun: s.Begun,
			Complete: s.Asked && s.Complete && l.AccountID != "",
			Has:      func(foldedARN string) bool { return there[foldedARN] },
		}
	}
	return []removal.Observation{observe(rules.User, l.Users), observe(rules.Role, l.Roles)}
}

// tooOld are the removed entries of principals that are too old.
func (o *Outcome) tooOld() []awsauth.Entry {
	old := map[entryKey]bool{}
	for _, r := range o.Removal.Remove {
		if r.Why == removal.TooOld {
			old[principalKey(r.Kind, r.ARN)] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(o.Removed), func(e awsauth.Entry) bool { return !old[keyOf(e)] })
}
