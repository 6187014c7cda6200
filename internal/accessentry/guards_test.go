package accessentry_test

import (
	"net/http"
	"regexp"
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

// erase deletes the entry of a principal, as anybody may.
func (b *bed) erase(p rules.Principal) {
	b.Helper()
	if _, err := b.client.DeleteAccessEntry(b.Context(), &eks.DeleteAccessEntryInput{ClusterName: aws.String(clusterName), PrincipalArn: &p.ARN}); err != nil {
		b.Fatal(err)
	}
}

// remakes has another replica make our entry of a principal anew.
func (b *bed) remakes(p rules.Principal, groups ...string) {
	b.Helper()
	b.erase(p)
	_, err := b.client.CreateAccessEntry(b.Context(), &eks.CreateAccessEntryInput{
		ClusterName: aws.String(clusterName), PrincipalArn: &p.ARN, Username: aws.String("dev:user"), KubernetesGroups: groups,
		Tags: map[string]string{accessentry.OwnerTag: owner},
	})
	if err != nil {
		b.Fatal(err)
	}
}

// at does something before the nth request with this method about an entry
// itself, once.
func (b *bed) at(method string, nth int, do func()) {
	seen := 0
	b.before = func(r *http.Request) {
		about, found := strings.CutPrefix(r.URL.EscapedPath(), "/clusters/"+clusterName+"/access-entries/")
		if r.Method != method || !found || strings.Contains(about, "/") {
			return
		}
		if seen++; seen == nth {
			b.before = nil // what is done now makes requests, too
			do()
		}
	}
}

// plans are the changes of an entry of ours for ann, which stands there, each
// as it was decided before something happens.
func plans() []struct {
	name string
	plan func(*bed) (rules.Principal, accessentry.Plan)
} {
	return []struct {
		name string
		plan func(*bed) (rules.Principal, accessentry.Plan)
	}{
		{"removed", func(b *bed) (rules.Principal, accessentry.Plan) {
			ann := b.user("ann")
			b.reconcile(wants(ann, "devs"))
			return ann, b.decide(nil)
		}},
		{"changed", func(b *bed) (rules.Principal, accessentry.Plan) {
			ann := b.user("ann")
			b.reconcile(wants(ann, "devs"))
			return ann, b.decide(nil, wants(ann, "admins"))
		}},
		{"made again", func(b *bed) (rules.Principal, accessentry.Plan) {
			b.reconcile(wants(b.user("ann"), "devs"))
			ann := b.annAgain()
			b.restart()
			return ann, b.decide(nil, wants(ann, "devs"))
		}},
	}
}

// TestWhatTurnsOutNotToBeOursIsLeftAlone: somebody else's entry took the place of
// ours after the decision. It keeps who it lets in, and is forgotten.
func TestWhatTurnsOutNotToBeOursIsLeftAlone(t *testing.T) {
	for _, change := range plans() {
		b := newBed(t)
		ann, p := change.plan(b)
		if p.Idle() {
			t.Fatalf("%s: nothing is planned", change.name)
		}
		b.erase(ann)
		b.theirs(ann, "hers", "a")
		b.apply(p)
		b.expect("to be "+change.name, "user/ann hers [a] theirs")
		if len(b.last.NotOurs) != 1 || len(b.last.Removed)+len(b.last.Changed)+len(b.last.MadeAgain) != 0 || len(b.record.Entries) != 0 {
			t.Errorf("to be %s: it is said that it is not ours, and no more: got %+v", change.name, b.last)
		}
	}
}

// TestWhatCannotBeLookedAtStays: as it is, and on record.
func TestWhatCannotBeLookedAtStays(t *testing.T) {
	for _, change := range plans() {
		b := newBed(t)
		ann, p := change.plan(b)
		b.aws.Inject(fakeaws.Fault{Action: "DescribeAccessEntry", Effect: fakeaws.Failing})
		b.apply(p)
		if got := b.entries(); len(got) != 1 || !strings.HasPrefix(got[0], "user/ann dev:user [devs]") {
			t.Errorf("to be %s: got %s", change.name, got)
		}
		if b.last.Err == nil || len(b.record.Entries) != 1 || b.record.Entries[0].ARN != ann.ARN {
			t.Errorf("to be %s: it stays on record, with the trouble: got %+v", change.name, b.last)
		}
	}
}

// TestAnEntryThatIsGoneAlready: what was to be removed is gone, what was to be
// changed is made by the next pass and was not taken from anybody.
func TestAnEntryThatIsGoneAlready(t *testing.T) {
	for _, change := range plans() {
		b := newBed(t)
		ann, p := change.plan(b)
		b.erase(ann)
		b.apply(p)
		removed := change.name == "removed"
		if (len(b.last.Removed) == 1) != removed || (len(b.record.Entries) == 0) != removed || b.last.Err != nil {
			t.Errorf("to be %s: got %+v", change.name, b.last)
		}
		if !removed {
			b.reconcile(slices.Concat(p.Update, p.Recreate)...)
			if got := b.entries(); len(got) != 1 || strings.HasSuffix(got[0], "dead") {
				t.Errorf("to be %s: the next pass makes it: got %s", change.name, got)
			}
		}
	}

	b := newBed(t)
	ann := b.user("ann")
	b.reconcile(wants(ann, "devs"))
	p := b.decide(nil)
	b.at(http.MethodDelete, 1, func() { b.erase(ann) })
	b.apply(p)
	if len(b.last.Removed) != 1 || len(b.record.Entries) != 0 || b.last.Err != nil {
		t.Errorf("deleted between our look and our deletion: got %+v", b.last)
	}
}

// TestAnUpdateMakesNothingAgain: an entry that was made for an earlier principal
// does not let in the new one by another content. It goes on record first.
func TestAnUpdateMakesNothingAgain(t *testing.T) {
	b := newBed(t)
	b.reconcile(wants(b.user("ann"), "devs"))
	ann := b.annAgain()
	b.apply(accessentry.Plan{Update: []accessentry.Entry{wants(ann, "admins")}, Record: b.record})
	b.expect("nothing is changed yet", "user/ann dev:user [devs] dead")
	if !b.last.Again || len(b.last.Changed) != 0 {
		t.Errorf("the next pass is due at once: got %+v", b.last)
	}
	b.reconcile(wants(ann, "admins"))
	b.expect("by the next pass", "user/ann dev:user [admins]")
}

// TestWhatSaysTheSameIsNotWritten: the record lost that it was done.
func TestWhatSaysTheSameIsNotWritten(t *testing.T) {
	b := newBed(t)
	ann := b.user("ann")
	b.reconcile(wants(ann, "devs"))
	b.record.Entries[0].Pending = true
	p := b.reconcile(wants(ann, "devs"))
	if n := b.aws.Calls("UpdateAccessEntry"); n != 0 || len(p.Update) != 1 || len(b.last.Changed) != 0 || b.record.Entries[0].Pending {
		t.Errorf("%d writes; got %+v", n, b.last)
	}
}

// TestAdoptionTakesOnlyWhatLetsInTheSame: an entry of another type, one that was
// made for an earlier principal, and one that is gone.
func TestAdoptionTakesOnlyWhatLetsInTheSame(t *testing.T) {
	adopting := func(b *bed, e accessentry.Entry) accessentry.Plan {
		return b.decide(func(in *accessentry.Input) { in.Adopt = []accessentry.Entry{e} })
	}
	b := newBed(t)
	node := b.role("/", "node")
	_, err := b.client.CreateAccessEntry(t.Context(), &eks.CreateAccessEntryInput{ClusterName: aws.String(clusterName), PrincipalArn: &node.ARN, Type: aws.String("EC2_LINUX")})
	if err != nil {
		t.Fatal(err)
	}
	e := wants(node)
	e.Username = b.aws.AccessEntries(clusterName)[0].Username
	b.apply(adopting(b, e))
	if got := b.entries(); len(b.last.Adopted) != 0 || len(got) != 1 || !strings.HasSuffix(got[0], "theirs") {
		t.Errorf("an entry of a node's: got %s, %+v", got, b.last)
	}

	b = newBed(t)
	b.theirs(b.user("ann"), "dev:user", "devs")
	ann := b.annAgain()
	b.apply(adopting(b, wants(ann, "devs")))
	b.expect("made for an earlier principal", "user/ann dev:user [devs] theirs dead")
	if len(b.last.Adopted) != 0 || len(b.record.Entries) != 0 {
		t.Errorf("made for an earlier principal: got %+v", b.last)
	}
	b.pass(4 * time.Minute)
	if p := adopting(b, wants(ann, "devs")); len(p.Adopt) != 0 {
		t.Errorf("what cannot be adopted is not looked at again for minutes: got %+v", p)
	}

	b = newBed(t)
	bob := b.user("bob")
	b.theirs(bob, "dev:user", "devs")
	p := adopting(b, wants(bob, "devs"))
	b.erase(bob)
	b.apply(p)
	if len(b.last.Adopted) != 0 {
		t.Errorf("gone meanwhile: got %+v", b.last)
	}
	b.reconcile(wants(bob, "devs"))
	b.expect("gone meanwhile: the next pass makes it", "user/bob dev:user [devs]")
}

// TestARefusedEntryIsKnownToBeMissing: nobody asks for it.
func TestARefusedEntryIsKnownToBeMissing(t *testing.T) {
	b := newBed(t)
	b.aws.SetLag(fakeaws.Lag{Principal: time.Minute})
	ann := b.user("ann")
	b.reconcile(wants(ann, "devs"))
	if len(b.last.Refused) != 1 {
		t.Fatalf("it is refused at first: got %+v", b.last)
	}
	b.reconcile(wants(ann, "devs"))
	if n := b.aws.Calls("DescribeAccessEntry"); n != 0 {
		t.Errorf("it was looked at %d times", n)
	}
}

// TestMakingAgainLooksBeforeItDeletes: the first look, the record, and the second
// look, which comes after what others put on it was tried.
func TestMakingAgainLooksBeforeItDeletes(t *testing.T) {
	begin := func() (*bed, rules.Principal, accessentry.Plan) {
		b := newBed(t)
		ann := b.user("ann")
		b.reconcile(wants(ann, "devs"))
		b.others(ann)
		ann = b.annAgain()
		b.restart()
		p := b.decide(nil, wants(ann, "devs"))
		return b, ann, p
	}

	b, ann, p := begin()
	b.remakes(ann, "devs")
	deletions := b.aws.Calls("DeleteAccessEntry")
	b.apply(p)
	if n := b.aws.Calls("DeleteAccessEntry") - deletions; n != 0 || b.last.Again || b.record.Entries[0].Pending {
		t.Errorf("another replica was faster: %d deletions, %+v", n, b.last)
	}

	b, _, p = begin()
	b.record.Entries[0].Replaces, p.Record.Entries[0].Replaces = time.Time{}, time.Time{}
	b.at(http.MethodGet, 2, func() { t.Error("it goes on before it is on record that it is made again") })
	b.apply(p)
	if n := b.aws.Calls("DeleteAccessEntry"); n != 0 || !b.last.Again || b.record.Entries[0].Replaces.IsZero() {
		t.Errorf("not on record yet: %d deletions, %+v", n, b.last)
	}

	b, ann, p = begin()
	b.at(http.MethodGet, 2, func() { b.erase(ann); b.theirs(ann, "hers", "a") })
	b.apply(p)
	b.expect("somebody else's at the second look", "user/ann hers [a] theirs")
	if len(b.last.NotOurs) != 1 || len(b.record.Entries) != 0 {
		t.Errorf("somebody else's at the second look: got %+v", b.last)
	}

	b, ann, p = begin()
	b.at(http.MethodGet, 2, func() { b.remakes(ann, "devs") })
	b.apply(p)
	if n := b.aws.Calls("DeleteAccessEntry"); n != 1 || !b.last.Again {
		t.Errorf("another replica was faster at the second look: %d deletions, %+v", n-1, b.last)
	}

	b, _, p = begin()
	b.at(http.MethodGet, 2, func() { b.aws.Inject(fakeaws.Fault{Action: "DescribeAccessEntry", Effect: fakeaws.Failing}) })
	b.apply(p)
	if n := b.aws.Calls("DeleteAccessEntry"); n != 0 || b.last.Err == nil || len(b.record.Entries) != 1 {
		t.Errorf("trouble at the second look: %d deletions, %+v", n, b.last)
	}

	b, _, p = begin()
	b.aws.Inject(fakeaws.Fault{Action: "DeleteAccessEntry", Effect: fakeaws.Failing})
	calls := b.aws.Calls("CreateAccessEntry")
	b.apply(p)
	if n := b.aws.Calls("CreateAccessEntry") - calls; n != 0 || b.last.Err == nil || !b.record.Entries[0].Pending {
		t.Errorf("trouble with the deletion: %d tries to make it anew, %+v", n, b.last)
	}
}

// TestWhatIsPutBack: not the policy that is ours for the whole cluster, not what
// AWS alone can put there, and nothing twice.
func TestWhatIsPutBack(t *testing.T) {
	b := newBed(t)
	ann := b.user("ann")
	b.reconcile(wants(ann, "devs"))
	_, err := b.client.AssociateAccessPolicy(t.Context(), &eks.AssociateAccessPolicyInput{
		ClusterName: aws.String(clusterName), PrincipalArn: &ann.ARN, PolicyArn: aws.String(adminPolicy),
		AccessScope: &types.AccessScope{Type: types.AccessScopeTypeNamespace, Namespaces: []string{"shop"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	ann = b.annAgain()
	b.restart()
	b.reconcile(wants(ann, "devs", rules.GroupMasters))
	if got, want := b.on(ann), "ClusterAdminPolicy cluster[], team= works=true"; got != want {
		t.Errorf("masters are masters of the whole cluster: got %s, want %s", got, want)
	}

	b = newBed(t)
	b.reconcile(wants(b.user("ann"), "devs"))
	b.others(rules.Principal{ARN: b.record.Entries[0].ARN})
	ann = b.annAgain()
	b.restart()
	p := b.decide(nil, wants(ann, "devs"))
	b.aws.Inject(fakeaws.Fault{Action: "AssociateAccessPolicy", Effect: fakeaws.Failing, After: 2, Times: 1})
	b.apply(p)
	if x := b.record.Entries[0].Extra; len(x.Tags) != 0 || len(x.Policies) != 2 {
		t.Errorf("the tag is back, the policies are owed: got %+v", x)
	}

	b = newBed(t)
	b.answers(regexp.MustCompile(`"tags":{"`), `"tags":{"aws:cloudformation:stack-name":"people","`)
	b.reconcile(wants(b.user("ann"), "devs"))
	ann = b.annAgain()
	b.restart()
	b.reconcile(wants(ann, "devs"))
	b.expect("a tag of AWS's own cannot be put back", "user/ann dev:user [devs]")
	if len(b.last.Refused) != 0 {
		t.Errorf("a tag of AWS's own cannot be put back: got %+v", b.last.Refused)
	}
}
