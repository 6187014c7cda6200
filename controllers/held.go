package controllers

import (
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/removal"
)

// heldCondition tells whether the breaker holds anything.
func (run *refresh) heldCondition() metav1.Condition {
	c := metav1.Condition{Type: ConditionRemovalHeld, Status: metav1.ConditionFalse, Reason: "NothingHeld"}
	if len(run.out.Removal.Held) > 0 {
		c.Status, c.Reason, c.Message = metav1.ConditionTrue, "Breaker", run.heldMessage()
	}
	return c
}

// heldMessage says what the breaker holds, why, until when, and how to let it go.
func (run *refresh) heldMessage() string {
	held := run.out.Removal.Held
	first := held[0].Until
	for _, h := range held {
		if h.Until.Before(first) {
			first = h.Until
		}
	}
	text := fmt.Sprintf("the rules no longer grant %s of ours, and %s; they stay until %s, and additions go on. "+
		"To take them out now: %s", plural(len(held), "entry", "entries"), run.out.HeldBecause(run.removal), first.UTC().Format(time.RFC3339),
		run.rules.approval.command(run.namespace, run.rulesName))
	if run.rules.approval.problem != "" {
		text += fmt.Sprintf(". The approval %s that stands there %s", clip(run.rules.approval.Value), run.rules.approval.problem)
	}
	return text
}

// HeldBecause says why the breaker, with these settings, holds what it holds.
func (o *Outcome) HeldBecause(s removal.Settings) string {
	var why []string
	for _, h := range o.Removal.Held {
		var text string
		switch h.Because {
		case removal.TooMany:
			text = fmt.Sprintf("more than %d, and more than %d%%, of those in their account would be gone within the hold", s.MaxCount, s.MaxPercent)
		case removal.Everybody:
			text = "none of those in their account would be left"
		case removal.LastOfGroup:
			text = "a group would lose its last member"
		case removal.OtherAccount:
			text = "their rule names an account now that is not listed"
		}
		if !slices.Contains(why, text) {
			why = append(why, text)
		}
	}
	return strings.Join(why, ", and ")
}

// plural is a number with its noun.
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
