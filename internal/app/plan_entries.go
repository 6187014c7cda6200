package app

import (
	"fmt"
	"io"
	"strings"

	"github.com/aws-auth-refresher/aws-auth-refresher/controllers"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/accessentry"
)

// entryChanges lists what would be done to access entries, one line each.
func (o *planOptions) entryChanges(plan controllers.Outcome) string {
	if plan.Entries.Idle() {
		return ""
	}
	var b strings.Builder
	b.WriteString("--- access entries of " + o.ClusterName + "\n+++ access entries of " + o.ClusterName + " (planned)\n")
	for _, change := range []struct {
		mark, why string
		list      []accessentry.Entry
	}{
		{"+", "", plan.Entries.Create},
		{"~", "", plan.Entries.Update},
		{"~", ", made again because its principal was", plan.Entries.Recreate},
		{"~", ", taken over if it says so already", plan.Entries.Adopt},
	} {
		for _, e := range change.list {
			fmt.Fprintf(&b, "%s %s as %s%s\n", change.mark, e.ARN, controllers.EntryGives(e), change.why)
		}
	}
	for _, gone := range plan.Entries.Delete {
		fmt.Fprintf(&b, "- %s\n", gone.ARN)
	}
	return b.String()
}

// entrySummary counts the changes of access entries, where they matter.
func (o *planOptions) entrySummary(plan controllers.Outcome) string {
	if o.ClusterName == "" {
		return ""
	}
	e := plan.Entries
	text := fmt.Sprintf("Access entries: %d to create, %d to change, %d to make again, %d to remove", len(e.Create), len(e.Update), len(e.Recreate), len(e.Delete))
	if n := len(e.Adopt); n > 0 {
		text += fmt.Sprintf(", %d to take over", n)
	}
	return text + ".\n"
}

// entryNotes says what the changes of access entries do not show.
func (o *planOptions) entryNotes(w io.Writer, s controllers.EntrySituation, plan controllers.Outcome) {
	note := func(format string, args ...any) { _, _ = fmt.Fprintf(w, "note: "+format+"\n", args...) }
	switch {
	case s.View.Err != nil && o.ClusterName != "":
		note("nothing is done about access entries: %s", s.View.Err)
	case s.Record.Cluster != "" && o.ClusterName == "":
		note("the controller has to do with access entries of the cluster %s; give --target and --cluster-name as it has them", s.Record.Cluster)
	}
	for _, l := range plan.EntriesLeftOut {
		note("%s has no access entry: %s", l.Entry.ARN, l.Reason)
	}
	for _, e := range plan.Entries.Overflow {
		note("%s has no access entry: a cluster has at most %d", e.ARN, accessentry.Limit)
	}
	ours := 0
	for _, n := range plan.Ours {
		ours += n
	}
	switch {
	case s.Selected && s.Alone && ours > 0:
		note("what is ours in aws-auth stays until everybody has had an access entry for %s", accessentry.SettleTime)
	case !s.Selected && plan.EntriesOurs > len(plan.Entries.Delete):
		note("the access entries that are ours stay until aws-auth has let everybody in for %s", accessentry.SettleTime)
	}
	if o.output != "diff" && !plan.Entries.Idle() {
		note("%s", strings.TrimSuffix(o.entrySummary(plan), ".\n"))
	}
}
