package accessentry_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/aws/aws-sdk-go-v2/service/eks/types"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// takeOff takes policies from an entry, as people do.
func (b *bed) takeOff(p rules.Principal, policies ...string) {
	b.Helper()
	for _, policy := range policies {
		_, err := b.client.DisassociateAccessPolicy(b.Context(), &eks.DisassociateAccessPolicyInput{
			ClusterName: aws.String(clusterName), PrincipalArn: &p.ARN, PolicyArn: &policy,
		})
		if err != nil {
			b.Error(err)
		}
	}
}

// narrow has the view policy for one namespace, and the tag say something else.
func (b *bed) narrow(p rules.Principal) {
	b.Helper()
	_, err := b.client.AssociateAccessPolicy(b.Context(), &eks.AssociateAccessPolicyInput{
		ClusterName: aws.String(clusterName), PrincipalArn: &p.ARN, PolicyArn: aws.String(viewPolicy),
		AccessScope: &types.AccessScope{Type: types.AccessScopeTypeNamespace, Namespaces: []string{"web"}},
	})
	if err != nil {
		b.Error(err)
	}
	out, err := b.client.DescribeAccessEntry(b.Context(), &eks.DescribeAccessEntryInput{ClusterName: aws.String(clusterName), PrincipalArn: &p.ARN})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := b.client.TagResource(b.Context(), &eks.TagResourceInput{ResourceArn: out.AccessEntry.AccessEntryArn, Tags: map[string]string{"team": "web"}}); err != nil {
		b.Error(err)
	}
}

// shared gives ann an entry that others put something on, and makes ann again.
func (b *bed) shared() rules.Principal {
	b.Helper()
	ann := b.user("ann")
	b.reconcile(wants(ann, "devs"))
	b.others(ann)
	ann = b.annAgain()
	b.restart()
	return ann
}

// beforeCall does something before the n-th call with such a method whose path
// has so many parts: 4 for an entry, 5 for its policies.
func (b *bed) beforeCall(n int, method string, parts int, do func()) {
	b.before = func(r *http.Request) {
		if r.Method != method || strings.Count(r.URL.EscapedPath(), "/") != parts {
			return
		}
		if n--; n == 0 {
			b.before = nil
			do()
		}
	}
}

// TestWhatIsTakenOffStaysOff: off the old entry, while making it again waits.
func TestWhatIsTakenOffStaysOff(t *testing.T) {
	for _, action := range []string{"DeleteAccessEntry", "TagResource", "AssociateAccessPolicy"} {
		for _, restart := range []bool{false, true} {
			b := newBed(t)
			ann := b.shared()
			b.aws.Inject(fakeaws.Fault{Action: action, Effect: fakeaws.Failing, Times: 1})
			b.reconcile(wants(ann, "devs"))
			b.takeOff(ann, viewPolicy, editPolicy)
			b.pass(2 * time.Minute)
			if restart {
				b.restart()
			}
			for range 3 {
				b.reconcile(wants(ann, "devs"))
			}
			if got := b.on(ann); got != "team=shop works=true" {
				t.Errorf("%s failed once, restart %t; somebody took both policies off: got %s", action, restart, got)
			}
		}
	}
}

// TestWhatCannotBePutBackCanBeTakenOff: as the refusal suggests, and then
// nothing keeps the entry from being made again.
func TestWhatCannotBePutBackCanBeTakenOff(t *testing.T) {
	b := newBed(t)
	ann := b.shared()
	b.aws.Inject(fakeaws.Fault{Action: "AssociateAccessPolicy", Effect: fakeaws.Denied})
	b.reconcile(wants(ann, "devs"))
	if len(b.last.Refused) != 1 {
		t.Fatalf("got %+v", b.last)
	}
	b.takeOff(ann, viewPolicy, editPolicy)
	for range 12 {
		b.pass(time.Minute)
		b.reconcile(wants(ann, "devs"))
	}
	if got := b.on(ann); got != "team=shop works=true" {
		t.Errorf("nothing is left that cannot be put back: got %s; %v", got, b.last.Refused)
	}
}

// TestEditsOfTheOldEntryCount: up to its deletion, whether or not the process
// ends after that.
func TestEditsOfTheOldEntryCount(t *testing.T) {
	for look, step := range []string{"looked at", "looked at once more"} {
		for _, crash := range []bool{false, true} {
			b := newBed(t)
			ann := b.shared()
			p := b.decide(nil, wants(ann, "devs"))
			b.beforeCall(look+1, http.MethodGet, 4, func() { b.takeOff(ann, viewPolicy) })
			b.apply(p)
			if b.before != nil || b.aws.Calls("DeleteAccessEntry") > 0 {
				t.Fatalf("taken off before it is %s: deleted, and not on record", step)
			}
			if crash {
				b.aws.Inject(fakeaws.Fault{Action: "CreateAccessEntry", Effect: fakeaws.Failing, Times: 1})
				p := b.decide(nil, wants(ann, "devs"))
				b.record = p.Record
				b.cluster.Apply(t.Context(), p)
				b.restart()
			}
			for range 2 {
				b.reconcile(wants(ann, "devs"))
			}
			if got, want := b.on(ann), "EditPolicy namespace[shop web], team=shop works=true"; got != want {
				t.Errorf("taken off before it is %s, crash %t: got %s", step, crash, got)
			}
		}
	}
}

// TestEditsOfAHalfMadeEntryCount: what was put back and taken off again stays
// off, what somebody put there in other words stays so, and the rest is put back.
func TestEditsOfAHalfMadeEntryCount(t *testing.T) {
	cases := map[string]struct {
		reason string
		after  int // of AssociateAccessPolicy, two of them on the old entry
		edit   func(*bed, rules.Principal)
		want   string
	}{
		"TakenOff": {
			"the edit policy was put back", 3, func(b *bed, ann rules.Principal) { b.takeOff(ann, editPolicy) },
			"ViewPolicy cluster[], team=shop works=true",
		},
		"Narrowed": {
			"the tag was put back", 2, func(b *bed, ann rules.Principal) { b.narrow(ann) },
			"EditPolicy namespace[shop web], ViewPolicy namespace[web], team=web works=true",
		},
	}
	for name, c := range cases {
		for _, effect := range []fakeaws.Effect{fakeaws.Failing, fakeaws.Denied} {
			for _, restart := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/%t", name, effect, restart), func(t *testing.T) {
					b := newBed(t)
					ann := b.shared()
					b.aws.Inject(fakeaws.Fault{Action: "AssociateAccessPolicy", Effect: effect, After: c.after, Times: 1})
					b.reconcile(wants(ann, "devs"))
					c.edit(b, ann)
					if restart {
						b.restart()
					}
					for range 3 {
						b.pass(time.Minute)
						b.reconcile(wants(ann, "devs"))
					}
					if got := b.on(ann); got != c.want || b.record.Entries[0].Pending {
						t.Errorf("%s: got %s, %+v", c.reason, got, b.record)
					}
				})
			}
		}
	}
}

// TestHalfMadeEntriesOfEarlierPrincipalsLoseNothing: the principal is made once
// more before what others had put on its first entry is all on the second.
func TestHalfMadeEntriesOfEarlierPrincipalsLoseNothing(t *testing.T) {
	for after := range 5 {
		for _, crash := range []bool{false, true} {
			b := newBed(t)
			ann := b.shared()
			b.aws.Inject(fakeaws.Fault{Action: "AssociateAccessPolicy", Effect: fakeaws.Failing, After: after, Times: 1})
			p := b.decide(nil, wants(ann, "devs"))
			if crash {
				b.record = p.Record
				b.cluster.Apply(t.Context(), p)
				b.restart()
			} else {
				b.apply(p)
			}
			ann = b.annAgain()
			for range 5 {
				b.reconcile(wants(ann, "devs"))
			}
			if got, want := b.on(ann), "EditPolicy namespace[shop web], ViewPolicy cluster[], team=shop works=true"; got != want || b.record.Entries[0].Pending {
				t.Errorf("call %d fails, crash %t: got %s, %+v", after+1, crash, got, b.record)
			}
		}
	}
}

// TestEntriesThatAreNotMadeAgainAfterAllKeepEdits: a listing that was behind had
// it planned, and by now others have taken a policy off.
func TestEntriesThatAreNotMadeAgainAfterAllKeepEdits(t *testing.T) {
	b := newBed(t)
	old := b.user("ann")
	b.reconcile(wants(old, "devs"))
	b.others(old)
	b.restart()
	other := old
	other.ID, other.CreateDate = "AIDAOTHER", b.Now().Add(-time.Second)
	b.aws.Inject(fakeaws.Fault{Action: "DeleteAccessEntry", Effect: fakeaws.Failing, Times: 1})
	b.reconcile(wants(other, "devs"))
	b.takeOff(old, viewPolicy)
	b.pass(2 * time.Minute)
	for range 2 {
		b.reconcile(wants(old, "devs"))
	}
	if got, want := b.on(old), "EditPolicy namespace[shop web], team=shop works=true"; got != want || b.record.Entries[0].Pending {
		t.Errorf("got %s, %+v", got, b.record)
	}
}
