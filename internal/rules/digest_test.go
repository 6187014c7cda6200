package rules_test

import (
	"testing"

	"github.com/aws-auth-refresher/aws-auth-refresher/api/v1alpha1"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

func TestContentDigest(t *testing.T) {
	t.Parallel()
	groups := []string{"b", "a", "b"}
	want := rules.ContentDigest("u", groups)
	if len(want) != 32 {
		t.Errorf("%q has not 32 characters", want)
	}
	if groups[0] != "b" {
		t.Error("the caller's groups were sorted")
	}
	same := map[string]string{
		"order does not count":      rules.ContentDigest("u", []string{"b", "a"}),
		"repetition does not count": rules.ContentDigest("u", []string{"a", "a", "b"}),
	}
	for reason, got := range same {
		if got != want {
			t.Errorf("%s: %s, want %s", reason, got, want)
		}
	}
	other := map[string]string{
		"another user":                     rules.ContentDigest("v", groups),
		"no groups":                        rules.ContentDigest("u", nil),
		"an empty group is a group":        rules.ContentDigest("u", []string{"a", "b", ""}),
		"two names are not one long name":  rules.ContentDigest("u", []string{"ab"}),
		"case counts in Kubernetes":        rules.ContentDigest("U", groups),
		"the user is not one of the group": rules.ContentDigest("", []string{"u", "a", "b"}),
	}
	for reason, got := range other {
		if got == want {
			t.Errorf("same digest although: %s", reason)
		}
	}
}

func TestSelectorDigest(t *testing.T) {
	t.Parallel()
	r := v1alpha1.Rule{ArnRegex: "^a$", PathPrefix: "/p/", Username: "u", Groups: []string{"g"}}
	want := rules.SelectorDigest(rules.User, r)
	if len(want) != 16 {
		t.Errorf("%q has not 16 characters", want)
	}
	given := r
	given.Username, given.Groups, given.MaxMatches = "v", nil, 7
	if got := rules.SelectorDigest(rules.User, given); got != want {
		t.Error("what a rule gives counts, and should not")
	}
	if rules.SelectorDigest(rules.Role, r) == want {
		t.Error("the kind does not count")
	}
	moved := v1alpha1.Rule{ArnRegex: "^a$/p/"}
	if rules.SelectorDigest(rules.User, moved) == want {
		t.Error("which selector a text belongs to does not count")
	}
}

func TestDataDigest(t *testing.T) {
	t.Parallel()
	want := rules.DataDigest(map[string]string{"mapUsers": "a", "mapRoles": "b"})
	if got := rules.DataDigest(map[string]string{"mapRoles": "b", "mapUsers": "a"}); got != want {
		t.Errorf("the order of keys counts: %s, %s", got, want)
	}
	if rules.DataDigest(map[string]string{"mapUsers": "amapRoles", "": "b"}) == want {
		t.Error("keys and values run into each other")
	}
}
