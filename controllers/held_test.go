package controllers

import "testing"

// TestHoldEndsAlthoughTheProcessDoes: a process that ends between its record and
// the write that takes out what was held long enough leaves that to the next
// one, which does not hold it anew.
func TestHoldEndsAlthoughTheProcessDoes(t *testing.T) {
	w := newWorldWith(t, manyUsers(12)...)
	w.rules(barRule)
	w.later()
	w.pass(w.config.Removal.Hold)
	w.config.ConfigMaps = interfered{w.core.ConfigMaps(w.namespace), func(verb, _ string) error {
		if verb == "apply" {
			return errKilled
		}
		return nil
	}}
	w.restart()
	if _, err := w.refresher.Reconcile(t.Context(), request()); err == nil {
		t.Fatal("the process went on")
	}
	w.config.ConfigMaps = w.core.ConfigMaps(w.namespace)
	w.restart()
	w.later()
	w.expectMapUsers("they were held long enough", person)
}
