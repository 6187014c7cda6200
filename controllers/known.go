package controllers

import (
	"slices"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/arn"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/principals"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/removal"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// known is what the last complete listings said. It serves until the next one:
// a listing that fails does not take away what was known, and what is missing
// from an old one proves nothing.
type known struct {
	listing principals.Listing // the last one, complete or not
	listed  bool               // there was one
	users   []rules.Principal
	roles   []rules.Principal
	// at is when IAM was listed, next when it is to be listed again, digest the
	// rules it was listed for.
	at     time.Time
	next   time.Time
	digest string
}

func (k *known) due(now time.Time, digest string) bool {
	setBack := now.Before(k.at)
	return !k.listed || k.digest != digest || setBack || !now.Before(k.next)
}

func (k *known) all() []rules.Principal {
	return append(slices.Clip(k.users), k.roles...)
}

// update takes over what a listing is evidence of, and returns the ARNs of
// principals that were deleted and made again since the last one.
func (k *known) update(l principals.Listing) (again []string) {
	if l.AccountID != "" && k.listing.AccountID != "" && l.AccountID != k.listing.AccountID {
		k.users, k.roles = nil, nil
	}
	if l.AccountID == "" {
		l.AccountID, l.Partition = k.listing.AccountID, k.listing.Partition
	}
	for _, kind := range rules.Kinds() {
		scope, held := l.Users, &k.users
		if kind == rules.Role {
			scope, held = l.Roles, &k.roles
		}
		switch {
		case !scope.Asked:
			*held = nil
		case scope.Complete:
			fresh := only(kind, l.Principals)
			again = append(again, madeAgain(*held, fresh)...)
			*held = fresh
		}
	}
	l.Principals = nil
	k.listing, k.listed = l, true
	return again
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

// observations turns a listing into evidence, one kind at a time.
func observations(l principals.Listing) []removal.Observation {
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
