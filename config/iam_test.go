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

func TestIAMPoliciesGrantJustWhatIsCalled(t *testing.T) {
	allow := func(sid string, resource any, actions ...string) statement {
		return statement{Sid: sid, Effect: "Allow", Action: actions, Resource: resource}
	}
	for file, want := range map[string][]statement{
		"policy.json": {
			allow("ListPrincipals", "*", "iam:ListUsers", "iam:ListRoles"),
			allow("ConfirmThatAPrincipalIsGone", []any{"arn:*:iam::*:user/*", "arn:*:iam::*:role/*"}, "iam:GetUser", "iam:GetRole"),
		},
		"policy-details.json": {
			allow("ListGroupsTagsAndBoundaries", "*", "iam:GetAccountAuthorizationDetails"),
		},
		"policy-accounts.json": {
			allow("ReadOtherAccounts", []any{"arn:*:iam::*:role/aws-auth-refresher-reader"}, "sts:AssumeRole", "sts:TagSession"),
		},
	} {
		b, err := os.ReadFile("../deploy/iam/" + file)
		if err != nil {
			t.Fatal(err)
		}
		decoder := json.NewDecoder(bytes.NewReader(b))
		decoder.DisallowUnknownFields()
		var got policy
		if err := decoder.Decode(&got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(policy{"2012-10-17", want}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", file, diff)
		}
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
	if len(documents) != 3 {
		t.Fatalf("%d trust policies, want one for Pod Identity, one for IRSA and one for other accounts", len(documents))
	}
	for i, document := range documents {
		text, _, ended := strings.Cut(document, "\nEOF\n")
		if !ended || !json.Valid([]byte(text)) {
			t.Errorf("trust policy %d is not JSON:\n%s", i+1, text)
		}
	}
}
