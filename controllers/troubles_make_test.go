package controllers

import (
	"context"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/iamevents"
)

type makersOf = map[string]func(t walk) inTrouble

// failing has calls of one kind about a ConfigMap fail in a refresh, until it is
// mended.
func (w *world) failing(verb, configMap string, err error) (mend func()) {
	w.Helper()
	w.config.ConfigMaps = interfered{w.core.ConfigMaps(w.namespace), func(v, name string) error {
		if v == verb && name == configMap {
			return err
		}
		return nil
	}}
	w.restart()
	_, _ = w.refresher.Reconcile(w.Context(), request())
	return w.mended
}

// mended goes on with the true API server.
func (w *world) mended() {
	w.Helper()
	w.refresher.store.configMaps = w.core.ConfigMaps(w.namespace)
	w.refresher.ConfigMaps = w.core.ConfigMaps(w.namespace)
	w.later()
}

// typedAndRefreshed types the command that a condition prints.
func (w *world) typedAndRefreshed(condition string) func() {
	return func() {
		w.Helper()
		if n := w.typed(w.condition(condition).Message); n != 1 {
			w.Errorf("%s prints %d commands", condition, n)
		}
		w.later()
	}
}

func makeRuleTroubles() makersOf {
	return makersOf{
		"RulesAccepted Refused": func(t walk) inTrouble {
			w := newWorldWith(t.T, "tmp-foo-1")
			w.rules(strings.Replace(fooRule, "$", "", 1))
			w.refresh()
			return inTrouble{w, "write ^arn:aws:iam::123456789012:user/tmp-foo-.*$", func() { w.rules(fooRule); w.refresh() }}
		},
		"RulesAccepted Missing": func(t walk) inTrouble {
			w := newWorldWith(t.T, "tmp-foo-1")
			w.delete("aws-auth-refresher")
			w.refresh()
			return inTrouble{w, "make aws-auth-refresher in namespace", func() { w.rules(fooRule); w.refresh() }}
		},
		"RulesAccepted NotRead": func(t walk) inTrouble {
			w := newWorldWith(t.T, "tmp-foo-1")
			return inTrouble{w, "the condition Applied says why", w.failing("get", "aws-auth-refresher", errKilled)}
		},
		"RulesEffective Frozen": func(t walk) inTrouble {
			w := newWorldWith(t.T, "tmp-foo-1")
			w.rules(fooRule + "  maxMatches: 1\n")
			w.createUsers("tmp-foo-2")
			w.later()
			return inTrouble{w, "raise its maxMatches", func() { w.rules(fooRule + "  maxMatches: 2\n"); w.later() }}
		},
		"RulesEffective AccountNotListed": func(t walk) inTrouble {
			w := newWorldWith(t.T, "tmp-foo-1")
			w.rules(strings.Replace(fooRule, accountID, "123456789021", 1))
			w.refresh()
			return inTrouble{w, "Correct the account", func() { w.rules(fooRule); w.refresh() }}
		},
	}
}

func makeGrantTroubles() makersOf {
	return makersOf{
		"GrantsHonored LeftOut": func(t walk) inTrouble {
			w := newWorldWith(t.T)
			if _, err := w.aws.CreateUser("/system:masters/", "eve"); err != nil {
				t.Fatal(err)
			}
			rule := "- arnRegex: ^arn:aws:iam::123456789012:user/(.+)/eve$\n  username: ${1}\n  groups: [dev]\n"
			w.rules(rule)
			w.later()
			return inTrouble{w, "Change the rule", func() { w.rules(strings.Replace(rule, "${1}", "eve", 1)); w.later() }}
		},
		"GrantsHonored GivenWay": func(t walk) inTrouble {
			w := newWorldWith(t.T)
			w.awsAuth(person + entry("tmp-foo-1", "by-hand", "dev"))
			w.createUsers("tmp-foo-1")
			w.later()
			return inTrouble{w, "Take that entry out of aws-auth", func() { w.awsAuth(person); w.later() }}
		},
		"EntriesClean WrittenBack": func(t walk) inTrouble {
			w := newWorldWith(t.T, "tmp-foo-1", "tmp-foo-2")
			backup := w.mapUsers()
			w.rules(strings.Replace(fooRule, "system:masters", "viewers", 1))
			w.settle()
			w.awsAuth(backup)
			w.refresh()
			return inTrouble{w, "have it apply the present aws-auth", func() { w.pass(revivedFor); w.later() }}
		},
		"EntriesClean NoSuchPrincipal": func(t walk) inTrouble {
			w := newWorldWith(t.T, "tmp-foo-1")
			w.awsAuth(person + entry("gone", "gone", "system:masters"))
			for range 6 {
				w.later()
			}
			return inTrouble{w, "Take them out", func() { w.awsAuth(person); w.later() }}
		},
	}
}

func makeListingTroubles() makersOf {
	return makersOf{
		"PrincipalsListed NoRules": func(t walk) inTrouble {
			w := newWorld(t.T)
			w.refresh()
			return inTrouble{w, "before there are rules", func() { w.rules(fooRule); w.refresh() }}
		},
		"PrincipalsListed Failed": func(t walk) inTrouble {
			w := newWorldWith(t.T)
			w.aws.Inject(fakeaws.Fault{Action: "ListUsers", Effect: fakeaws.Denied})
			w.later()
			return inTrouble{w, "deploy/iam has what the controller must be allowed", func() { w.aws.ClearFaults(); w.later() }}
		},
		"PrincipalsListed Slow": func(t walk) inTrouble {
			w, g := newGatedWorld(t.T)
			open := g.shut()
			w.later()
			w.pass(slowListing)
			w.refresh()
			return inTrouble{w, "after ten minutes the listing is given up", func() {
				open()
				<-g.ended
				<-w.refresher.listing.ended
				w.refresh()
			}}
		},
		"Degraded ClockDiffers": func(t walk) inTrouble {
			w := newWorldWith(t.T)
			w.rules(tempRule)
			w.skew = time.Hour
			w.later()
			return inTrouble{w, "set the clock of the node right", func() { w.skew = 0; w.later() }}
		},
	}
}

func makeEventTroubles() makersOf {
	queue := func(tells string, effect fakeaws.Effect) func(t walk) inTrouble {
		return func(t walk) inTrouble {
			w := newWorldWith(t.T)
			send := func() { w.aws.SendEvents(fakeaws.EventRule{Queue: "events"}) }
			if effect != "" {
				send()
				w.aws.Inject(fakeaws.Fault{Action: "ReceiveMessage", Effect: effect})
			}
			w.listens()
			w.refresh()
			w.await("there is trouble")
			w.refresh()
			return inTrouble{w, tells, func() {
				send()
				w.aws.ClearFaults()
				w.await("the trouble is over")
				w.refresh()
			}}
		}
	}
	of := ConditionEventsReceived + " "
	return makersOf{
		of + iamevents.QueueMissing: queue("--events-queue-url", ""),
		of + iamevents.Denied:       queue("sqs:ReceiveMessage", fakeaws.Denied),
		of + iamevents.Throttled:    queue("IAM is still listed", fakeaws.Throttled),
		of + iamevents.Unreachable:  queue("the log says why", fakeaws.Dropped),
	}
}

func makeDeletionTroubles() makersOf {
	unproven := func(tells string, unable func(w *world)) func(t walk) inTrouble {
		return func(t walk) inTrouble {
			w := newWorldWith(t.T, manyUsers(5)...)
			w.deleteUsers(manyUsers(5)...)
			unable(w)
			w.settle()
			w.pass(unprovenAfter)
			w.later()
			return inTrouble{w, tells, func() {
				w.aws.ClearFaults()
				w.refresher.Lister = w.lister()
				w.settle()
				w.expectMapUsers("they are out", person)
			}}
		}
	}
	return makersOf{
		"DeletionsProven Denied":  unproven("allow iam:GetUser and iam:GetRole", (*world).denyProofs),
		"DeletionsProven Backlog": unproven("policy-details.json", func(w *world) { w.refresher.Lister = &limited{w.lister()} }),
		"DeletionsProven Failed": unproven("it is asked again", func(w *world) {
			for _, action := range []string{"GetUser", "GetAccountAuthorizationDetails"} {
				w.aws.Inject(fakeaws.Fault{Action: action, Effect: fakeaws.Failing})
			}
		}),
		"DeletionsProven AccountNotListed": func(t walk) inTrouble {
			w, there := newAccountsWorld(t.T)
			w.must(there.CreateUser(t.Context(), &iam.CreateUserInput{UserName: new("tmp-foo-1")}))
			w.refresh()
			both := w.config.Lister
			w.refresher.Lister = w.lister()
			w.later()
			return inTrouble{w, "give a role in it with --account-role-arn", func() { w.refresher.Lister = both; w.later() }}
		},
		"RemovalHeld Breaker": func(t walk) inTrouble {
			w := newWorldWith(t.T, manyUsers(20)...)
			w.rules(barRule)
			w.refresh()
			return inTrouble{w, "To take them out now: kubectl -n " + w.namespace + " annotate", w.typedAndRefreshed(ConditionRemovalHeld)}
		},
	}
}

// manglingStore gives aws-auth otherwise than it is.
type manglingStore struct {
	corev1client.ConfigMapInterface
	mangle func(ctx context.Context, cm *corev1.ConfigMap)
}

func (m manglingStore) Get(ctx context.Context, name string, o metav1.GetOptions) (*corev1.ConfigMap, error) {
	cm, err := m.ConfigMapInterface.Get(ctx, name, o)
	if err == nil && name == "aws-auth" {
		m.mangle(ctx, cm)
	}
	return cm, err
}
