package controllers

import (
	"maps"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// settled: the right rules were read and are stored, so that they are the last
// accepted ones whatever comes.
func (s *soak) settled() bool {
	if s.api.down || s.depth > 0 {
		return false
	}
	_, record, err := (store{s.admin, s.config.Names}).readRecord(s.Context())
	return err == nil && maps.Equal(record.Rules, s.given.data)
}

// editRules writes right rules, and leaves an old approval beside them or not.
func (s *soak) editRules(c ruleChoice) {
	if s.api.down {
		return
	}
	s.given.edits++
	s.given.choice, s.given.list = c, c.rules()
	s.given.data = rulesData(s.given.list, s.given.edits)
	s.given.at, s.given.approved, s.given.there = s.now(), time.Time{}, true
	_, err := s.admin.Get(s.Context(), "aws-auth-refresher", metav1.GetOptions{})
	s.apply("aws-auth-refresher", s.given.data)
	if err != nil { // a pause outlives the ConfigMap, but not its coming back without it
		s.resumed()
	}
	s.note("rules: %+v", c)
	s.retrack()
}

func (s *soak) rulesEdit() {
	c := s.given.choice
	switch s.rand.IntN(16) {
	case 8, 9:
		c.capped = !c.capped
	case 10:
		c.extraCapped = !c.extraCapped
	case 11, 12:
		c.mild = !c.mild
	case 4:
		c.guests = !c.guests
	case 5:
		c.team = !c.team
	case 6:
		c.ops = !c.ops
	case 7:
		c.aged = !c.aged
	case 0:
		c.version++
	case 1:
		c.extra = !c.extra
	case 2:
		c.vault = !c.vault
	case 3:
		c.ci = !c.ci
	default:
		c.foo, c.narrow = true, false
	}
	s.editRules(c)
}

// slip is an edit that takes access from many.
func (s *soak) slip() {
	s.summary.fault("mass removal")
	c := s.given.choice
	switch s.rand.IntN(3) {
	case 0:
		c = ruleChoice{version: c.version}
	case 1:
		c.foo = false
	default:
		c.narrow = true
	}
	s.editRules(c)
	if s.odds(2) {
		s.after(s.between(time.Second, 9*time.Minute), s.rulesEdit)
	}
}

// badRules writes rules that must be refused, or takes the ConfigMap away.
func (s *soak) badRules() {
	if !s.settled() {
		return
	}
	s.summary.fault("bad rules")
	s.given.there = false
	texts := []string{
		"- arnRegexp: ^arn:aws:iam::123456789012:user/.*$\n  username: x\n", "- arnRegex: .*\n  username: x\n",
		"- arnRegex: ^arn:aws:iam::123456789012:user/tmp-(.*$\n  username: x\n", "- [", "- username: x\n",
	}
	if i := s.rand.IntN(len(texts) + 1); i < len(texts) {
		s.note("bad rules %q", texts[i])
		s.apply("aws-auth-refresher", map[string]string{"mapUsers": texts[i]})
	} else if _, err := s.admin.Get(s.Context(), "aws-auth-refresher", metav1.GetOptions{}); err == nil {
		s.note("rules ConfigMap deleted")
		s.delete("aws-auth-refresher")
	}
	s.after(s.between(time.Second, 4*time.Minute), s.rulesEdit)
}

// approve lets through what the rules take out.
func (s *soak) approve() {
	if s.api.down || !s.given.there {
		return
	}
	cm := s.get("aws-auth-refresher")
	metav1.SetMetaDataAnnotation(&cm.ObjectMeta, ApproveAnnotation, nextApproval(s.world, cm.Data))
	if _, err := s.admin.Update(s.Context(), cm, metav1.UpdateOptions{}); err != nil {
		s.Fatal(err)
	}
	s.given.approved = s.now()
	s.note("approved")
}
