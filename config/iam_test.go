package config_test

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type policy struct {
	Version   string
	Statement []statement
}

type statement struct {
	Sid, Effect string
	Action      []string
	Resource    any
}

func TestIAMPolicyGrantsJustWhatIsCalled(t *testing.T) {
	b, err := os.ReadFile("../deploy/iam/policy.json")
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(bytes.NewReader(b))
	decoder.DisallowUnknownFields()
	var got policy
	if err := decoder.Decode(&got); err != nil {
		t.Fatal(err)
	}
	want := policy{
		Version: "2012-10-17",
		Statement: []statement{
			{
				Sid:      "ListPrincipals",
				Effect:   "Allow",
				Action:   []string{"iam:ListUsers", "iam:ListRoles"},
				Resource: "*",
			},
			{
				Sid:      "ConfirmThatAPrincipalIsGone",
				Effect:   "Allow",
				Action:   []string{"iam:GetUser", "iam:GetRole"},
				Resource: []any{"arn:*:iam::*:user/*", "arn:*:iam::*:role/*"},
			},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("policy (-want +got):\n%s", diff)
	}
}

// The trust policies stand in here-documents of the commands, where nothing else
// would notice a missing comma.
func TestTrustPoliciesAreJSON(t *testing.T) {
	b, err := os.ReadFile("../deploy/iam/README.md")
	if err != nil {
		t.Fatal(err)
	}
	documents := strings.Split(string(b), "<<EOF\n")[1:]
	if len(documents) != 2 {
		t.Fatalf("%d trust policies, want one for Pod Identity and one for IRSA", len(documents))
	}
	for i, document := range documents {
		text, _, ended := strings.Cut(document, "\nEOF\n")
		if !ended || !json.Valid([]byte(text)) {
			t.Errorf("trust policy %d is not JSON:\n%s", i+1, text)
		}
	}
}
