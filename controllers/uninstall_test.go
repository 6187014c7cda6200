package controllers

import (
	"os"
	"regexp"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// TestUninstallingAsTheReadmeSays: its patch takes everybody of ours out at once,
// in small clusters, too, and where that approval was used before what the
// condition prints does.
func TestUninstallingAsTheReadmeSays(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	patch := regexp.MustCompile(`patch configmap aws-auth-refresher --type merge -p \\\n  '(.*)'\n`).FindSubmatch(readme)
	if patch == nil {
		t.Fatal("the README has no such command")
	}
	for _, n := range []int{1, 2, 5, 20} {
		w := newWorldWith(t, manyUsers(n)...)
		in := w.mapUsers()
		for _, again := range []bool{false, true} {
			if _, err := w.admin.Patch(t.Context(), "aws-auth-refresher", types.MergePatchType, patch[1], metav1.PatchOptions{}); err != nil {
				t.Fatal(err)
			}
			w.refresh()
			if again && n > 1 {
				w.expectMapUsers("it counts once", in)
				if w.typed(w.condition(ConditionRemovalHeld).Message) != 1 {
					t.Errorf("%d users: %q prints no command", n, w.condition(ConditionRemovalHeld).Message)
				}
				w.refresh()
			}
			w.expectMapUsers("all out", person)
			if summary := w.get("aws-auth-refresher-status").Data["summary"]; !strings.HasPrefix(summary, "0 users and 0 roles of ours") {
				t.Errorf("%d users: the summary says %q", n, summary)
			}
			w.rules(fooRule)
			w.refresh()
			w.expectMapUsers("in again", in)
		}
	}
}
