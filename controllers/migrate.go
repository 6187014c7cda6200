package controllers

import (
	"fmt"
	"slices"
	"strings"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/accessentry"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/arn"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/awsauth"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// Migration is what an aws-auth amounts to in access entries.
type Migration struct {
	Entries []MigratedEntry
	Skipped []SkippedEntry
}

// MigratedEntry is one access entry. Note is what a person should check; empty
// for nothing.
type MigratedEntry struct {
	accessentry.Entry
	Note string
}

// SkippedEntry is what no access entry is made of, and why: the ARN of an
// entry, an account under mapAccounts, or a data key.
type SkippedEntry struct {
	What, Reason string
}

// Migrate tells what access entries say the same as an aws-auth, as EKS reads
// it. Of d it needs AWSAuth and may have State and the listings; what is ours
// on record is left out. The rules play no part.
func Migrate(d PlanData) (Migration, error) {
	m := migration{data: d, document: new(awsauth.Reader).Read(d.AWSAuth.Data, binaryBytes(d.AWSAuth)), seen: map[string]bool{}}
	if d.State != nil {
		record, err := rules.DecodeRecord(d.State.BinaryData[recordKey])
		if err != nil {
			return Migration{}, fmt.Errorf("state ConfigMap %s, binaryData %s: %w", d.State.Name, recordKey, err)
		}
		m.ours = newRecorded(record, d.Now)
	}
	for _, e := range m.document.Entries() {
		m.entry(e)
	}
	for key, problem := range m.document.Problems() {
		if !slices.ContainsFunc(m.document.Entries(), func(e awsauth.Entry) bool { return e.Kind.DataKey() == key }) {
			m.skip(key, "%s", problem)
		}
	}
	for _, account := range m.document.MapAccounts() {
		m.skip("mapAccounts "+account, "it lets in every identity of the account; an access entry is for one")
	}
	return m.out, nil
}

type migration struct {
	data     PlanData
	document *awsauth.Document
	ours     recorded
	seen     map[string]bool
	out      Migration
}

func (m *migration) skip(what, format string, args ...any) {
	m.out.Skipped = append(m.out.Skipped, SkippedEntry{what, fmt.Sprintf(format, args...)})
}

func (m *migration) entry(e awsauth.Entry) {
	a, err := arn.Parse(e.ARN)
	taken, found := m.document.Lookup(e.ARN)
	switch {
	case e.ARN == "":
		m.skip("an entry of "+e.Kind.DataKey(), "it has no ARN that EKS can read, so it lets nobody in")
	case err != nil || a.Type != arn.TypeUser && a.Type != arn.TypeRole:
		m.skip(e.ARN, "it is not the ARN of a user or a role, so it lets nobody in")
	case !found:
		m.skip(e.ARN, "a role's ARN with a path never matches in aws-auth, so it lets nobody in")
	case taken.Kind != e.Kind || !taken.Grants(e):
		m.skip(e.ARN, "another entry for the same ARN counts: %s [%s]", taken.Username, strings.Join(taken.Groups, ", "))
	case m.seen[e.Key()]:
		return // the same once more
	case m.ours.holds(e):
		m.skip(e.ARN, "it is the refresher's, which makes the access entry itself with --target access-entries")
	case isNode(e):
		m.skip(e.ARN, "nodes need an access entry of another type; EKS makes it for managed node groups and Fargate, "+
			"and for other nodes you do, with --type EC2_LINUX or EC2_WINDOWS and without user name and groups")
	case strings.TrimSpace(e.Username) == "":
		m.skip(e.ARN, "it has no user name, which an access entry cannot say")
	default:
		m.seen[e.Key()] = true
		m.migrate(e, a)
	}
}

func isNode(e awsauth.Entry) bool {
	return strings.HasPrefix(e.Username, "system:node:") || slices.Contains(e.Groups, "system:nodes")
}

func (m *migration) migrate(e awsauth.Entry, a arn.ARN) {
	p, note := m.principal(e, a)
	if p.ARN == "" {
		m.skip(e.ARN, "%s", note)
		return
	}
	entry, reason := accessentry.FromGrant(rules.Grant{Kind: p.Kind, PrincipalARN: p.ARN, Username: e.Username, Groups: e.Groups}, p)
	if reason != "" {
		m.skip(e.ARN, "%s", reason)
		return
	}
	m.out.Entries = append(m.out.Entries, MigratedEntry{entry, note})
}

// principal finds out the whole ARN, which for a role aws-auth does not hold.
// Without one the note is why there is none.
func (m *migration) principal(e awsauth.Entry, a arn.ARN) (p rules.Principal, note string) {
	kind := rules.Kind(a.Type)
	at := slices.IndexFunc(m.data.Principals, func(p rules.Principal) bool {
		return p.Kind == kind && principalKey(kind, p.ARN).arn == e.Key()
	})
	if at >= 0 {
		return m.data.Principals[at], ""
	}
	if m.data.looked(kind, a.AccountID) {
		return rules.Principal{}, fmt.Sprintf("there is no such %s; EKS makes access entries only for those that exist", kind)
	}
	if kind == rules.Role {
		note = "if the role has a path, write it into the ARN"
	}
	return rules.Principal{Kind: kind, ARN: a.String(), AccountID: a.AccountID}, note
}
