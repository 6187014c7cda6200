package removal_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/arn"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/removal"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// person is a user of the model: what is true, what we were shown and, apart
// from the ledger, what the evidence amounts to.
type person struct {
	arn, path               string
	exists, granted, listed bool
	grantable               bool
	owned                   bool
	heldSince               time.Time
	firstHeld               time.Time // in time that never jumps
	lacked                  []time.Time
	asked                   bool
}

// model drives a ledger through whatever may happen.
type model struct {
	ledger   removal.Ledger
	settings removal.Settings
	people   []*person
	removals []rules.Removal
	// now is what the clock says, real what has really passed.
	now, real time.Time
	// jumped: the clock was set at some time, so it proves nothing any more.
	jumped bool
	// went are the times, in real time, of what the breaker let go.
	went []time.Time
}

func newModel(t *rapid.T) *model {
	m := &model{now: start(), real: start()}
	m.settings = removal.Settings{
		Hold:       time.Duration(rapid.IntRange(1, 120).Draw(t, "hold")) * time.Second,
		MaxCount:   rapid.IntRange(0, 5).Draw(t, "count"),
		MaxPercent: rapid.IntRange(0, 100).Draw(t, "percent"),
	}
	for i := range rapid.IntRange(1, 14).Draw(t, "people") {
		path := []string{"/", "/vault/", "/vault/x/"}[i%3]
		m.people = append(m.people, &person{
			arn: fmt.Sprintf("arn:aws:iam::%s:user%sU%02d", account, path, i), path: path,
			exists: true, granted: true, grantable: true, listed: true, owned: true,
		})
	}
	return m
}

func (m *model) somebody(t *rapid.T) *person { return rapid.SampledFrom(m.people).Draw(t, "who") }

func (m *model) pass(t *rapid.T) {
	d := time.Duration(rapid.IntRange(0, 40).Draw(t, "seconds")) * time.Second
	m.now, m.real = m.now.Add(d), m.real.Add(d)
}

func (m *model) setClock(t *rapid.T) {
	m.now = m.now.Add(time.Duration(rapid.IntRange(-100_000, 100_000).Draw(t, "jump")) * time.Second)
	m.jumped = true
}

func (m *model) createOrDelete(t *rapid.T) {
	p := m.somebody(t)
	p.exists = !p.exists
}

// editRules changes what is granted; what is granted may become ours.
func (m *model) editRules(t *rapid.T) {
	from := rapid.IntRange(0, len(m.people)-1).Draw(t, "from")
	granted, grantable := rapid.Bool().Draw(t, "granted"), rapid.Bool().Draw(t, "grantable")
	for _, p := range m.people[from:] {
		p.granted, p.grantable = granted, granted || grantable
	}
}

func (m *model) refresh(*rapid.T) {
	for _, p := range m.people {
		if p.granted && p.listed {
			p.owned, p.heldSince, p.firstHeld = true, time.Time{}, time.Time{}
		}
	}
}

// list shows the ledger a listing. It may lag behind, fail on the way, be of
// another account or of a part only.
func (m *model) list(t *rapid.T) {
	o := removal.Observation{AccountID: account, Kind: rules.User, PathPrefix: "/", Complete: true, Begun: m.now}
	switch rapid.IntRange(0, 6).Draw(t, "flaw") {
	case 0:
		o.Complete = false
	case 1:
		o.AccountID = "210987654321"
	case 2:
		o.Kind = rules.Role
	case 3:
		o.PathPrefix = rapid.SampledFrom([]string{"/vault/", "/vault/x/", "/ci/", ""}).Draw(t, "path")
	}
	seen := make(map[string]bool)
	for _, p := range m.people {
		lag := rapid.IntRange(0, 9).Draw(t, "lag") == 0
		inReach := o.AccountID == account && o.Kind == rules.User && o.PathPrefix != "" && len(p.path) >= len(o.PathPrefix) &&
			p.path[:len(o.PathPrefix)] == o.PathPrefix
		failed := !o.Complete && rapid.Bool().Draw(t, "failed before")
		switch {
		case inReach && !failed && p.exists != lag:
			seen[arn.Fold(p.arn)] = true
			p.listed, p.lacked, p.asked = true, nil, false
		case inReach && o.Complete:
			p.listed = false
			p.lacked = append(p.lacked, m.now)
		}
	}
	o.Has = func(folded string) bool { return seen[folded] }
	m.ledger.Observe(o)
}

func (m *model) input(approved bool) removal.Input {
	in := removal.Input{Now: m.now, Removals: m.removals, Approved: approved, Settings: m.settings}
	for _, p := range m.people {
		if !p.owned {
			continue
		}
		in.Owned = append(in.Owned, rules.Owned{Kind: rules.User, ARN: p.arn, HeldSince: p.heldSince})
		if !p.granted || !p.listed {
			in.Candidates = append(in.Candidates, removal.Candidate{
				Kind: rules.User, ARN: p.arn, AccountID: account, Grantable: p.grantable, Listed: p.listed, HeldSince: p.heldSince,
			})
		}
	}
	return in
}

func (m *model) person(arn string) *person {
	for _, p := range m.people {
		if p.arn == arn {
			return p
		}
	}
	return nil
}

func (m *model) decide(t *rapid.T) {
	in := m.input(rapid.IntRange(0, 9).Draw(t, "approved") == 0)
	d := m.ledger.Decide(in)
	if all := len(d.Remove) + len(d.Verify) + len(d.Held) + len(d.Keep); all != len(in.Candidates) || len(outcome(d)) != all {
		t.Fatalf("%d candidates, %d fates: %v", len(in.Candidates), all, outcome(d))
	}
	m.checkRemoved(t, in, d)
	m.checkHeld(t, in, d)
	for _, c := range d.Verify {
		p := m.person(c.ARN)
		if rapid.Bool().Draw(t, "ask") {
			m.ledger.Confirm(c.ARN, m.now, p.exists)
			p.asked = !p.exists
			if p.exists {
				p.lacked = nil
			}
		}
	}
	m.removals = d.Removals
}

// checkRemoved holds every removal against the model, and carries it out.
func (m *model) checkRemoved(t *rapid.T, in removal.Input, d removal.Decision) {
	free := 0
	for _, r := range d.Remove {
		p := m.person(r.ARN)
		switch {
		case p.listed && p.granted:
			t.Fatalf("%s is listed and granted, and taken out as %s", r.ARN, r.Why)
		case r.Why == removal.Gone && !p.provenGone():
			t.Fatalf("%s is taken out as gone with %v and asked %v", r.ARN, p.lacked, p.asked)
		case r.Why == removal.Gone && (p.listed || !p.grantable):
			t.Fatalf("%s is not gone but no longer granted", r.ARN)
		case r.Why != removal.Gone && !p.listed && p.grantable:
			t.Fatalf("%s is taken out as %s on the word of a listing", r.ARN, r.Why)
		case r.Why == removal.Approved && !in.Approved:
			t.Fatalf("%s was not approved", r.ARN)
		case r.Why == removal.HeldLongEnough && !m.jumped && m.real.Sub(p.firstHeld) < m.settings.Hold:
			t.Fatalf("%s was held for %v only", r.ARN, m.real.Sub(p.firstHeld))
		case r.Why == removal.NotGranted:
			free++
		}
		p.owned, p.heldSince, p.firstHeld = false, time.Time{}, time.Time{}
		p.lacked, p.asked = nil, false
	}
	m.checkBreaker(t, in, d, free)
}

// checkBreaker counts in real time what went without approval or a hold.
func (m *model) checkBreaker(t *rapid.T, in removal.Input, d removal.Decision, free int) {
	went := 0
	for _, when := range m.went {
		if m.real.Sub(when) < m.settings.Hold {
			went++
		}
	}
	whole := went + len(in.Owned) - (len(d.Remove) - free)
	n := went + free
	if !m.jumped && free > 0 && n > m.settings.MaxCount && n*100 > whole*m.settings.MaxPercent {
		t.Fatalf("%d of %d went within %v, against %+v", n, whole, m.settings.Hold, m.settings)
	}
	if rest := m.remaining(d); free > 0 && rest == 0 && m.settings.MaxPercent < 100 {
		t.Fatalf("an edit took out the last %d of ours at once", free)
	}
	for range free {
		m.went = append(m.went, m.real)
	}
}

// remaining are those of ours that stay, and are not there only until AWS says
// that they are gone.
func (m *model) remaining(d removal.Decision) (n int) {
	leaving := map[string]bool{}
	for _, r := range d.Remove {
		leaving[r.ARN] = true
	}
	for _, c := range d.Verify {
		leaving[c.ARN] = true
	}
	for _, k := range d.Keep {
		leaving[k.ARN] = leaving[k.ARN] || k.Grantable && !k.Listed
	}
	for _, p := range m.people {
		if p.owned && !leaving[p.arn] {
			n++
		}
	}
	return n
}

func (m *model) checkHeld(t *rapid.T, in removal.Input, d removal.Decision) {
	if in.Approved && len(d.Held) > 0 {
		t.Fatalf("held although approved: %v", d.Held)
	}
	for _, h := range d.Held {
		p := m.person(h.ARN)
		if h.Since.After(m.now) || h.Until.Sub(m.now) > m.settings.Hold || !h.Until.After(m.now) {
			t.Fatalf("%s is held from %v until %v, now is %v", h.ARN, h.Since, h.Until, m.now)
		}
		if p.firstHeld.IsZero() {
			p.firstHeld = m.real
		}
		if !m.jumped && m.real.Sub(p.firstHeld) >= m.settings.Hold {
			t.Fatalf("%s is held for %v", h.ARN, m.real.Sub(p.firstHeld))
		}
		p.heldSince = h.Since
	}
}

// provenGone looks for two listings far enough apart, by the clock that
// dated them, and a no after that.
func (p *person) provenGone() bool {
	for i, a := range p.lacked {
		for _, b := range p.lacked[i+1:] {
			if b.Sub(a) >= 10*time.Second {
				return p.asked
			}
		}
	}
	return false
}

func TestWhateverHappens(t *testing.T) {
	t.Parallel()
	for name, clockJumps := range map[string]bool{"steady clock": false, "clock jumps": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				m := newModel(t)
				actions := map[string]func(*rapid.T){
					"pass": m.pass, "createOrDelete": m.createOrDelete, "editRules": m.editRules,
					"refresh": m.refresh, "list": m.list, "list again": m.list, "decide": m.decide,
				}
				if clockJumps {
					actions["setClock"] = m.setClock
				}
				t.Repeat(actions)
			})
		})
	}
}

// TestNothingStaysForEver: once the world stands still and everything can be
// listed, every candidate goes.
func TestNothingStaysForEver(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(t)
		t.Repeat(map[string]func(*rapid.T){
			"pass": m.pass, "createOrDelete": m.createOrDelete, "editRules": m.editRules, "refresh": m.refresh,
			"list": m.list, "decide": m.decide, "setClock": m.setClock,
		})
		for range 6 {
			m.now, m.real = m.now.Add(m.settings.Hold+10*time.Second), m.real.Add(m.settings.Hold+10*time.Second)
			seen := make(map[string]bool)
			for _, p := range m.people {
				p.listed = p.exists
				seen[arn.Fold(p.arn)] = p.exists
			}
			m.ledger.Observe(removal.Observation{
				AccountID: account, Kind: rules.User, PathPrefix: "/", Complete: true, Begun: m.now,
				Has: func(folded string) bool { return seen[folded] },
			})
			d := m.ledger.Decide(m.input(false))
			if len(d.Verify) > 0 { // as a refresh does, which asks and decides again
				for _, c := range d.Verify {
					m.ledger.Confirm(c.ARN, m.now, false)
				}
				for _, r := range d.Remove {
					m.person(r.ARN).owned = false
				}
				m.removals = d.Removals
				d = m.ledger.Decide(m.input(false))
			}
			for _, h := range d.Held {
				m.person(h.ARN).heldSince = h.Since
			}
			for _, r := range d.Remove {
				m.person(r.ARN).owned = false
			}
			m.removals = d.Removals
		}
		if left := m.input(false).Candidates; len(left) > 0 {
			t.Fatalf("still there: %+v", left)
		}
	})
}
