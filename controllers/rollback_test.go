package controllers

import (
	"errors"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/history"
)

func (w *world) operator() *Operator { return w.operatorWith(w.admin) }

func (w *world) operatorWith(c corev1client.ConfigMapInterface) *Operator {
	return &Operator{ConfigMaps: c, Names: w.config.Names, Clock: w.clock}
}

// rollback plans and does, as the command does.
func (w *world) rollback(id int, everything bool) *Rollback {
	w.Helper()
	plan, err := w.operator().PlanRollback(w.Context(), id, everything)
	if err != nil {
		w.Fatal(err)
	}
	if err := w.operator().Roll(w.Context(), plan); err != nil {
		w.Fatal(err)
	}
	return plan
}

func (w *world) resume() {
	w.Helper()
	if _, err := w.operator().Resume(w.Context()); err != nil {
		w.Fatal(err)
	}
}

func (w *world) versions() []AWSAuthVersion {
	w.Helper()
	all, err := w.operator().Versions(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	return all
}

// ours are the ARNs that are recorded as ours in aws-auth.
func (w *world) ours() string {
	w.Helper()
	all := w.versions()
	var list []string
	for _, g := range all[len(all)-1].own() {
		list = append(list, strings.TrimPrefix(g.EntryARN, "arn:aws:iam::"+accountID+":user/"))
	}
	return strings.Join(list, " ")
}

const bob = "- userarn: arn:aws:iam::123456789012:user/bob # by hand\n  username: bob\n"

// TestRollbackKeepsOthersEdits: what somebody else wrote since stays, and wins
// where it is for the same user.
func TestRollbackKeepsOthersEdits(t *testing.T) {
	w := newWorldWith(t, "tmp-foo-1", "tmp-foo-2")
	w.approved(barRule)
	w.refresh()
	w.expectMapUsers("all out", person)
	theirs := "- userarn: arn:aws:iam::123456789012:user/TMP-foo-1\n  username: theirs\n"
	w.awsAuth("# new\n" + person + bob + theirs)
	plan := w.rollback(0, false)
	w.expectMapUsers("back", "# new\n"+person+bob+theirs+entry("tmp-foo-2", "foo", "system:masters"))
	if len(plan.GivenWay) != 1 || plan.GivenWay[0].Entry.Username != "theirs" {
		t.Errorf("given way: %+v", plan.GivenWay)
	}
	if got := w.ours(); got != "tmp-foo-2" {
		t.Errorf("ours are %q", got)
	}

	// The refresher takes them for its own: on again, they go.
	w.later()
	w.resume()
	w.later()
	w.expectMapUsers("the rules count again", "# new\n"+person+bob+theirs)
}

// TestRollbackToPrincipalsThatAreGone: they come back, and leave again as soon
// as the refresher goes on and has made sure.
func TestRollbackToPrincipalsThatAreGone(t *testing.T) {
	w := newWorldWith(t, "tmp-foo-1", "tmp-foo-2")
	in := w.mapUsers()
	w.deleteUsers("tmp-foo-1")
	w.settle()
	w.expectMapUsers("gone", person+entry("tmp-foo-2", "foo", "system:masters"))
	w.rollback(0, false)
	w.expectMapUsers("back", in)
	w.restart() // another process finds the pause
	w.settle()
	w.expectMapUsers("paused", in)
	if got := w.get("aws-auth-refresher-status").Data["summary"]; !strings.HasPrefix(got, "paused, with 0 entries to add, 0 to change and 1 to remove; 2 users") {
		t.Errorf("summary is %q", got)
	}
	w.resume()
	w.settle()
	w.expectMapUsers("gone again", person+entry("tmp-foo-2", "foo", "system:masters"))
}

// TestTwoRollbacks: each keeps the present it leaves, so the second one leads
// back, and the record follows.
func TestTwoRollbacks(t *testing.T) {
	w := newWorldWith(t, "tmp-foo-1")
	in := w.mapUsers()
	w.rollback(1, false)
	w.expectMapUsers("before our first write", person)
	if got := w.ours(); got != "" {
		t.Errorf("ours are %q", got)
	}
	w.rollback(0, false)
	w.expectMapUsers("and back", in)
	w.rollback(0, false)
	w.expectMapUsers("and forth", person)
	// What a rollback took out is ours still, should an older copy be written back.
	w.pass(time.Hour)
	w.awsAuth(in)
	w.resume()
	w.rules("")
	w.refresh()
	w.expectMapUsers("and out again", person)
}

// TestRollbackAgainstARunningRefresher lets the refresher begin before the
// rollback and write after it, at every call that it makes.
func TestRollbackAgainstARunningRefresher(t *testing.T) {
	for at := range 12 {
		w := newWorldWith(t, "tmp-foo-1")
		w.createUsers("tmp-foo-2")
		w.refresh()
		w.later()
		in := w.mapUsers()
		w.createUsers("tmp-foo-3")
		calls := 0
		w.refresher.store.configMaps = interfered{w.core.ConfigMaps(w.namespace), func(string, string) error {
			if calls++; calls == at+1 {
				w.rollback(1, false)
			}
			return nil
		}}
		w.later()
		w.later()
		if calls <= at {
			w.expectMapUsers("nobody rolled back", in+entry("tmp-foo-3", "foo", "system:masters"))
			return
		}
		w.expectMapUsers("the rollback stands", person)
		if got := w.ours(); got != "" {
			t.Errorf("rollback at call %d: ours are %q", at+1, got)
		}
		w.resume()
		w.later()
		w.expectMapUsers("on again", in+entry("tmp-foo-3", "foo", "system:masters"))
	}
}

// TestRollbackAgainstOtherWriters: entries of others that arrive while it works
// are kept; a whole version is not forced over what nobody was shown.
func TestRollbackAgainstOtherWriters(t *testing.T) {
	w := newWorldWith(t, "tmp-foo-1")
	edit := sync.OnceFunc(func() { w.awsAuth(w.mapUsers() + bob) })
	busy := interfered{w.admin, func(verb, name string) error {
		if verb == "apply" {
			edit()
		}
		return nil
	}}
	plan, err := w.operator().PlanRollback(t.Context(), 1, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.operatorWith(busy).Roll(t.Context(), plan); err != nil {
		t.Fatal(err)
	}
	w.expectMapUsers("bob is kept", person+bob)

	w.resume()
	w.later()
	before := w.mapUsers()
	plan, err = w.operator().PlanRollback(t.Context(), 1, true)
	if err != nil {
		t.Fatal(err)
	}
	w.awsAuth(before + "# unseen\n")
	if err := w.operator().Roll(t.Context(), plan); !errors.Is(err, ErrChanged) {
		t.Errorf("forced over an edit that nobody was shown: %v", err)
	}
	w.expectMapUsers("untouched", before+"# unseen\n")
}

// TestRollbackOfEverything brings back every byte and every key, and what was
// ours then, is ours.
func TestRollbackOfEverything(t *testing.T) {
	w := newWorldWith(t, "tmp-foo-1")
	w.createUsers("tmp-foo-2")
	w.later()
	all := w.versions()
	then := all[len(all)-2]
	cm := w.get("aws-auth")
	cm.Data["mapUsers"] = "- userarn: arn:aws:iam::123456789012:user/mallory\n"
	cm.Data["mapAccounts"] = "[]"
	cm.BinaryData = map[string][]byte{"x": {1}}
	if _, err := w.admin.Update(t.Context(), cm, metav1.UpdateOptions{FieldManager: "mallory"}); err != nil {
		t.Fatal(err)
	}
	w.rollback(then.ID, true)
	now := w.get("aws-auth")
	if !maps.Equal(now.Data, then.Data) || len(now.BinaryData) != 0 {
		t.Errorf("aws-auth is %q with %d binary keys, want %q", now.Data, len(now.BinaryData), then.Data)
	}
	if got := w.ours(); got != "tmp-foo-1" {
		t.Errorf("ours are %q", got)
	}
	w.resume()
	w.rules("")
	w.settle()
	w.expectMapUsers("our last entry leaves without a trace", person)
}

// TestRollbackDoesNotMakeOthersEntriesOurs: an entry that was somebody else's in
// that version is so again, although the record has it as ours meanwhile.
func TestRollbackDoesNotMakeOthersEntriesOurs(t *testing.T) {
	w := newWorld(t)
	theirs := entry("tmp-foo-1", "foo", "system:masters")
	w.awsAuth(person + theirs)
	w.rules(fooRule)
	w.createUsers("tmp-foo-1", "tmp-foo-2")
	w.refresh()
	w.config.Adopt = true
	w.restart()
	w.later()
	if got := w.ours(); got != "tmp-foo-1 tmp-foo-2" {
		t.Fatalf("adopted: %q", got)
	}
	w.rollback(1, true)
	w.expectMapUsers("as before our first write", person+theirs)
	if got := w.ours(); got != "" {
		t.Errorf("ours are %q", got)
	}
}

// TestRollbackWritesNothingWithoutItsNeeds: where the present cannot be kept,
// the history or the record cannot be read, or there are no rules to pause the
// refresher by, aws-auth stays.
func TestRollbackWritesNothingWithoutItsNeeds(t *testing.T) {
	garbage := func(name, key string) func(*world) {
		return func(w *world) {
			cm := w.get(name)
			cm.BinaryData[key] = []byte("garbage")
			if _, err := w.admin.Update(w.Context(), cm, metav1.UpdateOptions{}); err != nil {
				w.Fatal(err)
			}
		}
	}
	cases := map[string]struct {
		spoil func(*world)
		want  string
	}{
		"the history is garbage": {garbage("aws-auth-refresher-history", historyKey), "the history is not usable"},
		"the record is garbage":  {garbage("aws-auth-refresher-state", recordKey), "the record is not usable"},
		"there are no rules":     {func(w *world) { w.delete("aws-auth-refresher") }, "there is no rules ConfigMap"},
		"there is no history":    {func(w *world) { w.delete("aws-auth-refresher-history") }, "there is no such version"},
		"a version that lies about what was ours": {func(w *world) {
			var h history.History
			v := history.Version{At: w.clock.Now(), Data: map[string]string{"mapUsers": person}, Ours: []history.Own{{At: 0, Principal: "arn:aws:iam::123456789012:user/root"}}}
			if _, err := h.Add(v, 10); err != nil {
				w.Fatal(err)
			}
			cm := w.get("aws-auth-refresher-history")
			cm.BinaryData[historyKey], _ = h.Encode(history.MaxBytes)
			if _, err := w.admin.Update(w.Context(), cm, metav1.UpdateOptions{}); err != nil {
				w.Fatal(err)
			}
		}, "is not the principal of"},
	}
	for reason, c := range cases {
		w := newWorldWith(t, "tmp-foo-1")
		in := w.mapUsers()
		c.spoil(w)
		plan, err := w.operator().PlanRollback(t.Context(), 1, false)
		if err == nil {
			err = w.operator().Roll(t.Context(), plan)
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", reason, err, c.want)
		}
		w.expectMapUsers(reason, in)
	}
}

// TestRollbackKilled: wherever it dies, the next one gets there, and nothing is
// left that is nobody's.
func TestRollbackKilled(t *testing.T) {
	for _, everything := range []bool{false, true} {
		for calls := 1; ; calls++ {
			w := newWorldWith(t, "tmp-foo-1")
			w.rules(strings.ReplaceAll(fooRule, "system:masters", "viewers"))
			w.later()
			left := calls
			dying := interfered{w.admin, func(string, string) error {
				if left--; left < 0 {
					return errKilled
				}
				return nil
			}}
			plan, err := w.operatorWith(dying).PlanRollback(t.Context(), 2, everything)
			if err == nil {
				err = w.operatorWith(dying).Roll(t.Context(), plan)
			}
			w.rollback(2, everything)
			w.expectMapUsers("there", person+entry("tmp-foo-1", "foo", "system:masters"))
			w.resume()
			w.rules("")
			w.settle()
			w.expectMapUsers("no orphan", person)
			if err == nil {
				break
			}
			if !errors.Is(err, errKilled) {
				t.Fatalf("after %d calls: %v", calls, err)
			}
		}
	}
}
