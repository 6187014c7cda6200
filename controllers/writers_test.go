package controllers

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/awsauth"
)

// TestFourWriters lets four writers loose on one aws-auth, while users come and
// go: the refresher, which is killed at random points; one that decodes and
// re-encodes the list as eksctl does; one that edits by hand; one that deletes
// aws-auth and makes it again. At the end nothing that the others wrote is
// lost, and nothing of ours is left over or missing.
func TestFourWriters(t *testing.T) {
	w := newWorld(t)
	const seed = 20190307
	t.Logf("seed %d", seed)
	w.awsAuth(person)
	w.rules(fooRule)
	w.createUsers(manyUsers(6)...)
	w.refresh() // one that has never seen aws-auth makes a missing one at once

	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	added := &ledgerOfOthers{names: map[string]bool{"alice": true}}
	for i, write := range []func(context.Context, *rand.Rand) error{
		w.likeEksctl(added), w.byHand(added), w.deleteAndRecreate,
	} {
		random := rand.New(rand.NewPCG(seed, uint64(i)))
		wg.Go(func() {
			for ctx.Err() == nil {
				if err := write(ctx, random); err != nil && ctx.Err() == nil {
					t.Errorf("writer %d: %v", i, err)
					return
				}
				pause(ctx, random, 40)
			}
		})
	}
	w.killedAtRandom(rand.New(rand.NewPCG(seed, 99)), 120)
	stop()
	wg.Wait()

	w.config.ConfigMaps = w.core.ConfigMaps(w.namespace)
	w.restart()
	w.pass(2 * time.Minute)
	w.settle()
	w.expectEverybodysEntries(added)
	w.rules("")
	w.settle()
	w.pass(time.Hour)
	w.settle()
	if strings.Contains(w.mapUsers(), "tmp-foo-") {
		t.Errorf("orphans of ours:\n%s", w.mapUsers())
	}
	w.expectEverybodysEntries(added)
}

// ledgerOfOthers are the people whom the other writers have let in.
type ledgerOfOthers struct {
	sync.Mutex
	names map[string]bool
}

func (l *ledgerOfOthers) add(name string) {
	l.Lock()
	defer l.Unlock()
	l.names[name] = true
}

var errKilled = errors.New("killed")

// killedAtRandom drives a refresher that dies at a random call, again and again,
// while users come and go.
func (w *world) killedAtRandom(random *rand.Rand, rounds int) {
	names := manyUsers(6)
	exists := map[string]bool{}
	for _, n := range names {
		exists[n] = true
	}
	for range rounds {
		name := names[random.IntN(len(names))]
		if exists[name] {
			w.deleteUsers(name)
		} else {
			w.createUsers(name)
		}
		exists[name] = !exists[name]
		left := random.IntN(25)
		w.config.ConfigMaps = interfered{w.core.ConfigMaps(w.namespace), func(string, string) error {
			if left--; left < 0 {
				return errKilled
			}
			return nil
		}}
		if random.IntN(3) == 0 {
			w.restart()
		} else {
			w.refresher.store.configMaps = w.config.ConfigMaps
		}
		// A minute without aws-auth must not pass while it is being made again.
		if w.recreating.TryLock() {
			w.pass(11 * time.Second)
			w.recreating.Unlock()
		}
		_, _ = w.refresher.Reconcile(w.Context(), request()) // may die on the way
	}
}

func retried(ctx context.Context, try func() error) error {
	for ctx.Err() == nil {
		err := try()
		if !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) && !apierrors.IsAlreadyExists(err) {
			return err
		}
	}
	return nil
}

// likeEksctl adds a person by decoding and re-encoding the list, which drops
// comments and changes the layout, with optimistic locking.
func (w *world) likeEksctl(added *ledgerOfOthers) func(context.Context, *rand.Rand) error {
	n := 0
	return func(ctx context.Context, _ *rand.Rand) error {
		n++
		name := fmt.Sprintf("eksctl-%d", n%7)
		return retried(ctx, func() error {
			cm, err := w.admin.Get(ctx, "aws-auth", metav1.GetOptions{})
			if err != nil {
				return err
			}
			var list []map[string]any
			if err := yaml.Unmarshal([]byte(cm.Data["mapUsers"]), &list); err != nil {
				return fmt.Errorf("reading %q: %w", cm.Data["mapUsers"], err)
			}
			if !strings.Contains(cm.Data["mapUsers"], "user/"+name+"\n") {
				list = append(list, map[string]any{"userarn": "arn:aws:iam::1:user/" + name, "username": name, "groups": []string{"dev"}})
			}
			text, err := yaml.Marshal(list)
			if err != nil {
				return err
			}
			if cm.Data == nil {
				cm.Data = map[string]string{}
			}
			cm.Data["mapUsers"] = string(text)
			if _, err = w.admin.Update(ctx, cm, metav1.UpdateOptions{FieldManager: "eksctl"}); err == nil {
				added.add(name)
			}
			return err
		})
	}
}

// byHand adds a person at the top of the text, as with kubectl edit.
func (w *world) byHand(added *ledgerOfOthers) func(context.Context, *rand.Rand) error {
	n := 0
	return func(ctx context.Context, _ *rand.Rand) error {
		n++
		name := fmt.Sprintf("hand-%d", n%7)
		return retried(ctx, func() error {
			cm, err := w.admin.Get(ctx, "aws-auth", metav1.GetOptions{})
			if err != nil || strings.Contains(cm.Data["mapUsers"], "user/"+name+"\n") {
				return err
			}
			text := strings.TrimPrefix(cm.Data["mapUsers"], "[]")
			cm.Data["mapUsers"] = "- userarn: arn:aws:iam::1:user/" + name + "\n  username: " + name + "\n" + text
			if _, err = w.admin.Update(ctx, cm, metav1.UpdateOptions{FieldManager: "kubectl-edit"}); err == nil {
				added.add(name)
			}
			return err
		})
	}
}

// deleteAndRecreate does what kubectl replace --force does: it deletes the
// object that it read and creates it again with the same data.
func (w *world) deleteAndRecreate(ctx context.Context, random *rand.Rand) error {
	if random.IntN(4) > 0 {
		return nil
	}
	return retried(ctx, func() error {
		cm, err := w.admin.Get(ctx, "aws-auth", metav1.GetOptions{})
		if err != nil {
			return err
		}
		w.recreating.Lock()
		defer w.recreating.Unlock()
		same := metav1.Preconditions{UID: &cm.UID, ResourceVersion: &cm.ResourceVersion}
		if err := w.admin.Delete(context.WithoutCancel(ctx), "aws-auth", metav1.DeleteOptions{Preconditions: &same}); err != nil {
			return err
		}
		pause(ctx, random, 10)
		again := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "aws-auth"}, Data: cm.Data}
		// The one writer that may not be beaten to it: whoever makes aws-auth
		// meanwhile makes this create fail, and everybody's entries are lost.
		_, err = w.admin.Create(context.WithoutCancel(ctx), again, metav1.CreateOptions{FieldManager: "kubectl-replace"})
		if err != nil {
			return fmt.Errorf("aws-auth came back without its content: %w", notRetried{err})
		}
		return nil
	})
}

// pause lets the others go first, for up to some milliseconds.
func pause(ctx context.Context, random *rand.Rand, milliseconds int) {
	select {
	case <-ctx.Done():
	case <-time.After(time.Duration(random.IntN(milliseconds)) * time.Millisecond):
	}
}

type notRetried struct{ error }

func (w *world) expectEverybodysEntries(added *ledgerOfOthers) {
	w.Helper()
	var reader awsauth.Reader
	seen := map[string]int{}
	for _, e := range reader.Read(w.get("aws-auth").Data, 0).Entries() {
		seen[e.ARN[strings.LastIndex(e.ARN, "/")+1:]]++
	}
	want := map[string]bool{}
	for name := range added.names {
		want[name] = true
	}
	for _, name := range manyUsers(6) {
		if strings.Contains(w.get("aws-auth-refresher").Data["mapUsers"], "tmp-foo") && w.exists(name) {
			want[name] = true
		}
	}
	for name := range want {
		if seen[name] != 1 {
			w.Errorf("%s stands %d times in aws-auth, want once", name, seen[name])
		}
		delete(seen, name)
	}
	for name := range seen {
		w.Errorf("%s is left over in aws-auth", name)
	}
}

func (w *world) exists(name string) bool {
	w.Helper()
	ok, err := w.lister().Exists(w.Context(), "user", "arn:aws:iam::"+accountID+":user/"+name)
	if err != nil {
		w.Fatal(err)
	}
	return ok
}
