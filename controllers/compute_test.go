package controllers

import (
	"context"
	"errors"
	"testing"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/awsauth"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/removal"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// TestNoOutcomeOfHalfAnEvaluation: where a refresh is ended while rules are
// matched nothing is decided, and it is not tried again before its time.
func TestNoOutcomeOfHalfAnEvaluation(t *testing.T) {
	const ann = "arn:aws:iam::123456789012:user/vault/ann"
	set, err := rules.Parse(map[string]string{"mapUsers": "- {pathPrefix: /vault/, username: '${userName}'}\n"}, rules.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := Situation{
		Rules: set, Document: new(awsauth.Reader).Read(nil, 0), Ledger: &removal.Ledger{},
		Principals: []rules.Principal{{Kind: rules.User, ARN: ann, AccountID: "123456789012", Path: "/vault/", Name: "ann"}},
	}
	out, err := Compute(t.Context(), s)
	if err != nil || len(out.Added) != 1 {
		t.Fatalf("got %d entries and the error %v, want one entry", len(out.Added), err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	out, err = Compute(ended, s)
	if !errors.Is(err, rules.ErrUnfinished) || !errors.Is(err, context.Canceled) || retriable(err) != nil {
		t.Errorf("got the error %v, tried again as %v", err, retriable(err))
	}
	if out.Result.Document != nil || out.Added != nil || out.Evaluation.Grants != nil {
		t.Errorf("there is an outcome: %+v", out)
	}
}
