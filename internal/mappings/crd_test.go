package mappings

import (
	"testing"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestIAMIdentityMappings(t *testing.T) {
	object := func(name string, spec any) any {
		return &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"name": name}, "spec": spec}}
	}
	b := NewCRD(CRDConfig{Log: logr.Discard()})
	b.set([]any{
		object("z", map[string]any{"arn": account + "role/X", "username": "last", "groups": []any{"dev"}}),
		object("a", map[string]any{"arn": account + "role/x", "username": "first"}),
		object("session", map[string]any{"arn": "arn:aws:sts::123456789012:assumed-role/S/alice", "username": "session"}),
		object("user", map[string]any{"arn": account + "user/a/u", "username": "u"}),
		object("path", map[string]any{"arn": account + "role/a/P", "username": "path"}),
		object("nameless", map[string]any{"arn": account + "role/N"}),
		object("mistyped", map[string]any{"arn": account + "role/M", "username": []any{"m"}}),
		object("none", nil),
		"no object",
	})
	for arn, want := range map[string]string{
		"role/X": "last", "role/S": "session", "user/a/u": "u", "role/P": "", "role/N": "", "role/M": "",
	} {
		if got, ok := b.Content().Find(identity(account + arn)); got.Username != want || ok != (want != "") {
			t.Errorf("%s: got %q %t, want %q", arn, got.Username, ok, want)
		}
	}
}
