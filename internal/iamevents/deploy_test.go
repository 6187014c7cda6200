package iamevents_test

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/iamevents"
)

const events = "../../deploy/events/"

// TestRulesForwardWhatIsUnderstood: the templates name the actions that Parse
// understands, and no others.
func TestRulesForwardWhatIsUnderstood(t *testing.T) {
	for _, file := range []string{"queue.yaml", "forward.yaml"} {
		var root yaml.Node
		if err := yaml.Unmarshal(read(t, events+file), &root); err != nil {
			t.Fatal(file, err)
		}
		if diff := cmp.Diff(iamevents.EventNames(), eventNames(&root)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", file, diff)
		}
	}
	block := regexp.MustCompile(`(?s)eventName = \[(.*?)\]`).FindSubmatch(read(t, events+"terraform/main.tf"))
	if block == nil {
		t.Fatal("main.tf has no eventName")
	}
	var got []string
	for _, m := range regexp.MustCompile(`"(\w+)"`).FindAllSubmatch(block[1], -1) {
		got = append(got, string(m[1]))
	}
	if diff := cmp.Diff(iamevents.EventNames(), got); diff != "" {
		t.Errorf("main.tf (-want +got):\n%s", diff)
	}
}

// eventNames finds the list under the key eventName.
func eventNames(n *yaml.Node) []string {
	var names []string
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 1 && n.Content[i-1].Value == "eventName" {
			for _, name := range c.Content {
				names = append(names, name.Value)
			}
		}
		names = append(names, eventNames(c)...)
	}
	return names
}

func TestPolicyGrantsJustWhatIsCalled(t *testing.T) {
	var policy struct {
		Statement []struct {
			Effect, Resource string
			Action           []string
		}
	}
	if err := json.Unmarshal(read(t, "../../deploy/iam/events.json"), &policy); err != nil || len(policy.Statement) != 1 {
		t.Fatal(err, policy)
	}
	s := policy.Statement[0]
	// The batch calls have no permissions of their own.
	want := []string{"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"}
	if !slices.Equal(s.Action, want) || s.Effect != "Allow" || s.Resource != "arn:*:sqs:*:*:aws-auth-refresher-*" {
		t.Errorf("%+v", s)
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
