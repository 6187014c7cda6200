package layers_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/layers"
)

const (
	module = "github.com/aws-auth-refresher/aws-auth-refresher"
	root   = "../.."
)

// tree is the table of this module's packages.
var tree = layers.Table{
	Rows: [][]string{
		0: {
			"api/v1alpha1",
			"deploy",
			"internal/arn",
			"internal/gzipjson",
			"internal/layers",
			"internal/leader",
			"internal/session",
			"internal/page",
			"internal/webhookcert",
		},
		1: {
			"config",
			"internal/authnconfig",
			"internal/history",
			"internal/rules",
		},
		2: {
			"internal/accessentry",
			"internal/awsauth",
			"internal/ekstoken",
			"internal/iamevents",
			"internal/nodenames",
			"internal/oidclogin",
			"internal/principals",
			"internal/removal",
			"internal/serve",
			"internal/webidentity",
		},
		3: {
			"controllers",
			"internal/execplugin",
			"internal/loginproxy",
			"internal/mappings",
			"internal/tokenreview",
		},
		4: {
			"internal/app",
		},
		5: {
			"internal/demo",
		},
		6: {
			".",
			"cmd/eks-auth",
		},
	},
	Fakes: []string{
		"internal/controlplane",
		"internal/fakeaws",
		"internal/fakevault",
		"internal/fakeidp",
		"internal/redisbed",
		"internal/fakedashboard",
	},
	FakeUsers: []string{
		"internal/demo",
	},
}

func TestImportsFollowTheTable(t *testing.T) {
	packages, err := listPackages(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range tree.Check(packages) {
		t.Error(problem)
	}
}

// readTree looks at every Go file. The go command below does so too, but out of
// sight of the test cache, which would go on reporting an old result.
func readTree() error {
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		switch {
		case entry.IsDir() && (entry.Name() == "bin" || entry.Name() == ".git"):
			return fs.SkipDir
		case filepath.Ext(path) == ".go":
			_, err = os.Stat(path)
		}
		return err
	})
}

// listPackages asks the go command for the packages of this module.
func listPackages(ctx context.Context) ([]layers.Package, error) {
	if err := readTree(); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", "./...")
	cmd.Dir = root
	output, err := cmd.Output()
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			err = errors.New(string(exit.Stderr))
		}
		return nil, err
	}
	var packages []layers.Package
	for decoder := json.NewDecoder(strings.NewReader(string(output))); ; {
		var p struct {
			ImportPath                         string
			Imports, TestImports, XTestImports []string
		}
		err := decoder.Decode(&p)
		if errors.Is(err, io.EOF) {
			return packages, nil
		}
		if err != nil {
			return nil, err
		}
		packages = append(packages, layers.Package{
			Path:        inside(p.ImportPath),
			Imports:     ours(p.Imports),
			TestImports: ours(slices.Concat(p.TestImports, p.XTestImports)),
		})
	}
}

// ours returns the paths inside the module of those imports that lie in it.
func ours(imports []string) []string {
	var out []string
	for _, path := range imports {
		if path == module || strings.HasPrefix(path, module+"/") {
			out = append(out, inside(path))
		}
	}
	return out
}

func inside(path string) string {
	if path == module {
		return "."
	}
	return strings.TrimPrefix(path, module+"/")
}
