package accessentry_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eks"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/accessentry"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
)

// TestAListingThatLacksAnEntryProvesNothing: what is ours stays on record until
// EKS says of it alone that there is no such entry.
func TestAListingThatLacksAnEntryProvesNothing(t *testing.T) {
	b := newBed(t)
	ann, bob := b.user("ann"), b.user("bob")
	b.reconcile(wants(ann, "devs"), wants(bob, "devs"))
	stay := func(in *accessentry.Input) {
		in.Stay = map[string]time.Time{in.Record.Entries[0].Key(): {}, in.Record.Entries[1].Key(): {}}
	}
	for _, effect := range []fakeaws.Effect{"", fakeaws.Failing} {
		b.restart()
		b.aws.Inject(fakeaws.Fault{Action: "ListAccessEntries", Effect: fakeaws.EmptyListing, Times: 1})
		if effect != "" {
			b.aws.Inject(fakeaws.Fault{Action: "DescribeAccessEntry", Effect: effect})
		}
		b.apply(b.decide(stay))
		b.aws.ClearFaults()
		if len(b.record.Entries) != 2 {
			t.Fatalf("the record after an empty listing, close looks %q: got %+v", effect, b.record)
		}
	}
	b.restart()
	b.aws.Inject(fakeaws.Fault{Action: "ListAccessEntries", Effect: fakeaws.EmptyListing, Times: 1})
	b.aws.Inject(fakeaws.Fault{Action: "DescribeAccessEntry", Effect: fakeaws.Failing})
	b.apply(b.decide(func(in *accessentry.Input) { in.Keep = true }, wants(ann, "devs"), wants(bob, "devs")))
	b.aws.ClearFaults()
	if len(b.record.Entries) != 2 {
		t.Fatalf("in a target that is given up: got %+v", b.record)
	}

	_, err := b.client.DeleteAccessEntry(t.Context(), &eks.DeleteAccessEntryInput{ClusterName: aws.String(clusterName), PrincipalArn: &ann.ARN})
	if err != nil {
		t.Fatal(err)
	}
	b.apply(b.decide(nil))
	b.expect("what stands goes")
	if len(b.record.Entries) != 0 {
		t.Errorf("what is gone for sure is forgotten: got %+v", b.record)
	}
}

// TestEntriesInDoubtAreRemoved: an entry that EKS made without our getting the
// answer, and that the next listing lacks, is ours still.
func TestEntriesInDoubtAreRemoved(t *testing.T) {
	b := newBed(t)
	ann := b.user("ann")
	p := b.decide(nil, wants(ann, "devs"))
	b.record = p.Record
	b.cluster.Apply(t.Context(), p) // done, and the end before the record
	b.restart()
	b.aws.Inject(fakeaws.Fault{Action: "ListAccessEntries", Effect: fakeaws.EmptyListing, Times: 1})
	b.reconcile()
	b.reconcile()
	b.expect("it goes")
}
