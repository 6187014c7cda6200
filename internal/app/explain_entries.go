package app

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/controllers"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/accessentry"
)

// explainAccess says what EKS reads, and whose access entry there is.
func explainAccess(x controllers.Explanation) []string {
	a := x.Access
	if a.Mode == "" {
		if a.Unasked == "" {
			return nil
		}
		return []string{"EKS:      access entries are not looked at; give --cluster-name " + quoteWord(a.Unasked)}
	}
	reads := map[accessentry.Mode]string{
		accessentry.ModeConfigMap:    "aws-auth only",
		accessentry.ModeAPIConfigMap: "access entries, and aws-auth for those who have none",
		accessentry.ModeAPI:          "access entries only",
	}[a.Mode]
	lines := []string{fmt.Sprintf("EKS:      %s reads %s (%s)", a.Cluster, reads, a.Mode)}
	if !a.Mode.ReadsEntries() {
		return lines
	}
	for _, near := range a.Near {
		lines = append(lines, "entry:    "+near)
	}
	if a.Entry == nil {
		return append(lines, "entry:    no access entry for "+x.Principal.ARN)
	}
	text := fmt.Sprintf("entry:    %s access entry for %s, made %s", ownerOf(a), a.Entry.ARN, a.Entry.Made.UTC().Format(time.RFC3339))
	switch {
	case a.Dead:
		text += ", lets nobody in: it was made for an earlier " + string(x.Principal.Kind) + " of that name"
	case a.Mode == accessentry.ModeAPIConfigMap && (x.Entry != nil || x.Account):
		text += ", overrides aws-auth"
	}
	return append(lines, text)
}

// ownerOf says by whom an access entry is.
func ownerOf(a controllers.Access) string {
	switch {
	case a.Ours:
		return "the refresher's"
	case a.Entry.Ours:
		return "somebody else's (it has the refresher's tag, but is not on its record)"
	case a.Entry.Owner != "":
		return "another refresher's (" + a.Entry.Owner + ")"
	}
	return "somebody else's"
}

func accessGives(e accessentry.Existing) []string {
	var policies []string
	for _, p := range e.Policies {
		scope := "the whole cluster"
		if len(p.Namespaces) > 0 {
			scope = "the namespaces " + strings.Join(slices.Sorted(slices.Values(p.Namespaces)), ", ")
		}
		policies = append(policies, p.ARN[strings.LastIndex(p.ARN, "/")+1:]+" for "+scope)
	}
	gives := []string{e.Username, "without groups"}
	if len(e.Groups) > 0 {
		gives[1] = "with the groups " + strings.Join(e.Groups, ", ")
	}
	if e.Type != "STANDARD" {
		gives[1] = "as a node of the type " + e.Type
	}
	if len(policies) > 0 {
		gives = append(gives, "with the access policies "+strings.Join(policies, "; "))
	}
	return gives
}
