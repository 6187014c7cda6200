package layers_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/layers"
)

func TestCheck(t *testing.T) {
	table := layers.Table{
		Rows:      [][]string{{"arn", "redact"}, {"rules"}, {"demo"}, {"."}},
		Fakes:     []string{"fakeaws", "fakeidp"},
		FakeUsers: []string{"demo"},
	}
	// good is a tree without a departure; each row below replaces one package.
	good := []layers.Package{
		{Path: "."}, {Path: "arn"}, {Path: "demo"}, {Path: "fakeaws"}, {Path: "fakeidp"}, {Path: "redact"}, {Path: "rules"},
	}
	for _, tt := range []struct {
		reason string
		with   layers.Package
		want   []string
	}{
		{"imports of lower rows, near and far", layers.Package{Path: ".", Imports: []string{"demo", "arn"}}, nil},
		{"upward", layers.Package{Path: "arn", Imports: []string{"rules"}}, []string{"arn (row 0) imports upward to rules (row 1)"}},
		{"sideways", layers.Package{Path: "arn", Imports: []string{"redact"}}, []string{"arn (row 0) imports sideways to redact (row 0)"}},
		{"production code imports a fake", layers.Package{Path: "rules", Imports: []string{"fakeaws"}}, []string{"production code of rules imports the fake fakeaws"}},
		{"the demo may", layers.Package{Path: "demo", Imports: []string{"fakeaws"}}, nil},
		{"tests may, and may import their own package and lower rows", layers.Package{Path: "rules", TestImports: []string{"fakeaws", "rules", "arn"}}, nil},
		{"a test imports upward", layers.Package{Path: "rules", TestImports: []string{"demo"}}, []string{"a test: rules (row 1) imports upward to demo (row 2)"}},
		{"a fake imports ours", layers.Package{Path: "fakeaws", Imports: []string{"arn"}}, []string{"the fake fakeaws imports arn: a fake imports none of ours"}},
		{"a fake imports a fake", layers.Package{Path: "fakeaws", Imports: []string{"fakeidp"}}, []string{"the fake fakeaws imports fakeidp: a fake imports none of ours"}},
		{"a fake's test imports ours", layers.Package{Path: "fakeaws", TestImports: []string{"rules"}}, []string{"a test: the fake fakeaws imports rules: a fake imports none of ours"}},
		{"missing from the table", layers.Package{Path: "new"}, []string{"new is missing from the table: give it a row"}},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, table.Check(replaced(good, tt.with))); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

// replaced returns the packages with one of them exchanged, or one more.
func replaced(packages []layers.Package, with layers.Package) []layers.Package {
	var out []layers.Package
	for _, p := range packages {
		if p.Path != with.Path {
			out = append(out, p)
		}
	}
	return append(out, with)
}

func TestCheckTable(t *testing.T) {
	for _, tt := range []struct {
		reason string
		table  layers.Table
		want   []string
	}{
		{"a row names a package that is gone", layers.Table{Rows: [][]string{{"arn", "old"}}}, []string{"old stands in the table but is gone: remove it there"}},
		{"a fake that is gone", layers.Table{Rows: [][]string{{"arn"}}, Fakes: []string{"old"}}, []string{"old stands in the table but is gone: remove it there"}},
		{"a package in two rows", layers.Table{Rows: [][]string{{"arn"}, {"arn"}}}, []string{"arn stands in the table twice"}},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, tt.table.Check([]layers.Package{{Path: "arn"}})); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}
