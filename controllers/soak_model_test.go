package controllers

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// soakMark begins every user name that the rules give, and none that others do.
const soakMark = "ours:"

// soakName names a principal.
type soakName struct {
	account    string
	kind       rules.Kind
	path, name string
}

func fooUser(i int) soakName {
	return soakName{accountID, rules.User, "/", fmt.Sprintf("tmp-foo-%02d", i)}
}

func (n soakName) arn() string {
	return "arn:aws:iam::" + n.account + ":" + string(n.kind) + n.path + n.name
}

// entryARN is what aws-auth must hold: without the path, for roles.
func (n soakName) entryARN() string {
	if n.kind == rules.Role {
		n.path = "/"
	}
	return n.arn()
}

// soakPrincipal is what is true of one ARN, whatever AWS says.
type soakPrincipal struct {
	soakName
	exists bool
	made   time.Time
	// tagged and member say what rules may look at, touched when that changed.
	tagged, member bool
	touched        time.Time
	// listed and got are from when on AWS shows it, or, where it does not
	// exist, until when it did.
	listed, got time.Time
	// gap is when AWS stopped listing what had this ARN before; zero: nothing.
	gap time.Time
}

// soakIAM is what is true of the account.
type soakIAM struct {
	all    map[string]*soakPrincipal // by ARN
	tracks map[string]*soakTrack     // by kind and entry ARN
	lag    fakeaws.Lag
	fault  *fakeaws.Fault
}

// grantedTo is what an entry says, with its groups sorted.
type grantedTo struct{ username, groups string }

func says(username string, groups []string) grantedTo {
	return grantedTo{username, strings.Join(slices.Sorted(slices.Values(groups)), ",")}
}

// soakStore is where entries stand.
type soakStore int

const (
	inDoc soakStore = iota // aws-auth
	inEntries
)

// soakTrack is since when an entry has been wanted, or not wanted.
type soakTrack struct {
	store  soakStore
	kind   rules.Kind
	want   *grantedTo
	since  time.Time
	by     *soakPrincipal
	taken  bool // somebody else's entry stands for it
	other  bool // and that is in the other store
	free   bool // whoever is granted may have an entry or not
	exists bool
	// ungranted is since when no rule grants it anything, there or not.
	ungranted time.Time
}

func trackKey(kind rules.Kind, entryARN string) string {
	return string(kind) + " " + strings.ToLower(entryARN)
}

// entryTrack is the key of an access entry.
func entryTrack(kind rules.Kind, arn string) string { return "entry " + trackKey(kind, arn) }

func (s *soak) named(n soakName) *soakPrincipal {
	for _, key := range slices.Sorted(maps.Keys(s.iam.all)) {
		if p := s.iam.all[key]; p.exists && p.account == n.account && p.kind == n.kind && p.name == n.name {
			return p
		}
	}
	return nil
}

func (s *soak) create(n soakName) {
	if s.named(n) != nil {
		return
	}
	if err := s.createInAWS(n); err != nil {
		s.Fatal(err)
	}
	p := s.iam.all[n.arn()]
	if p == nil {
		p = &soakPrincipal{soakName: n}
		s.iam.all[n.arn()] = p
	} else {
		p.gap = p.listed
	}
	if p.tagged || p.member {
		p.touched = s.now()
	}
	p.made, p.tagged, p.member = s.now().Truncate(time.Second), false, false
	p.exists, p.listed, p.got = true, s.now().Add(s.iam.lag.List), s.now().Add(s.iam.lag.Get)
	s.note("created %s", n.arn())
	s.tell()
	s.retrack()
}

func (s *soak) remove(p *soakPrincipal) {
	if !p.exists {
		return
	}
	if err := s.deleteInAWS(p); err != nil {
		s.Fatal(err)
	}
	p.exists, p.listed, p.got = false, s.now().Add(s.iam.lag.List), s.now().Add(s.iam.lag.Get)
	s.note("deleted %s", p.arn())
	s.tell()
	s.retrack()
}

// living gives those that exist, in a fixed order.
func (s *soak) living() []*soakPrincipal {
	var list []*soakPrincipal
	for _, key := range slices.Sorted(maps.Keys(s.iam.all)) {
		if s.iam.all[key].exists {
			list = append(list, s.iam.all[key])
		}
	}
	return list
}

// ruleChoice says which rules there are.
type ruleChoice struct {
	foo, extra, vault, ci, narrow bool
	guests, team, ops, aged       bool
	capped, extraCapped           bool // foo, extra have a maxMatches
	mild                          bool // foo gives less
	version                       int  // of what foo and ci give
}

// soakRule is one rule, as this test understands it.
type soakRule struct {
	account          string
	kind             rules.Kind
	path, prefix     string
	username, groups string
	tagged, member   bool
	maxAge           time.Duration
	maxMatches       int
}

// soakRules are the rules that were last written and are right.
type soakRules struct {
	choice ruleChoice
	list   []soakRule
	data   soakData
	at     time.Time
	edits  int
	// approved is when a person approved what these rules take out.
	approved time.Time
	// there: the ConfigMap is, and holds data.
	there bool
}

func (c ruleChoice) rules() []soakRule {
	var list []soakRule
	if c.foo {
		prefix := "tmp-foo-"
		if c.narrow {
			prefix = "tmp-foo-2"
		}
		groups := "system:masters"
		if c.mild {
			groups = "developers"
		}
		r := newRule(rules.User, "/", prefix, fmt.Sprintf("foo-%d", c.version), groups)
		if c.capped {
			r.maxMatches = 12
		}
		list = append(list, r)
	}
	if c.extra {
		r := newRule(rules.User, "/", "tmp-foo-1", "extra", "auditors")
		if c.extraCapped {
			r.maxMatches = 4
		}
		list = append(list, r)
	}
	if c.vault {
		r := newRule(rules.User, "/vault/", "v-", "vault:${userName}", "developers")
		if c.aged {
			r.maxAge = soakAge
		}
		list = append(list, r)
	}
	if c.ci {
		list = append(list, newRule(rules.Role, "/ci/", "deploy-", fmt.Sprintf("ci-%d", c.version), "deployers"))
	}
	if c.guests {
		r := newRule(rules.User, "/", "guest-", fmt.Sprintf("guest-%d", c.version), "guests")
		r.account = otherAccount
		list = append(list, r)
	}
	if c.team {
		r := newRule(rules.User, "/team/", "t-", "team", "team")
		r.tagged = true
		list = append(list, r)
	}
	if c.ops {
		r := newRule(rules.User, "/team/", "t-", "ops", "operators")
		r.member = true
		list = append(list, r)
	}
	return list
}

// soakAge is how long somebody is let in by a rule with a maxAge.
const soakAge = 25 * time.Minute

// newRule is one without conditions.
//
//nolint:revive // a rule's fields, in their order
func newRule(kind rules.Kind, path, prefix, username, groups string) soakRule {
	return soakRule{account: accountID, kind: kind, path: path, prefix: prefix, username: soakMark + username, groups: groups}
}

func (r soakRule) text() string {
	text := "- arnRegex: ^arn:aws:iam::" + r.account + ":" + string(r.kind) + r.path + r.prefix + "[^/]*$\n" +
		"  username: " + r.username + "\n  groups: [" + r.groups + "]\n"
	if r.tagged {
		text += "  tags: {team: dev}\n"
	}
	if r.member {
		text += "  iamGroups: [ops]\n"
	}
	if r.maxMatches > 0 {
		text += fmt.Sprintf("  maxMatches: %d\n", r.maxMatches)
	}
	if r.maxAge > 0 {
		text += "  maxAge: " + r.maxAge.String() + "\n"
	}
	return text
}

func rulesData(list []soakRule, edit int) soakData {
	data := soakData{"mapUsers": fmt.Sprintf("# edit %d\n", edit), "mapRoles": ""}
	for _, r := range list {
		data[r.kind.DataKey()] += r.text()
	}
	return data
}

// grant is what the rules give a principal, nil for nothing.
func (s *soak) grant(p *soakPrincipal) *grantedTo {
	var username string
	var groups []string
	for _, r := range s.given.list {
		old := r.maxAge > 0 && !s.now().Before(p.made.Add(r.maxAge))
		if !r.could(p.soakName) || r.tagged && !p.tagged || r.member && !p.member || old {
			continue
		}
		if groups = append(groups, r.groups); username == "" {
			username = strings.ReplaceAll(r.username, "${userName}", p.name)
		}
	}
	if groups == nil {
		return nil
	}
	g := says(username, groups)
	return &g
}

// could reports whether a rule could let somebody in, by the ARN.
func (r soakRule) could(n soakName) bool {
	return r.account == n.account && r.kind == n.kind && r.path == n.path && strings.HasPrefix(n.name, r.prefix)
}

// capped reports whether a rule that could let somebody in has a maxMatches.
func (s *soak) capped(p *soakPrincipal) bool {
	return slices.ContainsFunc(s.given.list, func(r soakRule) bool { return r.could(p.soakName) && r.maxMatches > 0 })
}

// grantable reports whether any rule could.
func (s *soak) grantable(p *soakPrincipal) bool {
	return slices.ContainsFunc(s.given.list, func(r soakRule) bool { return r.could(p.soakName) })
}

// retrack notes since when things are as they are.
func (s *soak) retrack() {
	next := map[string]*soakTrack{}
	for _, key := range slices.Sorted(maps.Keys(s.iam.all)) {
		p := s.iam.all[key]
		s.track(next, trackKey(p.kind, p.entryARN()), soakTrack{store: inDoc, by: p})
		if s.entries {
			s.track(next, entryTrack(p.kind, p.arn()), soakTrack{store: inEntries, by: p})
		}
	}
	s.iam.tracks = next
}

func (s *soak) track(next map[string]*soakTrack, key string, t soakTrack) {
	if other := next[key]; other != nil && other.exists {
		return // two paths of one role name
	}
	t.kind, t.exists, t.since = t.by.kind, t.by.exists, s.now()
	s.place(&t)
	granted := s.grant(t.by)
	if t.exists && !t.taken {
		t.want = granted
	}
	was := s.iam.tracks[key]
	if granted == nil {
		t.ungranted = s.now()
		if was != nil && !was.ungranted.IsZero() {
			t.ungranted = was.ungranted
		}
	}
	if was != nil && was.exists == t.exists && was.taken == t.taken && was.other == t.other && was.free == t.free && was.by == t.by && sameGrant(was.want, t.want) {
		t.since = was.since
	}
	next[key] = &t
}

// place finds out whether somebody else lets a principal in. Where the cluster
// reads both stores, who is theirs in one is theirs in the other; only who does
// not write access entries need not look at them.
func (s *soak) place(t *soakTrack) {
	e, there := s.eks.entries[strings.ToLower(t.by.arn())]
	inEKS, inDocument := there && !e.ours, s.doc.foreign[strings.ToLower(t.by.entryARN())]
	both := s.entries && s.reads(inDoc) && s.reads(inEntries)
	// A rule that matches too many grants only to whom it has granted before.
	t.free = !s.selected(t.store) || s.capped(t.by)
	if t.store == inEntries {
		t.taken, t.other = inEKS || both && inDocument, !inEKS
		return
	}
	t.taken, t.other = inDocument || both && inEKS && s.selected(inEntries), !inDocument
	t.free = t.free || both && inEKS && !t.taken
}

func sameGrant(a, b *grantedTo) bool {
	return a == nil && b == nil || a != nil && b != nil && *a == *b
}
