package controllers

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/google/go-cmp/cmp"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/accessentry"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
)

// entryWorld is a world whose cluster is in EKS.
type entryWorld struct {
	*world
	eks *eks.Client
}

const (
	eksCluster = "prod"
	// devRule is for access entries, which have no system:masters among groups.
	devRule = "- arnRegex: ^arn:aws:iam::123456789012:user/tmp-foo-.*$\n  username: foo\n  groups: [developers]\n"
)

func newEntryWorld(t *testing.T, target Target, mode accessentry.Mode) *entryWorld {
	t.Helper()
	w := &entryWorld{world: newWorld(t)}
	if err := w.aws.AddCluster(eksCluster, string(mode)); err != nil {
		t.Fatal(err)
	}
	w.eks = eks.New(eks.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(w.awsURL), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("AKIAADMIN", "secret", ""), DisableClockSkewCorrection: true,
	})
	w.config.Cluster = eksCluster
	w.choose(target)
	return w
}

// choose restarts with another target.
func (w *entryWorld) choose(target Target) {
	w.config.Target = target
	w.config.Entries = accessentry.New(accessentry.Config{EKS: w.eks, Name: eksCluster, Owner: w.namespace + "/rules", Now: w.clock.Now})
	w.restart()
}

// expectEntries compares the names and groups of those who have access entries.
func (w *entryWorld) expectEntries(reason string, want ...string) {
	w.Helper()
	var got []string
	for _, e := range w.aws.AccessEntries(eksCluster) {
		text := fmt.Sprintf("%s %s %v", e.PrincipalARN[strings.LastIndex(e.PrincipalARN, "/")+1:], e.Username, e.Groups)
		for _, policy := range e.Policies {
			text += policy[strings.LastIndex(policy, "/"):]
		}
		if !e.Works {
			text += " dead"
		}
		got = append(got, text)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		w.Errorf("%s: access entries: -want +got\n%s", reason, diff)
	}
}

// theirs makes somebody else's access entry for a user.
func (w *entryWorld) theirs(name string) {
	w.Helper()
	_, err := w.eks.CreateAccessEntry(w.Context(), &eks.CreateAccessEntryInput{
		ClusterName: aws.String(eksCluster), PrincipalArn: aws.String("arn:aws:iam::" + accountID + ":user/" + name),
		Username: aws.String("theirs"), KubernetesGroups: []string{"x"},
	})
	if err != nil {
		w.Fatal(err)
	}
}

func TestAccessEntriesFollowRules(t *testing.T) {
	w := newEntryWorld(t, TargetAccessEntries, accessentry.ModeAPI)
	w.awsAuth(person)
	w.rules(fooRule)
	w.createUsers("tmp-foo-1", "tmp-foo-2", "other")
	w.refresh()
	w.expectEntries("masters by the policy", "tmp-foo-1 foo []/AmazonEKSClusterAdminPolicy", "tmp-foo-2 foo []/AmazonEKSClusterAdminPolicy")
	w.expectMapUsers("aws-auth is not touched", person)
	if got := w.get("aws-auth-refresher-status").Data["summary"]; !strings.Contains(got, "2 access entries of ours") {
		t.Errorf("the summary tells: got %s", got)
	}
	w.later()
	writes, calls := w.writes(), w.aws.Calls("DescribeAccessEntry")
	for range 3 {
		w.later()
	}
	if n := w.writes() - writes; n != 0 || w.aws.Calls("DescribeAccessEntry") != calls {
		t.Errorf("with nothing new: %d writes, %d close looks", n, w.aws.Calls("DescribeAccessEntry")-calls)
	}

	w.rules(devRule)
	w.refresh()
	w.expectEntries("the edit of a rule", "tmp-foo-1 foo [developers]", "tmp-foo-2 foo [developers]")
	w.deleteUsers("tmp-foo-1")
	w.later()
	w.expectEntries("one listing that lacks it proves nothing", "tmp-foo-1 foo [developers] dead", "tmp-foo-2 foo [developers]")
	w.settle()
	w.expectEntries("it is gone for sure", "tmp-foo-2 foo [developers]")
	w.approved("")
	w.refresh()
	w.expectEntries("no rules, no entries")
	if w.events.count("AccessEntriesAdded") != 1 || w.events.count("AccessEntriesRemoved") != 2 {
		t.Errorf("events tell: got %v", w.events.notes)
	}
}

func TestAccessEntriesOfMadeAgainUsers(t *testing.T) {
	w := newEntryWorld(t, TargetAccessEntries, accessentry.ModeAPI)
	w.rules(devRule)
	w.createUsers("tmp-foo-1")
	w.refresh()
	w.deleteUsers("tmp-foo-1")
	w.createUsers("tmp-foo-1")
	w.later()
	w.expectEntries("the entry is made again", "tmp-foo-1 foo [developers]")
}

func TestBreakerHoldsAccessEntries(t *testing.T) {
	w := newEntryWorld(t, TargetAccessEntries, accessentry.ModeAPI)
	w.rules(devRule)
	for i := range 12 {
		w.createUsers(fmt.Sprintf("tmp-foo-%02d", i))
	}
	w.refresh()
	w.rules(barRule)
	w.refresh()
	w.restart()
	w.later()
	if n := len(w.aws.AccessEntries(eksCluster)); n != 12 {
		t.Errorf("12 entries that lose their rule at once are held, over a restart too: %d are left", n)
	}
	if w.condition(ConditionRemovalHeld).Status != "True" {
		t.Error("the hold is reported")
	}
	w.pass(10 * time.Minute)
	w.refresh()
	w.expectEntries("they go when they were held long enough")
}

func TestEmptyListingRemovesNoAccessEntry(t *testing.T) {
	w := newEntryWorld(t, TargetAccessEntries, accessentry.ModeAPI)
	w.rules(devRule)
	w.createUsers("tmp-foo-1")
	w.refresh()
	w.aws.Inject(fakeaws.Fault{Action: "ListUsers", Effect: fakeaws.EmptyListing})
	w.settle()
	w.settle()
	w.expectEntries("IAM says that the user exists", "tmp-foo-1 foo [developers]")
}

func TestBothTargets(t *testing.T) {
	w := newEntryWorld(t, TargetBoth, accessentry.ModeAPIConfigMap)
	w.awsAuth(person + entry("tmp-foo-1", "by-hand", "x"))
	w.createUsers("tmp-foo-1", "tmp-foo-2", "tmp-foo-3")
	w.theirs("tmp-foo-2")
	w.rules(devRule)
	w.refresh()
	w.expectEntries("who is somebody else's in either store is theirs in both", "tmp-foo-2 theirs [x]", "tmp-foo-3 foo [developers]")
	w.expectMapUsers("in aws-auth likewise", person+entry("tmp-foo-1", "by-hand", "x")+entry("tmp-foo-3", "foo", "developers"))
	if got := w.get("aws-auth-refresher-status").Data["givenWay"]; !strings.Contains(got, "access entry lets it in") || !strings.Contains(got, "by-hand") {
		t.Errorf("both are reported: got %s", got)
	}

	w.theirs2(t)
}

// theirs2 goes on with TestBothTargets: somebody takes over who was ours.
func (w *entryWorld) theirs2(t *testing.T) {
	t.Helper()
	w.awsAuth(person + entry("tmp-foo-3", "by-hand", "x"))
	w.refresh()
	w.expectEntries("by hand in aws-auth, so ours goes; and who was by hand is ours", "tmp-foo-1 foo [developers]", "tmp-foo-2 theirs [x]")
	w.deleteUsers("tmp-foo-1")
	w.settle()
	w.settle()
	w.expectEntries("gone from both", "tmp-foo-2 theirs [x]")
	w.expectMapUsers("gone from both", person+entry("tmp-foo-3", "by-hand", "x"))
}

func TestFromAWSAuthToAccessEntriesAndBack(t *testing.T) {
	w := newEntryWorld(t, TargetConfigMap, accessentry.ModeAPIConfigMap)
	w.awsAuth(person)
	w.rules(devRule)
	w.createUsers("tmp-foo-1", "tmp-foo-2")
	w.refresh()
	ours := entry("tmp-foo-1", "foo", "developers") + entry("tmp-foo-2", "foo", "developers")
	w.expectMapUsers("at first", person+ours)
	if w.aws.Calls("DescribeCluster")+w.aws.Calls("ListAccessEntries") != 0 {
		t.Error("EKS is not asked for nothing")
	}

	w.choose(TargetAccessEntries)
	w.aws.Inject(fakeaws.Fault{Action: "CreateAccessEntry", Effect: fakeaws.Failing, Times: 1})
	w.refresh()
	w.createUsers("tmp-foo-3")
	w.expectMapUsers("while the access entries are not complete", person+ours)
	w.later()
	w.expectEntries("complete", "tmp-foo-1 foo [developers]", "tmp-foo-2 foo [developers]", "tmp-foo-3 foo [developers]")
	w.expectMapUsers("nobody new in a target that is given up", person+ours)
	w.pass(accessentry.SettleTime)
	w.later()
	w.expectMapUsers("ours are gone", person)

	w.choose(TargetConfigMap)
	w.later()
	w.later()
	w.pass(accessentry.SettleTime)
	w.later()
	w.expectMapUsers("back", person+ours+entry("tmp-foo-3", "foo", "developers"))
	w.expectEntries("the access entries went after that")
}

func TestNoTargetIsEmptiedForOneThatTheClusterDoesNotRead(t *testing.T) {
	w := newEntryWorld(t, TargetConfigMap, accessentry.ModeConfigMap)
	w.awsAuth(person)
	w.rules(devRule)
	w.createUsers("tmp-foo-1")
	w.refresh()
	w.choose(TargetAccessEntries)
	w.settle()
	w.expectMapUsers("access entries are not read", person+entry("tmp-foo-1", "foo", "developers"))
	if c := w.condition(ConditionApplied); c.Reason != "AccessEntriesFailed" || !strings.Contains(c.Message, "CONFIG_MAP") {
		t.Errorf("it is told: got %+v", c)
	}

	api := newEntryWorld(t, TargetAccessEntries, accessentry.ModeAPI)
	api.awsAuth(person)
	api.rules(devRule)
	api.createUsers("tmp-foo-1")
	api.refresh()
	api.choose(TargetConfigMap)
	api.settle()
	api.expectEntries("aws-auth is not read", "tmp-foo-1 foo [developers]")
}

func TestAutomaticTarget(t *testing.T) {
	w := newEntryWorld(t, TargetAuto, accessentry.ModeAPIConfigMap)
	w.awsAuth(person)
	w.rules(devRule)
	w.createUsers("tmp-foo-1")
	w.aws.Inject(fakeaws.Fault{Action: "DescribeCluster", Effect: fakeaws.Denied, Times: 1})
	w.refresh()
	w.expectMapUsers("while the mode is not known nobody gets in anywhere", person)
	w.later()
	w.expectMapUsers("a cluster that reads both is run by aws-auth", person+entry("tmp-foo-1", "foo", "developers"))
	w.expectEntries("none")
	if err := w.aws.SetAuthenticationMode(eksCluster, fakeaws.ModeAPI); err != nil {
		t.Fatal(err)
	}
	w.restart()
	w.choose(TargetAuto)
	w.later()
	w.expectEntries("the mode has changed", "tmp-foo-1 foo [developers]")
	w.pass(accessentry.SettleTime)
	w.later()
	w.expectMapUsers("and aws-auth is empty of ours", person)
}

func TestRulesThatNoAccessEntryCanSay(t *testing.T) {
	w := newEntryWorld(t, TargetBoth, accessentry.ModeAPIConfigMap)
	w.rules(strings.Replace(devRule, "developers", "system:nodes", 1))
	w.refresh()
	if c := w.condition(ConditionRulesAccepted); c.Status != "False" || !strings.Contains(c.Message, "begins with system:, which access entries refuse") {
		t.Errorf("they are refused with the reason: got %+v", c)
	}
}

func TestLostRecordOfAccessEntries(t *testing.T) {
	w := newLostEntryWorld(t)
	w.approved("")
	w.later()
	w.expectEntries("nothing is deleted by guess", "tmp-foo-1 foo [developers]")
	w.config.Adopt = true
	w.rules(devRule)
	w.restart()
	w.later()
	w.approved("")
	w.later()
	w.expectEntries("adopted, it is ours again")
}

func TestCrashBetweenRecordAndAccessEntries(t *testing.T) {
	w := newEntryWorld(t, TargetBoth, accessentry.ModeAPIConfigMap)
	w.awsAuth(person)
	w.rules(devRule)
	w.createUsers("tmp-foo-1", "tmp-foo-2")
	for n := range 2 {
		// Of the calls that make entries the first n succeed.
		w.aws.Inject(fakeaws.Fault{Action: "CreateAccessEntry", Effect: fakeaws.Dropped, After: n})
		w.later()
		w.aws.ClearFaults()
		w.choose(TargetBoth)
		w.approved("")
		w.later()
		w.expectEntries("rules that are gone take out what a crash left")
		w.expectMapUsers("here, too", person)
		w.rules(devRule)
	}
	w.later()
	w.expectEntries("all is well again", "tmp-foo-1 foo [developers]", "tmp-foo-2 foo [developers]")
}

// TestTooNewForEKS: the refresh that tries again is due when EKS may know the
// principal, not at the next interval.
func TestTooNewForEKS(t *testing.T) {
	w := newEntryWorld(t, TargetAccessEntries, accessentry.ModeAPI)
	w.rules(devRule)
	w.refresh()
	w.aws.SetLag(fakeaws.Lag{Principal: time.Second})
	w.createUsers("tmp-foo-1")
	w.pass(16 * time.Second)
	if next := w.refresh().RequeueAfter; next > 2*time.Second {
		t.Errorf("the next refresh is due in %s", next)
	}
	if got := w.get("aws-auth-refresher-status").Data["leftOut"]; !strings.Contains(got, "EKS does not know the principal yet") {
		t.Errorf("the status tells: got %s", got)
	}
	w.aws.SetLag(fakeaws.Lag{})
	w.deleteUsers("tmp-foo-1")
	w.createUsers("tmp-foo-1")
	w.pass(2 * time.Second)
	w.refresh()
	w.expectEntries("by then EKS knows it", "tmp-foo-1 foo [developers]")
}

func TestAnotherClustersRecordIsLeftAlone(t *testing.T) {
	w := newEntryWorld(t, TargetAccessEntries, accessentry.ModeAPI)
	w.rules(devRule)
	w.createUsers("tmp-foo-1")
	w.refresh()
	w.config.Cluster = "staging"
	w.restart()
	w.later()
	if c := w.condition(ConditionApplied); c.Reason != "AccessEntriesFailed" || !strings.Contains(c.Message, "--cluster-name is staging") {
		t.Errorf("it is told: got %+v", c)
	}
	w.choose(TargetConfigMap)
	w.config.Cluster, w.config.Entries = "", nil
	w.restart()
	w.later()
	if c := w.condition(ConditionApplied); !strings.Contains(c.Message, "1 access entries of ours are left in the cluster prod") {
		t.Errorf("what cannot be removed without the cluster's name is told: got %+v", c)
	}
	w.expectEntries("nothing is done about them", "tmp-foo-1 foo [developers]")
}
