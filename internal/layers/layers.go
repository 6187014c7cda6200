// Package layers holds which of our packages may import which. The table of the
// real packages stands in this package's test, which fails, naming the culprit,
// when the code departs from it.
package layers

import (
	"fmt"
	"slices"
)

// Table says in which row each package stands. A package imports only packages
// of lower rows. Packages are named by their path inside the module; the
// module's own folder is ".".
type Table struct {
	// Rows begins with row 0, whose packages import none of ours.
	Rows [][]string
	// Fakes stand in for the outside world. They import none of ours, not even
	// each other, and are imported only by tests and by FakeUsers.
	Fakes []string
	// FakeUsers are the packages whose production code may import fakes.
	FakeUsers []string
}

// Package is one package of the module with what it imports from the module.
type Package struct {
	Path        string
	Imports     []string // by production code
	TestImports []string // by tests, inside and outside the package
}

// fakeRow is the row of a fake: below every other.
const fakeRow = -1

// Check returns one sentence for each departure of the packages from the table,
// in the order of the packages.
func (t Table) Check(packages []Package) []string {
	rows, problems := t.rows()
	present := map[string]bool{}
	for _, p := range packages {
		present[p.Path] = true
		if _, ok := rows[p.Path]; !ok {
			problems = append(problems, p.Path+" is missing from the table: give it a row")
			continue
		}
		problems = append(problems, t.checkImports(p, rows)...)
	}
	for _, name := range t.names() {
		if !present[name] {
			problems = append(problems, name+" stands in the table but is gone: remove it there")
		}
	}
	return problems
}

func (t Table) checkImports(p Package, rows map[string]int) []string {
	var problems []string
	for _, imported := range p.Imports {
		row, known := rows[imported]
		switch {
		case !known: // reported as missing from the table, unless it is not listed at all
		case row == fakeRow && rows[p.Path] != fakeRow:
			if !slices.Contains(t.FakeUsers, p.Path) {
				problems = append(problems, fmt.Sprintf("production code of %s imports the fake %s", p.Path, imported))
			}
		case row >= rows[p.Path]:
			problems = append(problems, departure(p.Path, imported, rows))
		}
	}
	for _, imported := range p.TestImports {
		row, known := rows[imported]
		if !known || imported == p.Path || row == fakeRow {
			continue
		}
		if row >= rows[p.Path] {
			problems = append(problems, "a test: "+departure(p.Path, imported, rows))
		}
	}
	return problems
}

func departure(from, to string, rows map[string]int) string {
	if rows[from] == fakeRow {
		return fmt.Sprintf("the fake %s imports %s: a fake imports none of ours", from, to)
	}
	direction := "upward"
	if rows[from] == rows[to] {
		direction = "sideways"
	}
	return fmt.Sprintf("%s (row %d) imports %s to %s (row %d)", from, rows[from], direction, to, rows[to])
}

// rows inverts the table and reports packages that stand in it twice.
func (t Table) rows() (rows map[string]int, problems []string) {
	rows = map[string]int{}
	place := func(name string, row int) {
		if _, twice := rows[name]; twice {
			problems = append(problems, name+" stands in the table twice")
		}
		rows[name] = row
	}
	for _, name := range t.Fakes {
		place(name, fakeRow)
	}
	for row, names := range t.Rows {
		for _, name := range names {
			place(name, row)
		}
	}
	return rows, problems
}

func (t Table) names() []string {
	return append(slices.Concat(t.Rows...), t.Fakes...)
}
