package removal_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/removal"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// The table between these lines is written by the test below:
//
//	UPDATE_DOCS=1 go test -run TestTableOfEdits ./internal/removal
const (
	safetyPage  = "../../docs/safety.md"
	tableBegins = "<!-- Generated, and checked, by TestTableOfEdits of internal/removal. -->\n"
	tableEnds   = "<!-- End of the table. -->\n"
)

// tableSizes are how many of ours the clusters of the table have.
var tableSizes = [...]int{2, 5, 20, 200}

// edited is a row: what happens to some of ours, who exist and whom the rules no
// longer grant, and who share a group.
type edited struct {
	what  string
	n     func(all int) int
	cause removal.Cause
	// group is the one that they share; alone: nobody else holds it.
	group string
	alone bool
	// before is how many of ours went a minute ago.
	before    int
	elsewhere bool
	tooOld    bool
}

// TestTableOfEdits: the page shows what is decided.
func TestTableOfEdits(t *testing.T) {
	const masters = "system:masters"
	all := func(all int) int { return all }
	half := func(all int) int { return all / 2 }
	overHalf := func(all int) int { return all/2 + 1 }
	allButOne := func(all int) int { return all - 1 }
	one := func(int) int { return 1 }
	two := func(int) int { return 2 }
	rows := []edited{
		{what: "a slip in a rule that let in all", n: all},
		{what: "a slip in a rule that let in all but one", n: allButOne},
		{what: "a slip in a rule that let in one more than half", n: overHalf},
		{what: "a slip in a rule that let in half", n: half},
		{what: "a slip in a rule that let in one", n: one},
		{what: "a slip in a rule that let in one, who is the last one in a group", n: one, group: "developers", alone: true},
		{what: "a slip in the account of a rule that let in one: that account is not listed", n: one, elsewhere: true},
		{what: "all rules deleted", n: all, cause: removal.Deleted},
		{what: "the rule of one person deleted", n: one, cause: removal.Deleted},
		{what: "the rule of one person deleted, who was the last administrator", n: one, cause: removal.Deleted, group: masters, alone: true},
		{what: "the rule of two deleted, who were the last administrators", n: two, cause: removal.Deleted, group: masters, alone: true},
		{what: "the rule of one person deleted, and those of ten more within the ten minutes before", n: one, cause: removal.Deleted, before: 10},
		{what: "all lost a tag, an IAM group or their boundary in AWS", n: all, cause: removal.Changed},
		{what: "one lost it, who is the last one in a group", n: one, cause: removal.Changed, group: "developers", alone: true},
		{what: "one lost it, who is the last administrator", n: one, cause: removal.Changed, group: masters, alone: true},
		{what: "all are older than `maxAge`", n: all, tooOld: true},
	}
	var table strings.Builder
	table.WriteString("| what happens |")
	for _, size := range tableSizes {
		fmt.Fprintf(&table, " %d of ours |", size)
	}
	table.WriteString("\n|---|" + strings.Repeat("---|", len(tableSizes)) + "\n")
	for _, row := range rows {
		fmt.Fprintf(&table, "| %s |", row.what)
		for _, size := range tableSizes {
			fmt.Fprintf(&table, " %s |", row.in(t, size))
		}
		table.WriteString("\n")
	}
	checkTable(t, table.String())
}

// in says what is decided in a cluster with so many of ours, beside whom there are
// those that went before.
func (e edited) in(t *testing.T, size int) string {
	t.Helper()
	n := e.n(size)
	cs, own := ungranted(rules.User, account, n, size)
	for i := range cs {
		cs[i].Cause, cs[i].Elsewhere, cs[i].TooOld = e.cause, e.elsewhere, e.tooOld
		if e.group != "" {
			cs[i].Groups, own[i].Groups = []string{e.group}, []string{e.group}
		}
	}
	in := removal.Input{Now: at(60), Candidates: cs, Owned: own, Settings: removal.Defaults()}
	if e.before > 0 {
		in.Removals = []rules.Removal{{Kind: rules.User, AccountID: account, At: at(0), Count: e.before}}
	}
	if !e.alone {
		in.OthersHold = map[string]bool{e.group: true}
	}
	d := new(removal.Ledger).Decide(in)
	because := map[removal.Because]string{
		removal.TooMany: "too many", removal.Everybody: "nobody left", removal.LastOfGroup: "last of a group", removal.OtherAccount: "account not listed",
	}
	switch {
	case len(d.Remove) == n && n == 1:
		return "1 goes"
	case len(d.Remove) == n:
		return fmt.Sprintf("%d go", n)
	case len(d.Held) == n && because[d.Held[0].Because] != "":
		return fmt.Sprintf("**%d held**: %s", n, because[d.Held[0].Because])
	}
	t.Errorf("%s, of %d: %d go and %d are held, of %d", e.what, size, len(d.Remove), len(d.Held), n)
	return ""
}

func checkTable(t *testing.T, table string) {
	t.Helper()
	page, err := os.ReadFile(safetyPage)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begins := strings.Cut(string(page), tableBegins)
	written, after, ends := strings.Cut(rest, tableEnds)
	if !begins || !ends {
		t.Fatalf("docs/safety.md has no place for the table: it is between %q and %q", tableBegins, tableEnds)
	}
	want := "\n" + table + "\n"
	if os.Getenv("UPDATE_DOCS") != "" {
		if err := os.WriteFile(safetyPage, []byte(before+tableBegins+want+tableEnds+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, written); diff != "" {
		t.Errorf("docs/safety.md is not what is decided; UPDATE_DOCS=1 go test -run TestTableOfEdits ./internal/removal writes it (-decided +page):\n%s", diff)
	}
}
