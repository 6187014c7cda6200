package controllers

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/accessentry"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/awsauth"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
)

func makeWritingTroubles() makersOf {
	return makersOf{
		"Applied Failed": func(t walk) inTrouble {
			w := newWorldWith(t.T, "tmp-foo-1")
			w.immutable()
			w.createUsers("tmp-foo-2")
			w.pass(w.config.Removal.Hold)
			_, _ = w.refresher.Reconcile(t.Context(), request())
			return inTrouble{w, "field is immutable", func() { w.delete("aws-auth"); w.awsAuth(person); w.later() }}
		},
		"Applied RulesTooSlow": func(t walk) inTrouble {
			w := newWorldWith(t.T, "tmp-foo-1")
			term := &endingTerm{Context: t.Context(), ended: make(chan struct{})}
			w.refresher.store.configMaps = manglingStore{w.core.ConfigMaps(w.namespace), func(ctx context.Context, _ *corev1.ConfigMap) {
				close(term.ended)
				<-ctx.Done()
				term.goesOn.Store(true)
			}}
			if _, err := w.refresher.Reconcile(term, request()); err != nil {
				t.Fatal(err)
			}
			return inTrouble{w, "matching the rules was not finished", w.mended}
		},
		"Applied NotEditable": func(t walk) inTrouble {
			w := newWorldWith(t.T, "tmp-foo-1")
			w.awsAuth("- userarn: [")
			w.refresh()
			return inTrouble{w, "correct it, as aws-auth-refresher lint says", func() { w.awsAuth(person); w.refresh() }}
		},
		"Applied Missing": func(t walk) inTrouble {
			w := newWorldWith(t.T, "tmp-foo-1")
			w.delete("aws-auth")
			w.refresh()
			return inTrouble{w, "aws-auth-refresher history has what stood in it", func() { w.awsAuth(person); w.refresh() }}
		},
		"Applied Full": func(t walk) inTrouble {
			w := newWorldWith(t.T, "tmp-foo-1")
			w.refresher.Limit = len(w.mapUsers()) + 20
			w.createUsers("tmp-foo-2")
			w.later()
			return inTrouble{w, makeRoom, func() { w.awsAuth(""); w.later() }}
		},
		"Applied NearlyFull": func(t walk) inTrouble {
			w := newWorldWith(t.T)
			w.awsAuth("# " + strings.Repeat("x", awsauth.MaxBytes*81/100) + "\n")
			w.refresh()
			return inTrouble{w, makeRoom, func() { w.awsAuth(person); w.refresh() }}
		},
		"Applied Paused": func(t walk) inTrouble {
			w := newWorldWith(t.T)
			w.pause("maintenance")
			w.createUsers("tmp-foo-1")
			w.later()
			return inTrouble{w, "the condition Paused says how to go on", w.typedAndRefreshed(ConditionPaused)}
		},
	}
}

// endingTerm is one whose time is up for what was begun in it before it goes on.
type endingTerm struct {
	context.Context //nolint:containedctx // it is one
	ended           chan struct{}
	goesOn          atomic.Bool
}

func (e *endingTerm) Done() <-chan struct{} {
	if e.goesOn.Load() {
		return nil
	}
	return e.ended
}

func (e *endingTerm) Err() error {
	select {
	case <-e.ended:
		if !e.goesOn.Load() {
			return context.DeadlineExceeded
		}
	default:
	}
	return nil
}

func makeRecordTroubles() makersOf {
	return makersOf{
		"RecordKept Lost": func(t walk) inTrouble {
			w := newWorldWith(t.T, "tmp-foo-1")
			w.delete("aws-auth-refresher-state")
			w.later()
			return inTrouble{w, "start the refresher once with --adopt", w.typedAndRefreshed(ConditionRecordKept)}
		},
		"Applied RecordUnusable": func(t walk) inTrouble {
			w := newWorldWith(t.T, "tmp-foo-1")
			w.garbage("aws-auth-refresher-state", recordKey)
			w.later()
			return inTrouble{w, "or delete it", func() {
				w.delete("aws-auth-refresher-state")
				w.refresher.Adopt = true
				w.later()
				w.deleteUsers("tmp-foo-1")
				w.settle()
				w.expectMapUsers("adopted, it was ours", person)
			}}
		},
		"Applied RecordTooLarge": func(t walk) inTrouble {
			w := newWorldWith(t.T, "tmp-foo-1")
			large, _ := w.unrecordable()
			w.rules(large)
			w.later()
			return inTrouble{w, "let fewer principals match, or shorten the rules", func() { w.rules(fooRule); w.later() }}
		},
	}
}

// garbage makes a ConfigMap of ours unreadable.
func (w *world) garbage(name, key string) {
	w.Helper()
	cm := w.get(name)
	cm.BinaryData[key] = []byte("garbage")
	if _, err := w.admin.Update(w.Context(), cm, metav1.UpdateOptions{}); err != nil {
		w.Fatal(err)
	}
}

func makeEntryTroubles() makersOf {
	return makersOf{
		"Applied AccessEntriesFailed": func(t walk) inTrouble {
			w := newEntryWorld(t.T, TargetAccessEntries, accessentry.ModeAPI)
			w.rules(devRule)
			w.aws.Inject(fakeaws.Fault{Action: "ListAccessEntries", Effect: fakeaws.Denied})
			w.refresh()
			return inTrouble{w.world, "AccessDenied", func() { w.aws.ClearFaults(); w.later(); w.long() }}
		},
		"Applied AccessEntriesFull": func(t walk) inTrouble {
			w := newEntryWorld(t.T, TargetAccessEntries, accessentry.ModeAPI)
			w.rules(devRule)
			w.fill(accessentry.Limit)
			w.createUsers("tmp-foo-1")
			w.refresh()
			return inTrouble{w.world, makeRoom, func() {
				other := "arn:aws:iam::" + accountID + ":user/others/other-0000"
				w.must(w.eks.DeleteAccessEntry(t.Context(), &eks.DeleteAccessEntryInput{ClusterName: aws.String(eksCluster), PrincipalArn: &other}))
				w.long()
			}}
		},
	}
}

func makePauseTroubles() makersOf {
	return makersOf{
		"Paused Annotation": func(t walk) inTrouble {
			w := newWorldWith(t.T)
			w.pause("maintenance")
			w.refresh()
			return inTrouble{w, "aws-auth-refresher resume, or kubectl -n " + w.namespace, w.typedAndRefreshed(ConditionPaused)}
		},
		"Paused Remembered": func(t walk) inTrouble {
			w := newWorldWith(t.T)
			w.pause("maintenance")
			w.refresh()
			w.delete("aws-auth-refresher")
			w.refresh()
			return inTrouble{w, "aws-auth-refresher resume", func() { w.resume(); w.refresh() }}
		},
	}
}

func makeHistoryTroubles() makersOf {
	another := func(w *world) {
		w.createUsers("tmp-foo-2")
		w.later()
	}
	return makersOf{
		"HistoryKept Unusable": func(t walk) inTrouble {
			w := newWorldWith(t.T, "tmp-foo-1")
			w.garbage("aws-auth-refresher-history", historyKey)
			another(w)
			return inTrouble{w, "delete the ConfigMap to begin a new history", func() { w.delete("aws-auth-refresher-history"); w.later() }}
		},
		"HistoryKept TooLarge": func(t walk) inTrouble {
			w := newWorldWith(t.T, "tmp-foo-1")
			w.apply("aws-auth", map[string]string{"mapUsers": w.mapUsers(), "note": random(rand.New(rand.NewPCG(1, 2)), 700<<10)})
			another(w)
			return inTrouble{w, "shorten it, or turn the history off with --history=0", func() { w.awsAuth(person); w.later(); w.later() }}
		},
		"HistoryKept NotText": func(t walk) inTrouble {
			w := newWorldWith(t.T, "tmp-foo-1")
			w.refresher.store.configMaps = manglingStore{w.core.ConfigMaps(w.namespace), func(_ context.Context, cm *corev1.ConfigMap) {
				cm.Data["note"] = "\xff"
			}}
			another(w)
			return inTrouble{w, `the value of "note": it is not UTF-8; correct it`, w.mended}
		},
		"HistoryKept Failed": func(t walk) inTrouble {
			w := newWorldWith(t.T)
			w.createUsers("tmp-foo-1")
			mend := w.failing("create", "aws-auth-refresher-history", errors.New("no rights"))
			return inTrouble{w, "deploy/common.yaml has what the controller must be allowed", mend}
		},
	}
}
