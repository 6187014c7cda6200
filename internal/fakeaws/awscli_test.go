package fakeaws_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestAWSCLI is the check by a client that shares nothing with the Go SDK.
func TestAWSCLI(t *testing.T) {
	if out, err := exec.CommandContext(t.Context(), "aws", "--version").CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: THE AWS CLI WAS NOT TRIED, because there is none that works (%v): install the package awscli\n%s", err, out)
	}
	b := newBed(t)
	run := func(args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "aws", append([]string{"--endpoint-url", b.url, "--output", "json"}, args...)...)
		cmd.WaitDelay = time.Second
		cmd.Env = []string{
			"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(),
			"AWS_ACCESS_KEY_ID=" + adminKey, "AWS_SECRET_ACCESS_KEY=" + adminSecret,
			"AWS_DEFAULT_REGION=eu-central-1", "AWS_EC2_METADATA_DISABLED=true", "AWS_MAX_ATTEMPTS=1", "AWS_PAGER=",
		}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	query := func(args ...string) (v any) {
		t.Helper()
		out, err := run(args...)
		if err != nil {
			t.Fatalf("aws %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		if out == "" {
			return nil
		}
		if err := json.Unmarshal([]byte(out), &v); err != nil {
			t.Fatalf("aws %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return v
	}
	for _, row := range []struct {
		command []string
		want    any
	}{
		{[]string{"sts", "get-caller-identity", "--query", "[Account,Arn]"}, []any{"123456789012", "arn:aws:iam::123456789012:user/admin"}},
		{[]string{"iam", "create-user", "--user-name", "tmp-1", "--path", "/x/", "--tags", "Key=a,Value=b c", "--query", "User.[Arn,Tags]"}, []any{"arn:aws:iam::123456789012:user/x/tmp-1", []any{map[string]any{"Key": "a", "Value": "b c"}}}},
		{[]string{"iam", "list-users", "--page-size", "1", "--query", "Users[].UserName"}, []any{"admin", "tmp-1"}},
		{[]string{"iam", "put-user-policy", "--user-name", "tmp-1", "--policy-name", "p", "--policy-document", document}, nil},
		{[]string{"iam", "get-user-policy", "--user-name", "tmp-1", "--policy-name", "p", "--query", "PolicyDocument.Statement[0].Action"}, "s3:*"},
		{[]string{"iam", "list-groups", "--query", "Groups"}, []any{}},
		{[]string{"iam", "get-account-authorization-details", "--filter", "User", "--query", "UserDetailList[].UserPolicyList[].PolicyName"}, []any{"p"}},
	} {
		if diff := cmp.Diff(row.want, query(row.command...)); diff != "" {
			t.Errorf("aws %s: -want +got\n%s", strings.Join(row.command, " "), diff)
		}
	}
	if out, err := run("iam", "delete-user", "--user-name", "tmp-1"); err == nil || !strings.Contains(out, "(DeleteConflict)") {
		t.Errorf("the CLI reads our errors: got %v %s", err, out)
	}
}
