package controllers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/prometheus/client_golang/prometheus/testutil"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/principals"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// denyProofs has IAM list users and answer no question whether one exists.
func (w *world) denyProofs() {
	w.Helper()
	for _, action := range []string{"GetUser", "GetRole", "GetAccountAuthorizationDetails"} {
		w.aws.Inject(fakeaws.Fault{Action: action, Effect: fakeaws.Denied})
	}
}

// TestDeletionsThatCannotBeProven: who is deleted stays while IAM does not let us
// ask, and everybody hears of it, with the way out; which works.
func TestDeletionsThatCannotBeProven(t *testing.T) {
	w := newWorldWith(t, manyUsers(20)...)
	w.deleteUsers(manyUsers(20)...)
	w.denyProofs()
	for range 20 { // five minutes
		w.later()
	}
	c := w.condition(ConditionDeletionsProven)
	if c.Status != metav1.ConditionFalse || c.Reason != "Denied" || !strings.Contains(c.Message, "iam:GetUser and iam:GetRole") ||
		!strings.Contains(c.Message, "--unproven-removal=") {
		t.Errorf("condition %+v", c)
	}
	if d := w.condition(ConditionDegraded); d.Status != metav1.ConditionTrue || d.Message != c.Message {
		t.Errorf("condition %+v", d)
	}
	if n := w.events.count("Warning DeletionsProvenDenied"); n != 1 {
		t.Errorf("%d events: %q", n, w.events.notes)
	}
	if got := testutil.ToFloat64(w.config.Metrics.unproven); got != 20 {
		t.Errorf("the metric says %v", got)
	}
	if waiting := w.get("aws-auth-refresher-status").Data["waiting"]; strings.Count(waiting, "AccessDenied") < 3 {
		t.Errorf("waiting: %s", waiting)
	}

	t.Run("ByARight", func(t *testing.T) {
		w.aws.ClearFaults()
		w.settle()
		w.expectMapUsers("asked, IAM says who is gone", person)
		if c := w.condition(ConditionDeletionsProven); c.Status != metav1.ConditionTrue {
			t.Errorf("condition %+v", c)
		}
	})
}

// TestALongAbsenceCanBeTakenForADeletion is the other way out: a person chooses
// it, and the breaker bounds it.
func TestALongAbsenceCanBeTakenForADeletion(t *testing.T) {
	w := newWorld(t)
	w.config.Removal.UnprovenAfter = time.Hour
	w.restart()
	w.awsAuth(person)
	w.rules(fooRule)
	w.createUsers(manyUsers(20)...)
	w.refresh()
	w.denyProofs()
	w.deleteUsers("tmp-foo-00", "tmp-foo-01")
	w.settle()
	w.pass(57 * time.Minute)
	w.settle()
	if n := strings.Count(w.mapUsers(), "username: foo"); n != 20 {
		t.Errorf("%d entries before the hour is over, want 20", n)
	}
	w.pass(2 * time.Minute)
	w.settle()
	if n := strings.Count(w.mapUsers(), "username: foo"); n != 18 {
		t.Errorf("%d entries an hour later, want 18", n)
	}
	w.deleteUsers(manyUsers(20)[2:]...)
	w.settle()
	w.pass(time.Hour)
	w.settle()
	if c := w.condition(ConditionRemovalHeld); c.Status != metav1.ConditionTrue {
		t.Errorf("everybody is missing, and the breaker says %+v", c)
	}
}

// refusing does not answer about some principals.
type refusing struct {
	*principals.Lister
	bad   map[string]bool
	asked map[string]int
}

func (r *refusing) Exists(ctx context.Context, kind rules.Kind, principalARN string) (bool, error) {
	name := principalARN[strings.LastIndex(principalARN, "/")+1:]
	r.asked[name]++
	if r.bad[name] {
		return false, errors.New("AccessDenied: not on that path")
	}
	return r.Lister.Exists(ctx, kind, principalARN)
}

// TestThoseThatCannotBeAskedAboutHoldUpNobody: three of them come first, and all
// others get their turn.
func TestThoseThatCannotBeAskedAboutHoldUpNobody(t *testing.T) {
	w := newWorld(t)
	r := &refusing{w.lister(), map[string]bool{"tmp-foo-a1": true, "tmp-foo-a2": true, "tmp-foo-a3": true}, map[string]int{}}
	w.config.Lister = r
	w.restart()
	w.aws.Inject(fakeaws.Fault{Action: "GetAccountAuthorizationDetails", Effect: fakeaws.Denied})
	w.awsAuth(person)
	w.rules(fooRule)
	all := []string{"tmp-foo-a1", "tmp-foo-a2", "tmp-foo-a3", "tmp-foo-b1", "tmp-foo-b2"}
	w.createUsers(all...)
	w.refresh()
	w.deleteUsers(all...)
	for range 4 {
		w.later()
	}
	want := person
	for _, name := range all[:3] {
		want += entry(name, "foo", "system:masters")
	}
	w.expectMapUsers("the others are out", want)
	waiting := w.get("aws-auth-refresher-status").Data["waiting"]
	if strings.Count(waiting, "could not be asked for it: AccessDenied") != 3 || strings.Contains(waiting, "tmp-foo-b") {
		t.Errorf("waiting: %s", waiting)
	}
}

// TestManyDeletions: however many are deleted at once, all are out two listings
// later, and IAM is asked for few of them.
func TestManyDeletions(t *testing.T) {
	names := make([]string, 1000)
	for i := range names {
		names[i] = fmt.Sprintf("tmp-foo-%04d", i)
	}
	w := newWorldWith(t, names...)
	w.deleteUsers(names...)
	w.later()
	w.later()
	w.expectMapUsers("all are out", person)
	if n := w.aws.Calls("GetUser"); n > askedOneByOne {
		t.Errorf("%d calls of GetUser", n)
	}
	if n := w.aws.Calls("GetAccountAuthorizationDetails"); n != 1 {
		t.Errorf("%d calls of GetAccountAuthorizationDetails", n)
	}
}

// TestManyDeletionsWithoutTheRollCall: IAM is asked for each, as fast as that may
// be, and what is left is a backlog that people hear of.
func TestManyDeletionsWithoutTheRollCall(t *testing.T) {
	names := make([]string, 700)
	for i := range names {
		names[i] = fmt.Sprintf("tmp-foo-%04d", i)
	}
	w := newWorldWith(t, names...)
	w.aws.Inject(fakeaws.Fault{Action: "GetAccountAuthorizationDetails", Effect: fakeaws.Denied})
	w.deleteUsers(names...)
	w.later()
	w.pass(16 * time.Second)
	if next := w.refresh().RequeueAfter; next > verifySoon {
		t.Errorf("there are more to ask for, and the next refresh comes in %s", next)
	}
	if n := strings.Count(w.mapUsers(), "username: foo"); n != 100 {
		t.Errorf("%d are left, want the 100 beyond 600 a minute", n)
	}
	w.pass(time.Minute)
	w.refresh()
	w.expectMapUsers("and then the rest", person)
}

// TestABacklogIsSaid: where nobody's turn comes for minutes there is a condition.
func TestABacklogIsSaid(t *testing.T) {
	w := newWorldWith(t, manyUsers(20)...)
	lister := &limited{w.lister()}
	w.refresher.Lister = lister
	w.deleteUsers(manyUsers(20)...)
	for range 15 {
		w.later()
	}
	if c := w.condition(ConditionDeletionsProven); c.Status != metav1.ConditionFalse || c.Reason != "Backlog" || !strings.Contains(c.Message, "policy-details.json") {
		t.Errorf("condition %+v", c)
	}
}

// TestAFewWhoseTurnDidNotCome are asked for soon, not at the next listing.
func TestAFewWhoseTurnDidNotCome(t *testing.T) {
	w := newWorldWith(t, manyUsers(5)...)
	w.refresher.Lister = &limited{w.lister()}
	w.deleteUsers(manyUsers(5)...)
	w.later()
	w.pass(16 * time.Second)
	if next := w.refresh().RequeueAfter; next > verifySoon {
		t.Errorf("the next refresh comes in %s", next)
	}
}

// limited never has a call left.
type limited struct{ *principals.Lister }

func (limited) Exists(context.Context, rules.Kind, string) (bool, error) {
	return false, principals.ErrRateLimited
}

func (limited) RollCall(_ context.Context, _ rules.Kind, account string, _ rules.Needs) principals.Listing {
	return principals.Listing{AccountID: account, Users: principals.Scope{Asked: true, Err: errors.New("throttled")}}
}

// TestChurn: users who live two minutes come and go at a rate, for some minutes,
// and for half an hour where SOAK_TIME is set. Whoever is deleted is out two
// listings later, and the figures stay where they are; without the roll call that
// goes as far as IAM may be asked, and then a condition says that it does not.
func TestChurn(t *testing.T) {
	minutes := 4
	if os.Getenv("SOAK_TIME") != "" {
		minutes = 30
	}
	for _, tt := range []struct {
		reason    string
		perMinute int
		rollCall  bool
		behind    int // rounds' worth of entries of those who are deleted, at most
		want      metav1.ConditionStatus
	}{
		{"a thousand a minute", 1000, true, 2, metav1.ConditionTrue},
		{"five hundred a minute, without the roll call", 500, false, 4, metav1.ConditionTrue},
		{"a hundred a minute, without the roll call, where sixty may be asked for", 100, false, 1000, metav1.ConditionFalse},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			w := newWorldWith(t)
			if !tt.rollCall {
				w.aws.Inject(fakeaws.Fault{Action: "GetAccountAuthorizationDetails", Effect: fakeaws.Denied})
			}
			perRound, alive := tt.perMinute/4, 8
			gone, most := 0, 0
			minutes := minutes
			if tt.want == metav1.ConditionFalse {
				minutes += 8 // nobody has waited for long before
				c := w.sdk("AKIAADMIN", "secret")
				w.refresher.Lister = principals.New(principals.Config{
					IAM: iam.NewFromConfig(c), STS: sts.NewFromConfig(c), Credentials: c.Credentials, Now: w.clock.Now, ExistsPerMinute: 60,
				})
			}
			for round := range 4 * minutes {
				w.createUsers(numbered(round, perRound)...)
				if round >= alive {
					w.deleteUsers(numbered(round-alive, perRound)...)
					gone += perRound
				}
				for left := 16 * time.Second; left > 0; {
					next := min(left, max(w.refresh().RequeueAfter, time.Second))
					w.pass(next)
					left -= next
				}
				w.refresh()
				standing := strings.Count(w.mapUsers(), "username: foo")
				living := min(round+1, alive) * perRound
				most = max(most, standing-living)
				if standing < living || standing-living > tt.behind*perRound {
					t.Fatalf("round %d: %d live and %d have entries", round, living, standing)
				}
			}
			t.Logf("%d users deleted; at most %d of them had an entry at a time, %d rounds' worth; %d calls of ListUsers, %d of GetUser, %d of GetAccountAuthorizationDetails",
				gone, most, most/perRound, w.aws.Calls("ListUsers"), w.aws.Calls("GetUser"), w.aws.Calls("GetAccountAuthorizationDetails"))
			if c := w.condition(ConditionDeletionsProven); c.Status != tt.want {
				t.Errorf("condition %+v, want %s", c, tt.want)
			}
		})
	}
}

// numbered are the users that are made in a round.
func numbered(round, n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("tmp-foo-%d-%d", round, i)
	}
	return names
}

// TestTheNextLeaderGoesOnWithWhatIsProven: leaders that end every few seconds
// take out who is gone all the same.
func TestTheNextLeaderGoesOnWithWhatIsProven(t *testing.T) {
	w := newWorldWith(t, manyUsers(5)...)
	w.deleteUsers(manyUsers(5)...)
	w.later()
	w.pass(16 * time.Second)
	w.restart()
	w.refresh()
	w.expectMapUsers("one listing each of two leaders, and an answer", person)
}

// TestAnEmptyRollCallAloneProvesNothing: an account that seems to have no users
// at all, of which none could be asked for, is more likely to be listed wrongly.
func TestAnEmptyRollCallAloneProvesNothing(t *testing.T) {
	w := newWorldWith(t, "tmp-foo-1")
	in := w.mapUsers()
	w.aws.Inject(fakeaws.Fault{Action: "GetUser", Effect: fakeaws.Denied})
	w.deleteUsers("tmp-foo-1", "alice")
	w.settle()
	w.settle()
	w.expectMapUsers("nobody is there, and that is not believed", in)
	w.createUsers("somebody")
	w.settle()
	w.expectMapUsers("in a list with somebody on it, she is missing", person)
}

// TestAWrongListingIsFoundOut: two listings that lack somebody who exists, and a
// roll call that would, too, take nobody out, because IAM is asked for a few.
func TestAWrongListingIsFoundOut(t *testing.T) {
	w := newWorldWith(t, manyUsers(50)...)
	in := w.mapUsers()
	for _, action := range []string{"ListUsers", "GetAccountAuthorizationDetails"} {
		w.aws.Inject(fakeaws.Fault{Action: action, Effect: fakeaws.EmptyListing})
	}
	for range 5 {
		w.later()
		w.expectMapUsers("all of them exist", in)
	}
}
