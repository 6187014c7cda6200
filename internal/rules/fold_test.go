package rules_test

import (
	"testing"

	"github.com/aws-auth-refresher/aws-auth-refresher/api/v1alpha1"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// TestOnlyASCIIHasNoCase: U+212A and U+017F are k and s in another case to
// Unicode, and other letters to IAM.
func TestOnlyASCIIHasNoCase(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		reason, rule string
		who          rules.Principal
		want         bool
	}{
		{"ASCII", "tags: {k8s-access: admin}", detailed("a", "", nil, "K8S-Access=admin"), true},
		{"a key", "tags: {k8s-access: admin}", detailed("a", "", nil, "\u212a8s-acce\u017fs=admin"), false},
		{"a group", "iamGroups: [ops]", detailed("a", "", []string{"op\u017f"}), false},
		{"a boundary", "permissionsBoundary: " + boundary, detailed("a", boundary[:len(boundary)-1]+"\u017f", nil), false},
		{"two keys that are not one", `tags: {k: "1", "\u212a": "2"}`, detailed("a", "", nil, "\u212a=2", "k=1"), true},
		{"two keys for one", `tags: {k: "1", "\u212a": "2"}`, detailed("a", "", nil, "k=1"), false},
	} {
		set := mustParse(t, map[string]string{"mapUsers": "- username: a\n  " + tc.rule + "\n"})
		if got := len(set.Evaluate([]rules.Principal{tc.who}, nil).Grants) == 1; got != tc.want {
			t.Errorf("%s: granted %t", tc.reason, got)
		}
	}
	digest := func(key string) string {
		return rules.SelectorDigest(rules.User, v1alpha1.Rule{Tags: map[string]string{key: "v"}})
	}
	if digest("k") != digest("K") || digest("k") == digest("\u212a") {
		t.Error("a digest does not tell apart what rules do, or does tell apart what they do not")
	}
}
