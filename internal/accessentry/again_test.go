package accessentry_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/aws/aws-sdk-go-v2/service/eks/types"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/accessentry"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

const (
	viewPolicy = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy"
	editPolicy = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSEditPolicy"
)

// others puts two policies and a tag on an entry, as people do.
func (b *bed) others(p rules.Principal) {
	b.Helper()
	for policy, scope := range map[string]types.AccessScope{
		viewPolicy: {Type: types.AccessScopeTypeCluster},
		editPolicy: {Type: types.AccessScopeTypeNamespace, Namespaces: []string{"shop", "web"}},
	} {
		_, err := b.client.AssociateAccessPolicy(b.Context(), &eks.AssociateAccessPolicyInput{
			ClusterName: aws.String(clusterName), PrincipalArn: &p.ARN, PolicyArn: &policy, AccessScope: &scope,
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	out, err := b.client.DescribeAccessEntry(b.Context(), &eks.DescribeAccessEntryInput{ClusterName: aws.String(clusterName), PrincipalArn: &p.ARN})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := b.client.TagResource(b.Context(), &eks.TagResourceInput{ResourceArn: out.AccessEntry.AccessEntryArn, Tags: map[string]string{"team": "shop"}}); err != nil {
		b.Fatal(err)
	}
}

// on is what others put on the entry of a principal, and ours beside it.
func (b *bed) on(p rules.Principal) string {
	b.Helper()
	out, err := b.client.ListAssociatedAccessPolicies(b.Context(), &eks.ListAssociatedAccessPoliciesInput{ClusterName: aws.String(clusterName), PrincipalArn: &p.ARN})
	if err != nil {
		return "no entry"
	}
	var parts []string
	for _, a := range out.AssociatedAccessPolicies {
		parts = append(parts, fmt.Sprintf("%s %s%v", strings.TrimPrefix(*a.PolicyArn, "arn:aws:eks::aws:cluster-access-policy/AmazonEKS"), a.AccessScope.Type, a.AccessScope.Namespaces))
	}
	for _, e := range b.aws.AccessEntries(clusterName) {
		if e.PrincipalARN == p.ARN {
			parts = append(parts, fmt.Sprintf("team=%s works=%t", e.Tags["team"], e.Works))
		}
	}
	return strings.Join(parts, ", ")
}

// annAgain deletes the user ann and makes it again.
func (b *bed) annAgain() rules.Principal {
	b.Helper()
	b.pass(2 * time.Second)
	if err := b.aws.DeleteUser("ann"); err != nil {
		b.Fatal(err)
	}
	b.pass(2 * time.Second)
	return b.user("ann")
}

const everything = "ClusterAdminPolicy cluster[], EditPolicy namespace[shop web], ViewPolicy cluster[], team=shop works=true"

// TestMadeAgainEntriesKeepWhatOthersPutOnThem: policies with their scopes, tags.
func TestMadeAgainEntriesKeepWhatOthersPutOnThem(t *testing.T) {
	b := newBed(t)
	ann := b.user("ann")
	b.reconcile(wants(ann, "devs", rules.GroupMasters))
	b.others(ann)
	ann = b.annAgain()
	b.restart() // or what the process knows is that nobody put anything on it
	b.reconcile(wants(ann, "devs", rules.GroupMasters))
	if got := b.on(ann); got != everything {
		t.Errorf("in one pass: got %s", got)
	}
	if o := b.record.Entries[0]; o.Pending || !o.Extra.IsZero() || o.ID != ann.ID {
		t.Errorf("the record of an entry that is done: got %+v", o)
	}

	ann = b.annAgain()
	b.reconcile(wants(ann, "devs"))
	if got, want := b.on(ann), strings.TrimPrefix(everything, "ClusterAdminPolicy cluster[], "); got != want {
		t.Errorf("all but what the rules no longer give: got %s", got)
	}
}

// TestNothingIsDeletedBeforeItIsOnRecord: what others put on an entry after it
// was looked at is put on record first, and the next pass goes on at once.
func TestNothingIsDeletedBeforeItIsOnRecord(t *testing.T) {
	b := newBed(t)
	ann := b.user("ann")
	b.reconcile(wants(ann, "devs"))
	ann = b.annAgain()
	p := b.decide(nil, wants(ann, "devs"))
	b.others(ann)
	b.apply(p)
	if b.aws.Calls("DeleteAccessEntry") != 0 || !b.last.Again {
		t.Errorf("nothing is deleted yet, and the next pass is due: got %+v", b.last)
	}
	b.reconcile(wants(ann, "devs"))
	if got := b.on(ann); !strings.Contains(got, "EditPolicy namespace[shop web], ViewPolicy") || !strings.Contains(got, "team=shop works=true") {
		t.Errorf("by the next pass: got %s", got)
	}
}

// TestHalfMadeEntriesAreFinished: whichever call fails, and whether or not the
// process ends before the record is written.
func TestHalfMadeEntriesAreFinished(t *testing.T) {
	for _, action := range []string{"DeleteAccessEntry", "CreateAccessEntry", "TagResource", "AssociateAccessPolicy"} {
		for after := range 6 {
			for _, crash := range []bool{false, true} {
				b := newBed(t)
				ann := b.user("ann")
				b.reconcile(wants(ann, "devs", rules.GroupMasters))
				b.others(ann)
				ann = b.annAgain()
				b.restart()
				p := b.decide(nil, wants(ann, "devs", rules.GroupMasters))
				b.aws.Inject(fakeaws.Fault{Action: action, Effect: fakeaws.Failing, After: after, Times: 1})
				if crash {
					b.record = p.Record
					b.cluster.Apply(t.Context(), p)
					b.restart()
				} else {
					b.apply(p)
				}
				b.aws.ClearFaults()
				for range 2 {
					b.reconcile(wants(ann, "devs", rules.GroupMasters))
				}
				if got := b.on(ann); got != everything || b.record.Entries[0].Pending {
					t.Errorf("call %d of %s fails, crash %t: got %s, %+v", after+1, action, crash, got, b.record)
				}
			}
		}
	}
}

// TestAHintMakesNoEntryAgain: a listing that shows the id of an earlier
// principal, and a record that lost the last step.
func TestAHintMakesNoEntryAgain(t *testing.T) {
	b := newBed(t)
	old := b.user("ann")
	b.reconcile(wants(old, "devs"))
	b.pass(2 * time.Minute)
	ann := b.annAgain()
	b.reconcile(wants(ann, "devs"))
	b.others(ann)
	deletes := b.aws.Calls("DeleteAccessEntry")
	for _, listed := range []rules.Principal{old, ann, old} {
		b.restart()
		b.reconcile(wants(listed, "devs"))
		b.reconcile(wants(listed, "devs", "more"))
	}
	unknown := ann
	unknown.ID, unknown.CreateDate = "AIDAUNKNOWN", time.Time{}
	b.reconcile(wants(unknown, "devs"))
	if n := b.aws.Calls("DeleteAccessEntry") - deletes; n != 0 {
		t.Errorf("%d entries were deleted for a principal that is older than its entry", n)
	}

	ann = b.annAgain()
	b.pass(2 * time.Minute)
	b.reconcile(wants(ann, "devs"))
	deletes = b.aws.Calls("DeleteAccessEntry")
	b.record.Entries[0].ID, b.record.Entries[0].Pending = old.ID, true
	b.restart()
	b.reconcile(wants(ann, "devs"))
	if n := b.aws.Calls("DeleteAccessEntry") - deletes; n != 0 || b.record.Entries[0].ID != ann.ID {
		t.Errorf("a record that lost the last step catches up: %d deletions, %+v", n, b.record)
	}
}

// TestWhatCannotBePutBackIsNotDeleted: the permission shows on the old entry.
func TestWhatCannotBePutBackIsNotDeleted(t *testing.T) {
	for _, action := range []string{"TagResource", "AssociateAccessPolicy"} {
		b := newBed(t)
		ann, bob := b.user("ann"), b.user("bob")
		b.reconcile(wants(ann, "devs"))
		b.others(ann)
		ann = b.annAgain()
		b.restart()
		b.aws.Inject(fakeaws.Fault{Action: action, Effect: fakeaws.Denied})
		b.reconcile(wants(ann, "devs"), wants(bob, "devs"))
		if got := b.on(ann); !strings.Contains(got, "EditPolicy namespace[shop web], ViewPolicy") || b.aws.Calls("DeleteAccessEntry") > 0 {
			t.Errorf("%s denied: the old entry stays: got %s", action, got)
		}
		if len(b.last.Refused) != 1 || !strings.Contains(b.last.Refused[0].Reason, "what others put on it") || b.last.Err != nil {
			t.Errorf("%s denied: it is told, and holds up nobody else: got %+v", action, b.last)
		}
		b.aws.ClearFaults()
		b.pass(2 * time.Second)
		b.reconcile(wants(ann, "devs"), wants(bob, "devs"))
		if got := b.on(ann); !strings.Contains(got, "works=true") {
			t.Errorf("%s allowed: it is made again: got %s", action, got)
		}
	}
}

func TestRecordsHoldWhatOthersPutOnEntries(t *testing.T) {
	r := accessentry.Record{Cluster: "c", Entries: []accessentry.Owned{{
		Kind: rules.User, ARN: "arn:aws:iam::123456789012:user/ann", ID: "AIDA", Digest: "d", Pending: true,
		Extra: accessentry.Extra{
			Policies: []accessentry.Policy{{ARN: viewPolicy}, {ARN: editPolicy, Namespaces: []string{"web", "shop"}}},
			Tags:     map[string]string{"team": "shop"},
		},
	}}}
	encoded, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := accessentry.DecodeRecord(encoded)
	if err != nil || !back.Equal(r) {
		t.Errorf("what was encoded comes back: got %+v, %v", back, err)
	}
	back.Entries[0].Extra.Policies = slices.Clone(back.Entries[0].Extra.Policies)
	back.Entries[0].Extra.Policies[1].Namespaces = []string{"web"}
	if back.Equal(r) {
		t.Error("another scope is another record")
	}
}

// TestEntryThatWasMadeAgainStays: the process that made it again ended before
// its record said so.
func TestEntryThatWasMadeAgainStays(t *testing.T) {
	b := newBed(t)
	b.reconcile(wants(b.user("ann"), "devs"))
	if err := b.aws.DeleteUser("ann"); err != nil {
		t.Fatal(err)
	}
	b.pass(time.Second)
	ann := b.user("ann")
	b.pass(5 * time.Second)
	p := b.decide(nil, wants(ann, "devs"))
	b.record = p.Record
	b.cluster.Apply(t.Context(), p)
	b.restart()
	before := b.aws.Calls("DeleteAccessEntry")
	b.reconcile(wants(ann, "admins"))
	b.expect("it says what it should", "user/ann dev:user [admins]")
	if n := b.aws.Calls("DeleteAccessEntry") - before; n != 0 {
		t.Errorf("the entry was deleted %d times although it works", n)
	}
	if got := b.record.Entries[0]; got.ID != ann.ID || got.Pending {
		t.Errorf("the record is in step: got %+v", got)
	}
}

// TestEntryThatAnotherProcessMadeAgainIsNotGone: that this process has deleted
// it is known no longer once another one has recorded it anew.
func TestEntryThatAnotherProcessMadeAgainIsNotGone(t *testing.T) {
	b := newBed(t)
	var want []accessentry.Entry
	for i := range 12 { // more than are looked at closely at a time
		want = append(want, wants(b.user(fmt.Sprintf("ann-%02d", i)), "devs"))
	}
	b.reconcile(want...)
	b.reconcile()
	first := b.cluster
	b.restart()
	b.reconcile(want...)
	b.aws.Inject(fakeaws.Fault{Action: "ListAccessEntries", Effect: fakeaws.EmptyListing, Times: 1})
	if view := first.Look(t.Context(), b.record, nil); len(view.Gone) > 0 {
		t.Errorf("all stand there, and these are said to be gone: %v", view.Gone)
	}
}

// TestDeletedEntryIsNobodys: what we have deleted just now is not somebody
// else's because a listing still shows it.
func TestDeletedEntryIsNobodys(t *testing.T) {
	b := newBed(t)
	ann := wants(b.user("ann"), "devs")
	b.reconcile(ann)
	b.reconcile()
	b.expect("it is deleted")
	if _, err := b.cluster.Make(t.Context(), ann); err != nil { // as if it still were listed
		t.Fatal(err)
	}
	if foreign := b.cluster.Look(t.Context(), b.record, nil).Foreign(b.record); len(foreign) > 0 {
		t.Errorf("at first: %v", foreign)
	}
	b.pass(accessentry.SettleTime)
	if foreign := b.cluster.Look(t.Context(), b.record, nil).Foreign(b.record); len(foreign) != 1 {
		t.Errorf("in the end: %v", foreign)
	}
}

// TestWhoIsGrantedAccessAgainIsNotHeld: else the next removal would pass for one
// that was held long enough.
func TestWhoIsGrantedAccessAgainIsNotHeld(t *testing.T) {
	ann := accessentry.Entry{Kind: rules.User, ARN: "arn:aws:iam::123456789012:user/ann", Username: "dev:user"}
	held := accessentry.Owned{Kind: rules.User, ARN: ann.ARN, Digest: ann.Digest(), HeldSince: time.Now()}
	in := accessentry.Input{
		Now: time.Now(), Record: accessentry.Record{Cluster: clusterName, Entries: []accessentry.Owned{held}}, Want: []accessentry.Entry{ann},
	}
	cases := map[string]struct {
		reason string
		change func(*accessentry.Input)
	}{
		"Unknown": {"EKS cannot be asked", func(*accessentry.Input) {}},
		"Keep":    {"the target is given up", func(in *accessentry.Input) { in.Keep, in.View.Listed = true, map[string]bool{ann.Key(): true} }},
		"Want":    {"all is well", func(in *accessentry.Input) { in.View.Listed = map[string]bool{ann.Key(): true} }},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			in := in
			c.change(&in)
			if got := accessentry.Decide(in).Record.Entries; len(got) != 1 || !got[0].HeldSince.IsZero() {
				t.Errorf("%s: got %+v", c.reason, got)
			}
		})
	}
}
