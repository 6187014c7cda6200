package awsauth_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/awsauth"
)

// TestLint reads the cases of testdata/lint: each file of an archive but
// findings is a data key.
func TestLint(t *testing.T) {
	files, err := filepath.Glob("testdata/lint/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			data, want := map[string]string{}, ""
			for _, f := range archive.Files {
				if f.Name == "findings" {
					want = string(f.Data)
					continue
				}
				data[f.Name] = string(f.Data)
			}
			var got strings.Builder
			for _, f := range awsauth.Lint(data) {
				got.WriteString(f.String() + "\n")
			}
			if os.Getenv("UPDATE_SCRIPTS") != "" {
				update(t, file, archive, got.String())
				return
			}
			if diff := cmp.Diff(want, got.String()); diff != "" {
				t.Errorf("%s\n-want +got\n%s", archive.Comment, diff)
			}
		})
	}
}

func update(t *testing.T, file string, archive *txtar.Archive, findings string) {
	t.Helper()
	for i := range archive.Files {
		if archive.Files[i].Name == "findings" {
			archive.Files[i].Data = []byte(findings)
		}
	}
	if err := os.WriteFile(file, txtar.Format(archive), 0o600); err != nil {
		t.Fatal(err)
	}
}
