package controllers

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// TestRulesInForceStayInForce: what has come to be refused lets those in who got
// in by it before, and the refusal is said. As a new edit it is refused.
func TestRulesInForceStayInForce(t *testing.T) {
	const bob = "arn:aws:iam::123456789012:user/tmp-bob"
	const short = "arn:aws:iam::1234567890:user/tmp-bob"
	for reason, rule := range map[string]string{
		"a template that EKS fills in with nothing": "{pathPrefix: /, arnRegex: '^arn:aws:iam::123456789012:user/tmp-.*$', username: 'x{{SessionName}}'}",
		"a group with such a template":              "{arnRegex: '^arn:aws:iam::123456789012:user/tmp-.*$', username: x, groups: ['{{ UserName }}']}",
		"an account of ten digits":                  "{arnRegex: '^arn:aws:iam::1234567890:user/tmp-.*$', username: x}",
		"a name of Kubernetes'":                     "{arnRegex: '^arn:aws:iam::123456789012:user/tmp-.*$', username: 'system:masters'}",
	} {
		cm := &corev1.ConfigMap{Data: map[string]string{"mapUsers": "- " + rule + "\n"}}
		for _, before := range []map[string]string{cm.Data, nil} {
			rs := choose(cm, rules.Record{Rules: before}, &rulesCache{}, time.Now())
			if rs.problem == nil || strings.Contains(rs.problem.Error(), "no longer") || strings.Contains(rs.problem.Error(), "any longer") {
				t.Errorf("%s: got the problem %v, want the refusal of what is written", reason, rs.problem)
			}
			switch inForce := rs.set != nil && (rs.set.CouldMatch(rules.User, bob) || rs.set.CouldMatch(rules.User, short)); {
			case before == nil && inForce:
				t.Errorf("%s: it was accepted", reason)
			case before != nil && !inForce:
				t.Errorf("%s: who got in by it no longer does", reason)
			}
		}
	}
}
