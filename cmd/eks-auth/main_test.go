package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"eks-auth":                 main,
		"heptio-authenticator-aws": main,
	})
}

// TestScripts runs the command line as a user would; each script reads like a
// page of a manual. Every script has an emulated AWS of its own, with the user
// alice, whose keys are in the environment, and these roles: Admin, which
// trusts the account, and Partner, which also wants the external id 4711.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup:               setUp,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"whoami": whoami,
			"calls":  calls,
			"cached": cached,
			"age":    age,
		},
	})
}

const (
	aliceKey    = "AKIAIOSFODNN7EXAMPLE"
	aliceSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
)

type awsKey struct{}

func setUp(env *testscript.Env) error {
	aws := fakeaws.New(fakeaws.Config{AdminUser: "alice", AccessKeyID: aliceKey, SecretAccessKey: aliceSecret})
	if _, err := aws.CreateRole("/", "Admin", ""); err != nil {
		return err
	}
	if _, err := aws.CreateRole("/", "Partner", `{"Statement":[{"Effect":"Allow","Principal":{"AWS":"123456789012"},
		"Action":"sts:AssumeRole","Condition":{"StringEquals":{"sts:ExternalId":"4711"}}}]}`); err != nil {
		return err
	}
	server := httptest.NewServer(aws)
	env.Defer(server.Close)
	env.Values[awsKey{}] = bed{aws, server.URL}
	// The race detector would keep each process for a second.
	env.Setenv("GORACE", "atexit_sleep_ms=0")
	home := filepath.Join(env.WorkDir, "home")
	env.Setenv("HOME", home)
	env.Setenv("XDG_CACHE_HOME", filepath.Join(home, ".cache"))
	// The SDK overlooks the first where a profile has a role to assume.
	env.Setenv("AWS_ENDPOINT_URL", server.URL)
	env.Setenv("AWS_ENDPOINT_URL_STS", server.URL)
	env.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	env.Setenv("AWS_MAX_ATTEMPTS", "1")
	env.Setenv("AWS_REGION", "eu-central-1")
	env.Setenv("AWS_ACCESS_KEY_ID", aliceKey)
	env.Setenv("AWS_SECRET_ACCESS_KEY", aliceSecret)
	env.Setenv("KEYS", "aws_access_key_id = "+aliceKey+"\naws_secret_access_key = "+aliceSecret+"\n")
	return os.MkdirAll(home, 0o755)
}

type bed struct {
	*fakeaws.Server
	url string
}

func bedOf(ts *testscript.TestScript) bed {
	b, ok := ts.Value(awsKey{}).(bed)
	if !ok {
		ts.Fatalf("the script has no AWS")
	}
	return b
}

// whoami CLUSTER asks AWS, as the cluster's server would, whose token stands on
// the last command's output, and prints the STS host that the token names and
// the ARN, or what AWS answers instead.
func whoami(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: whoami CLUSTER")
	}
	token := strings.TrimSpace(ts.ReadFile("stdout"))
	var credential struct{ Status struct{ Token string } }
	if json.Unmarshal([]byte(token), &credential) == nil {
		token = credential.Status.Token
	}
	presigned, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(token, "k8s-aws-v1."))
	ts.Check(err)
	link, err := url.Parse(string(presigned))
	ts.Check(err)
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, bedOf(ts).url+link.RequestURI(), http.NoBody)
	ts.Check(err)
	request.Host = link.Host
	request.Header.Set("X-K8s-Aws-Id", args[0])
	request.Header.Set("Accept", "application/json")
	response, err := http.DefaultClient.Do(request)
	ts.Check(err)
	defer response.Body.Close() //nolint:errcheck // it was read
	body, err := io.ReadAll(response.Body)
	ts.Check(err)
	var answer struct {
		GetCallerIdentityResponse struct {
			GetCallerIdentityResult struct{ Arn string }
		}
		Error struct{ Code string }
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		ts.Fatalf("AWS answered %s: %s", response.Status, body)
	}
	_, err = fmt.Fprintln(ts.Stdout(), link.Scheme+"://"+link.Host, answer.GetCallerIdentityResponse.GetCallerIdentityResult.Arn, answer.Error.Code)
	ts.Check(err)
}

// calls ACTION N wants AWS to have been asked that often since the start.
func calls(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: calls ACTION N")
	}
	if got := strconv.Itoa(bedOf(ts).Calls(args[0])); got != args[1] {
		ts.Fatalf("%s was called %s times", args[0], got)
	}
}

func cacheFiles(ts *testscript.TestScript) (paths []string) {
	err := filepath.WalkDir(ts.Getenv("XDG_CACHE_HOME"), func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			paths = append(paths, path)
		}
		return nil
	})
	ts.Check(err)
	return paths
}

// cached N wants that many tokens in the cache, which nobody else may read.
func cached(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: cached N")
	}
	files := cacheFiles(ts)
	if got := strconv.Itoa(len(files)); got != args[0] {
		ts.Fatalf("%s tokens are cached: %v", got, files)
	}
	for _, file := range files {
		for path, want := range map[string]fs.FileMode{file: 0o600, filepath.Dir(file): 0o700} {
			info, err := os.Stat(path)
			ts.Check(err)
			if got := info.Mode().Perm(); got != want {
				ts.Fatalf("%s has mode %o, want %o", path, got, want)
			}
		}
	}
}

// age DURATION moves the expiry of every cached token that much towards now.
func age(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: age DURATION")
	}
	by, err := time.ParseDuration(args[0])
	ts.Check(err)
	for _, file := range cacheFiles(ts) {
		content, err := os.ReadFile(file)
		ts.Check(err)
		var entry map[string]any
		ts.Check(json.Unmarshal(content, &entry))
		text, _ := entry["expires"].(string)
		expires, err := time.Parse(time.RFC3339, text)
		ts.Check(err)
		entry["expires"] = expires.Add(-by)
		content, err = json.Marshal(entry)
		ts.Check(err)
		ts.Check(os.WriteFile(file, content, 0o600))
	}
}
