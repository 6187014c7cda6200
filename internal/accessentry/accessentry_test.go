package accessentry_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/google/go-cmp/cmp"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/accessentry"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

func (b *bed) expect(reason string, want ...string) {
	b.Helper()
	if diff := cmp.Diff(want, b.entries()); diff != "" {
		b.Errorf("%s: -want +got\n%s", reason, diff)
	}
}

func TestEntriesFollowWhatIsWanted(t *testing.T) {
	b := newBed(t)
	ann, ops := b.user("ann"), b.role("/a/b/", "ops")
	b.reconcile(wants(ann, "devs"), wants(ops, "ops", rules.GroupMasters))
	b.expect("roles keep their path, masters get a policy",
		"role/a/b/ops dev:role [ops] ["+adminPolicy+"]", "user/ann dev:user [devs]")
	if p := b.reconcile(wants(ann, "devs"), wants(ops, "ops", rules.GroupMasters)); !p.Idle() || !p.Complete {
		t.Errorf("nothing is to be done twice: got %+v", p)
	}
	b.reconcile(wants(ann, "admins", rules.GroupMasters), wants(ops, "ops"))
	b.expect("groups and policies change", "role/a/b/ops dev:role [ops]", "user/ann dev:user [admins] ["+adminPolicy+"]")
	b.reconcile(wants(ops))
	b.expect("what is not wanted goes, and groups can be none", "role/a/b/ops dev:role []")
	if len(b.record.Entries) != 1 || b.record.Entries[0].Pending {
		t.Errorf("the record follows: got %+v", b.record)
	}
}

func TestNoChangeTakesListingsOnly(t *testing.T) {
	b := newBed(t)
	ann := b.user("ann")
	b.reconcile(wants(ann, "devs"))
	for range 3 {
		b.pass(15 * time.Second)
		b.reconcile(wants(ann, "devs"))
	}
	if n := b.aws.Calls("DescribeAccessEntry") + b.aws.Calls("UpdateAccessEntry"); n != 0 {
		t.Errorf("%d calls about an entry that was just made", n)
	}
	if n := b.aws.Calls("DescribeCluster"); n != 4 {
		t.Errorf("the mode was asked for %d times in 4 passes", n)
	}
	if err := b.aws.SetAuthenticationMode(clusterName, fakeaws.ModeAPI); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		b.pass(15 * time.Second)
		b.reconcile(wants(ann, "devs"))
	}
	if n := b.aws.Calls("DescribeCluster"); n != 5 {
		t.Errorf("the mode API is for good, and was asked for %d times in a minute", n-4)
	}
}

func TestForeignEntriesAreLeftAlone(t *testing.T) {
	b := newBed(t)
	ann, bob, eve := b.user("ann"), b.user("bob"), b.user("eve")
	b.theirs(ann, "hers", "a")
	b.reconcile(wants(ann, "devs"))
	b.expect("an entry that was there first", "user/ann hers [a] theirs")

	b.record.Entries = append(b.record.Entries, accessentry.Owned{Kind: rules.User, ARN: ann.ARN, Digest: "x"})
	b.apply(b.decide(nil))
	b.expect("the record alone does not make it ours", "user/ann hers [a] theirs")
	if len(b.record.Entries) != 0 {
		t.Errorf("what carries no tag of ours is forgotten: got %+v, %+v", b.last, b.record)
	}

	p := b.decide(nil, wants(bob, "devs"))
	b.theirs(bob, "his", "b")
	b.apply(p)
	b.expect("somebody was faster", "user/ann hers [a] theirs", "user/bob his [b] theirs")
	if len(b.last.NotOurs) != 1 || len(b.record.Entries) != 0 {
		t.Errorf("the plan is given up: got %+v, %+v", b.last, b.record)
	}

	b.reconcile(wants(eve, "devs"))
	b.cluster = accessentry.New(accessentry.Config{EKS: b.client, Name: clusterName, Owner: "other/installation", Now: b.Now})
	b.reconcile()
	b.expect("another installation's tag", "user/ann hers [a] theirs", "user/bob his [b] theirs", "user/eve dev:user [devs]")
}

func TestTooNewPrincipalsAreTriedAgain(t *testing.T) {
	b := newBed(t)
	b.aws.SetLag(fakeaws.Lag{Principal: 5 * time.Second})
	ann := b.user("ann")
	want := wants(ann, "devs")
	b.reconcile(want)
	if len(b.last.Refused) != 1 || b.last.Err != nil {
		t.Fatalf("it is refused, which is no trouble with EKS: got %+v", b.last)
	}
	p := b.reconcile(want)
	if !p.Idle() || p.Complete || len(p.Waiting) != 1 || p.Next.Sub(b.Now()) != 2*time.Second {
		t.Errorf("it waits for two seconds: got %+v", p)
	}
	b.pass(2 * time.Second)
	if p = b.reconcile(want); p.Idle() || len(b.last.Refused) != 1 {
		t.Errorf("it is tried again: got %+v", p)
	}
	b.pass(4 * time.Second)
	b.reconcile(want)
	b.expect("EKS knows it by now", "user/ann dev:user [devs]")
	if p = b.reconcile(want); !p.Complete {
		t.Errorf("everything stands: got %+v", p)
	}
}

func TestPrincipalsThatWereMadeAgain(t *testing.T) {
	b := newBed(t)
	b.reconcile(wants(b.user("ann"), "devs"))
	if err := b.aws.DeleteUser("ann"); err != nil {
		t.Fatal(err)
	}
	b.pass(2 * time.Second)
	ann := b.user("ann")
	b.expect("an entry is pinned to the unique id", "user/ann dev:user [devs] dead")
	b.reconcile(wants(ann, "devs"))
	b.expect("it is made again", "user/ann dev:user [devs]")
	if len(b.last.MadeAgain) != 1 {
		t.Errorf("it is told: got %+v", b.last)
	}

	b.record.Entries[0].ID = "" // not known, as after a move
	if err := b.aws.DeleteUser("ann"); err != nil {
		t.Fatal(err)
	}
	b.pass(2 * time.Second)
	ann = b.user("ann")
	b.restart()
	b.reconcile(wants(ann, "devs"))
	b.expect("the close look finds it by its age", "user/ann dev:user [devs]")
}

func TestDriftIsFoundByAndBy(t *testing.T) {
	b := newBed(t)
	var want []accessentry.Entry
	for i := range 25 {
		want = append(want, wants(b.user(fmt.Sprintf("u%02d", i)), "devs"))
	}
	b.reconcile(want...)
	_, err := b.client.UpdateAccessEntry(t.Context(), &eks.UpdateAccessEntryInput{
		ClusterName: aws.String(clusterName), PrincipalArn: &want[24].ARN, KubernetesGroups: []string{"other"},
	})
	if err != nil {
		t.Fatal(err)
	}
	b.restart()
	for pass := 1; ; pass++ {
		b.reconcile(want...)
		if n := b.aws.Calls("DescribeAccessEntry"); n > 10*pass+1 {
			t.Fatalf("%d close looks in %d passes", n, pass)
		}
		if !strings.Contains(strings.Join(b.entries(), "\n"), "other") {
			break
		}
		if pass == 3 {
			t.Fatal("25 entries take three passes")
		}
	}
	for _, e := range want[:3] {
		if _, err := b.client.DeleteAccessEntry(t.Context(), &eks.DeleteAccessEntryInput{ClusterName: aws.String(clusterName), PrincipalArn: &e.ARN}); err != nil {
			t.Fatal(err)
		}
	}
	b.reconcile(want...)
	if n := len(b.entries()); n != 25 {
		t.Errorf("what somebody deleted is put back: %d of 25", n)
	}
}

func TestCrashesLeaveNothingInDoubt(t *testing.T) {
	b := newBed(t)
	ann := b.user("ann")
	p := b.decide(nil, wants(ann, "devs"))
	b.record = p.Record // stored, and the end before any call
	b.restart()
	b.reconcile(wants(ann, "devs"))
	b.expect("before the call", "user/ann dev:user [devs]")

	p = b.decide(nil, wants(ann, "admins", rules.GroupMasters))
	b.record = p.Record
	b.cluster.Apply(t.Context(), p) // done, and the end before the record
	b.restart()
	b.reconcile(wants(ann, "admins", rules.GroupMasters))
	b.expect("after the calls", "user/ann dev:user [admins] ["+adminPolicy+"]")

	b.aws.Inject(fakeaws.Fault{Action: "AssociateAccessPolicy", Effect: fakeaws.Failing, Times: 1})
	bob := b.user("bob")
	b.reconcile(wants(ann, "devs"), wants(bob, rules.GroupMasters))
	if b.last.Err == nil || strings.Contains(b.last.Err.Error(), "RequestID") {
		t.Errorf("half an entry is an error, in words that stay: got %v", b.last.Err)
	}
	b.reconcile(wants(ann, "devs"), wants(bob, rules.GroupMasters))
	b.expect("half an entry is completed", "user/ann dev:user [devs]", "user/bob dev:user [] ["+adminPolicy+"]")
}

func TestTroubleWithEKS(t *testing.T) {
	b := newBed(t)
	ann := b.user("ann")
	b.reconcile(wants(ann, "devs"))
	for _, effect := range []fakeaws.Effect{fakeaws.Throttled, fakeaws.Failing, fakeaws.Denied} {
		b.aws.Inject(fakeaws.Fault{Action: "ListAccessEntries", Effect: effect, Times: 1})
		if p := b.reconcile(); !p.Idle() || p.Complete || len(p.Record.Entries) != 1 {
			t.Errorf("%s: nothing is concluded: got %+v", effect, p)
		}
	}
	b.aws.Inject(fakeaws.Fault{Action: "ListAccessEntries", Effect: fakeaws.EmptyListing, Times: 1})
	b.reconcile(wants(ann, "devs"))
	b.expect("an empty listing makes nothing twice", "user/ann dev:user [devs]")

	b.restart()
	b.aws.Inject(fakeaws.Fault{Action: "DescribeAccessEntry", Effect: fakeaws.Throttled, Times: 1})
	bob := b.user("bob")
	b.reconcile(wants(ann, "devs"), wants(bob, "devs"))
	b.expect("a close look that fails holds up nobody new", "user/ann dev:user [devs]", "user/bob dev:user [devs]")
	if b.last.View.LookErr == nil {
		t.Error("it is told")
	}

	b.aws.Inject(fakeaws.Fault{Effect: fakeaws.Failing, After: 1})
	var want []accessentry.Entry
	for i := range 50 {
		want = append(want, wants(b.user(fmt.Sprintf("u%02d", i)), "devs"))
	}
	before := b.aws.Calls("CreateAccessEntry")
	b.reconcile(want...)
	if n := b.aws.Calls("CreateAccessEntry") - before; b.last.Err == nil || n > 20 {
		t.Errorf("a dead EKS is not asked 50 times: %d, %v", n, b.last.Err)
	}
}

func TestTheLimit(t *testing.T) {
	b := newBed(t)
	ann, bob := b.user("ann"), b.user("bob")
	p := b.decide(func(in *accessentry.Input) {
		for i := range accessentry.Limit - 1 {
			in.View.Listed[fmt.Sprint(i)] = true
		}
	}, wants(ann, "devs"), wants(bob, "devs"))
	if len(p.Create) != 1 || p.Create[0].ARN != ann.ARN || len(p.Overflow) != 1 || p.Complete {
		t.Errorf("the first in order gets the last place: got %+v", p)
	}
}

func TestGivingATargetUp(t *testing.T) {
	b := newBed(t)
	ann, bob, eve := b.user("ann"), b.user("bob"), b.user("eve")
	b.reconcile(wants(ann, "devs"), wants(bob, "devs"))
	keep := func(in *accessentry.Input) { in.Keep = true }
	b.apply(b.decide(keep, wants(ann, "devs"), wants(bob, "devs"), wants(eve, "devs")))
	b.expect("while the other target is not complete", "user/ann dev:user [devs]", "user/bob dev:user [devs]")
	since := b.Now()
	b.apply(b.decide(func(in *accessentry.Input) {
		in.Empty, in.Stay = true, map[string]time.Time{strings.ToLower(bob.ARN): since}
	}, wants(ann, "devs"), wants(eve, "devs")))
	b.expect("what is held stays even then", "user/bob dev:user [devs]")
	if !b.record.Entries[0].HeldSince.Equal(since) {
		t.Errorf("since when is on record: got %+v", b.record)
	}
}

func TestAdoption(t *testing.T) {
	b := newBed(t)
	ann, bob := b.user("ann"), b.user("bob")
	b.theirs(ann, "dev:user", "devs")
	b.theirs(bob, "dev:user", "others")
	adopt := func(in *accessentry.Input) { in.Adopt = []accessentry.Entry{wants(ann, "devs"), wants(bob, "devs")} }
	b.apply(b.decide(adopt))
	b.expect("only what says the same", "user/ann dev:user [devs]", "user/bob dev:user [others] theirs")
	if len(b.last.Adopted) != 1 || len(b.record.Entries) != 1 {
		t.Errorf("it is on record: got %+v", b.last)
	}
	calls := b.aws.Calls("DescribeAccessEntry")
	b.apply(b.decide(func(in *accessentry.Input) { in.Adopt = []accessentry.Entry{wants(bob, "devs")} }, wants(ann, "devs")))
	if n := b.aws.Calls("DescribeAccessEntry") - calls; n > 0 {
		t.Errorf("what cannot be adopted is not asked for again at once: %d calls", n)
	}
}

func TestModes(t *testing.T) {
	b := newBed(t)
	if err := b.aws.AddCluster("old", fakeaws.ModeConfigMap); err != nil {
		t.Fatal(err)
	}
	old := accessentry.New(accessentry.Config{EKS: b.client, Name: "old", Owner: owner, Now: b.Now})
	if v := old.Look(t.Context(), b.record, nil); v.Err == nil || v.Mode.ReadsEntries() || !v.Mode.ReadsConfigMap() {
		t.Errorf("a cluster that reads aws-auth only: got %+v", v)
	} else if way := "aws eks update-cluster-config --name old --access-config authenticationMode=API_AND_CONFIG_MAP"; !strings.HasSuffix(v.Err.Error(), way) {
		t.Errorf("the way out is %q: got %v", way, v.Err)
	}
	b.aws.Inject(fakeaws.Fault{Action: "DescribeCluster", Effect: fakeaws.Denied})
	if mode, err := old.Mode(t.Context()); err != nil || mode != accessentry.ModeConfigMap {
		t.Errorf("the mode is remembered: got %s, %v", mode, err)
	}
	b.pass(5 * time.Minute)
	if mode, err := old.Mode(t.Context()); err == nil || mode != accessentry.ModeConfigMap {
		t.Errorf("on an error it is the last one: got %s, %v", mode, err)
	}
}
