package controllers

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/accessentry"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/awsauth"
)

const (
	nodes = "- rolearn: arn:aws:iam::123456789012:role/nodes # ours to keep\n  username: system:node:{{EC2PrivateDNSName}}\n" +
		"  groups: [system:bootstrappers, system:nodes]\n"
	robert = "# by hand\n- userarn: arn:aws:iam::123456789012:user/robert\n  username: robert\n"
)

// heldUp is a leader that stands still before its call number at, while the
// next one leads.
func (w *world) heldUp(former *AWSAuthReconciler, at int, meanwhile func()) (reached bool) {
	w.Helper()
	calls := 0
	former.store.configMaps = interfered{w.core.ConfigMaps(w.namespace), func(string, string) error {
		if calls++; calls == at {
			meanwhile()
		}
		return nil
	}}
	_, _ = former.Reconcile(w.Context(), request()) // may end in a conflict
	return calls >= at
}

// TestAFormerLeaderUndoesNothing holds a leader up before each of its calls, has
// the next one lead meanwhile, and lets the former one go on: whom the next one
// let in stays in, what others wrote stays as it is, and after the next refresh
// all is as the next one made it.
func TestAFormerLeaderUndoesNothing(t *testing.T) {
	for name, next := range map[string]term{
		"new tags":                     {in: []string{"tmp-foo-1", "payer"}},
		"new tags and rules":           {in: []string{"tmp-foo-1", "payer", "tmp-bar-1"}, rules: barRule},
		"a minute, new tags and rules": {in: []string{"tmp-foo-1", "payer", "tmp-bar-1"}, rules: barRule, long: true},
	} {
		t.Run(name, func(t *testing.T) {
			for at := 1; ; at++ {
				w := newWorld(t)
				w.apply("aws-auth", map[string]string{"mapUsers": person, "mapRoles": nodes})
				w.rules(fooRule + teamRule)
				w.createUsers("tmp-foo-1", "tmp-foo-2", "payer", "tmp-bar-1")
				// Others than the interval have it refresh: it trusts its listing.
				w.config.RefreshInterval = time.Hour
				w.restart()
				w.refresh()
				former := w.refresher
				// What the former leader has to write: an entry somebody took out.
				w.edit(person + entry("tmp-foo-1", "foo", "system:masters"))

				reached := w.heldUp(former, at, func() { w.nextLeads(next) })
				if !reached {
					return
				}
				w.expectNobodyLost(fmt.Sprintf("held up before call %d", at), next.in...)
				w.settle()
				w.expectNobodyLost(fmt.Sprintf("held up before call %d, and refreshed again", at), next.in...)
				w.expectOnly(next.in...)
			}
		})
	}
}

// term is what happens while the next one leads: more rules, and a minute that
// passes. At its end these users of ours are in.
type term struct {
	in    []string
	rules string
	long  bool
}

// nextLeads is a term in which a tag lets somebody in, a user goes, and somebody
// edits aws-auth by hand.
func (w *world) nextLeads(t term) {
	w.Helper()
	w.restart()
	w.tag("payer", "team", "payments")
	w.deleteUsers("tmp-foo-2")
	w.edit(robert + w.mapUsers())
	w.refresh()
	if t.rules != "" {
		w.rules(fooRule + teamRule + t.rules)
		w.refresh()
	}
	if t.long {
		w.oftenNow()
		w.settle()
	}
}

// oftenNow restarts with a short interval, and lets whoever is gone go.
func (w *world) oftenNow() {
	w.Helper()
	w.config.RefreshInterval = 15 * time.Second
	w.restart()
	w.settle()
}

// TestAFormerLeaderUndoesNoAccessEntry: the same for the other target, where no
// version of EKS ties a change.
func TestAFormerLeaderUndoesNoAccessEntry(t *testing.T) {
	const barDev = "- arnRegex: ^arn:aws:iam::123456789012:user/tmp-bar-.*$\n  username: bar\n  groups: [testers]\n"
	for at := 1; ; at++ {
		w := newEntryWorld(t, TargetAccessEntries, accessentry.ModeAPI)
		alice := "arn:aws:iam::123456789012:user/alice"
		_, err := w.eks.CreateAccessEntry(t.Context(), &eks.CreateAccessEntryInput{
			ClusterName: aws.String(eksCluster), PrincipalArn: &alice, Username: aws.String("alice"), KubernetesGroups: []string{"people"},
		})
		w.must(nil, err)
		w.rules(devRule)
		w.createUsers("tmp-foo-1", "tmp-bar-1")
		w.refresh()
		former := w.refresher
		w.createUsers("tmp-foo-2")
		w.pass(16 * time.Second)

		reached := w.heldUp(former, at, func() {
			w.choose(TargetAccessEntries)
			w.rules(devRule + barDev)
			w.later()
			w.later()
		})
		if !reached {
			return
		}
		want := []string{"alice alice [people]", "tmp-bar-1 bar [testers]", "tmp-foo-1 foo [developers]", "tmp-foo-2 foo [developers]"}
		w.expectEntries(fmt.Sprintf("held up before call %d", at), want...)
		w.settle()
		w.expectEntries(fmt.Sprintf("held up before call %d, and refreshed again", at), want...)
	}
}

// TestAFormerLeaderWritesNoStatus: the next one's is in its place by then.
func TestAFormerLeaderWritesNoStatus(t *testing.T) {
	w := newWorldWith(t, "tmp-foo-1")
	w.createUsers("tmp-foo-2")
	w.pass(16 * time.Second)
	before := w.get("aws-auth-refresher-status").ResourceVersion
	term, lose := context.WithCancel(t.Context())
	w.refresher.store.configMaps = interfered{w.core.ConfigMaps(w.namespace), func(_, name string) error {
		if name == "aws-auth-refresher-status" {
			lose()
		}
		return nil
	}}
	if _, err := w.refresher.Reconcile(term, request()); err != nil {
		t.Errorf("a lost Lease is an error: %v", err)
	}
	if after := w.get("aws-auth-refresher-status").ResourceVersion; after != before {
		t.Error("the status was written after the Lease was lost")
	}
}

// edit is kubectl edit.
func (w *world) edit(mapUsers string) {
	w.Helper()
	cm := w.get("aws-auth")
	cm.Data["mapUsers"] = mapUsers
	_, err := w.admin.Update(w.Context(), cm, metav1.UpdateOptions{FieldManager: "kubectl-edit"})
	w.must(nil, err)
}

// expectNobodyLost: these users of ours are in aws-auth, and what others wrote is
// there byte for byte.
func (w *world) expectNobodyLost(reason string, users ...string) {
	w.Helper()
	cm := w.get("aws-auth")
	if cm.Data["mapRoles"] != nodes || !strings.HasPrefix(cm.Data["mapUsers"], robert+person) {
		w.Errorf("%s: what others wrote has become\n%s%s", reason, cm.Data["mapUsers"], cm.Data["mapRoles"])
	}
	for _, user := range users {
		if n := strings.Count(cm.Data["mapUsers"], "user/"+user+"\n"); n != 1 {
			w.Errorf("%s: %s stands %d times in\n%s", reason, user, n, cm.Data["mapUsers"])
		}
	}
}

// expectOnly: nobody else of ours is left, and what is ours is on record;
// history and status can be read and tell the truth.
func (w *world) expectOnly(users ...string) {
	w.Helper()
	w.pass(2 * rememberAtLeast)
	w.oftenNow()
	if n := len(new(awsauth.Reader).Read(w.get("aws-auth").Data, 0).Entries()); n != len(users)+3 {
		w.Errorf("%d entries:\n%s", n, w.mapUsers())
	}
	_, record, err := w.refresher.store.readRecord(w.Context())
	if err != nil || len(record.Entries) < len(users) {
		w.Errorf("%d entries are on record: %v", len(record.Entries), err)
	}
	versions, err := (&Operator{ConfigMaps: w.admin, Names: w.config.Names, Clock: clock.RealClock{}}).Versions(w.Context())
	if err != nil || len(versions) == 0 {
		w.Errorf("%d versions are kept: %v", len(versions), err)
	}
	if c := w.condition(ConditionDegraded); c.Status != metav1.ConditionFalse {
		w.Errorf("the status says %+v", c)
	}
}
