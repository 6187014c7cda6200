package controllers

import (
	"errors"
	"fmt"
	"testing"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/accessentry"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
)

// oneRule grants to one of those whom devRule grants to.
const oneRule = "- arnRegex: ^arn:aws:iam::123456789012:user/tmp-foo-0$\n  username: foo\n  groups: [developers]\n"

// TestRemovalThatFailsIsNotHeld: what was decided is carried out when that is
// possible again, and counts once.
func TestRemovalThatFailsIsNotHeld(t *testing.T) {
	t.Run("access entries", func(t *testing.T) {
		w := newEntryWorld(t, TargetAccessEntries, accessentry.ModeAPI)
		w.sevenLoseSix(func() {
			w.aws.Inject(fakeaws.Fault{Action: "DeleteAccessEntry", Effect: fakeaws.Failing, Times: 6})
			w.refresh()
			w.aws.ClearFaults()
		})
		w.expectEntries("all but one are out", "tmp-foo-0 foo [developers]")
	})
	t.Run("aws-auth, and another process", func(t *testing.T) {
		w := newEntryWorld(t, TargetConfigMap, accessentry.ModeConfigMap)
		w.awsAuth(person)
		w.sevenLoseSix(func() {
			w.interfereOnce("aws-auth", errors.New("etcd is slow"))
			w.restart()
		})
		w.expectMapUsers("all but one are out", person+entry("tmp-foo-0", "foo", "developers"))
	})
}

// sevenLoseSix has six of seven lose their rule while something fails.
func (w *entryWorld) sevenLoseSix(fail func()) {
	w.Helper()
	w.rules(devRule)
	for i := range 7 {
		w.createUsers(fmt.Sprint("tmp-foo-", i))
	}
	w.refresh()
	w.rules(oneRule)
	fail()
	for range 2 {
		w.later()
	}
	if c := w.condition(ConditionRemovalHeld); c.Status != "False" {
		w.Errorf("it works again, and RemovalHeld is %+v", c)
	}
}

// interfereOnce is a refresh in which writing a ConfigMap fails.
func (w *entryWorld) interfereOnce(configMap string, err error) {
	w.Helper()
	w.refresher.store.configMaps = interfered{w.core.ConfigMaps(w.namespace), func(verb, name string) error {
		if name == configMap && verb != "get" {
			return err
		}
		return nil
	}}
	if _, got := w.refresher.Reconcile(w.Context(), request()); got == nil {
		w.Error("the refresh ended well")
	}
}
