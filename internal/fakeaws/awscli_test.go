package fakeaws_test

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// awsCLI gives a function that runs the AWS CLI, a client that shares nothing
// with the Go SDK, with the administrator's key and nothing of this machine.
func awsCLI(t *testing.T) func(args ...string) (string, error) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "aws", "--version").CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: THE AWS CLI WAS NOT TRIED, because there is none that works (%v): install the package awscli\n%s", err, out)
	}
	return func(args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "aws", append([]string{"--output", "json"}, args...)...)
		cmd.WaitDelay = time.Second
		cmd.Env = []string{
			"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(),
			"AWS_ACCESS_KEY_ID=" + adminKey, "AWS_SECRET_ACCESS_KEY=" + adminSecret,
			"AWS_DEFAULT_REGION=eu-central-1", "AWS_EC2_METADATA_DISABLED=true", "AWS_MAX_ATTEMPTS=1", "AWS_PAGER=",
		}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
}

func TestAWSCLI(t *testing.T) {
	aws, b := awsCLI(t), newBed(t)
	b.addInstances(instanceA, instanceB)
	run := func(args ...string) (string, error) {
		return aws(append([]string{"--endpoint-url", b.url}, args...)...)
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
		{[]string{"ec2", "describe-instances", "--instance-ids", instanceB, "--query", "Reservations[].Instances[].[InstanceId,PrivateDnsName,State.Name]"}, []any{[]any{instanceB, "ip-10-0-0-2.ec2.internal", "running"}}},
		{[]string{"ec2", "describe-instances", "--filters", "Name=private-dns-name,Values=ip-10-0-0-1.ec2.internal", "--query", "Reservations[].Instances[].InstanceId"}, []any{instanceA}},
		{[]string{"ec2", "describe-instances", "--page-size", "5", "--query", "length(Reservations)"}, 2.0},
		{[]string{"sqs", "create-queue", "--queue-name", "q", "--attributes", "VisibilityTimeout=60", "--query", "QueueUrl"}, b.url + b.QueuePath("q")},
		{[]string{"sqs", "send-message", "--queue-url", b.url + b.QueuePath("q"), "--message-body", "hello", "--query", "MD5OfMessageBody"}, "5d41402abc4b2a76b9719d911017c592"},
		{[]string{"sqs", "receive-message", "--queue-url", b.url + b.QueuePath("q"), "--query", "Messages[].Body"}, []any{"hello"}},
	} {
		if diff := cmp.Diff(row.want, query(row.command...)); diff != "" {
			t.Errorf("aws %s: -want +got\n%s", strings.Join(row.command, " "), diff)
		}
	}
	if out, err := run("iam", "delete-user", "--user-name", "tmp-1"); err == nil || !strings.Contains(out, "(DeleteConflict)") {
		t.Errorf("the CLI reads our errors: got %v %s", err, out)
	}
	if out, err := run("ec2", "describe-instances", "--instance-ids", nobody); err == nil || !strings.Contains(out, "(InvalidInstanceID.NotFound)") {
		t.Errorf("the CLI reads EC2's errors: got %v %s", err, out)
	}
}

func TestEKSOfAWSCLI(t *testing.T) {
	aws := awsCLI(t)
	b, _ := newEKS(t)
	run := func(args ...string) (string, error) {
		return aws(append([]string{"--endpoint-url", b.url, "eks"}, args...)...)
	}
	entry := []string{"--cluster-name", eksCluster, "--principal-arn", opsARN}
	for _, row := range []struct {
		command []string
		want    string
	}{
		{[]string{"describe-cluster", "--name", eksCluster, "--query", "cluster.accessConfig.authenticationMode"}, `"API"`},
		{append([]string{"create-access-entry", "--kubernetes-groups", "a", "--query", "accessEntry.kubernetesGroups"}, entry...), `["a"]`},
		{append([]string{"associate-access-policy", "--policy-arn", adminPolicy, "--access-scope", "type=cluster", "--query", "associatedAccessPolicy.accessScope.type"}, entry...), `"cluster"`},
		{[]string{"list-access-entries", "--cluster-name", eksCluster, "--query", "accessEntries"}, `["` + opsARN + `"]`},
		{append([]string{"describe-access-entry", "--query", "accessEntry.type"}, entry...), `"STANDARD"`},
		{append([]string{"disassociate-access-policy", "--policy-arn", adminPolicy}, entry...), ""},
		{append([]string{"delete-access-entry"}, entry...), ""},
	} {
		out, err := run(row.command...)
		if got := strings.Join(strings.Fields(out), ""); err != nil || got != row.want {
			t.Errorf("aws eks %s: got %v %s", strings.Join(row.command, " "), err, out)
		}
	}
	if out, err := run(append([]string{"delete-access-entry"}, entry...)...); err == nil || !strings.Contains(out, "(ResourceNotFoundException)") {
		t.Errorf("the CLI reads the errors of EKS: got %v %s", err, out)
	}
}

func TestTokenOfAWSCLI(t *testing.T) {
	aws, b := awsCLI(t), newBed(t)
	out, err := aws("eks", "get-token", "--cluster-name", testCluster, "--query", "status.token")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var token string
	if err := json.Unmarshal([]byte(out), &token); err != nil {
		t.Fatal(err)
	}
	signed := string(must(base64.RawURLEncoding.DecodeString(strings.TrimPrefix(token, "k8s-aws-v1."))))
	if !strings.HasPrefix(signed, "https://sts.eu-central-1.amazonaws.com/?") {
		t.Errorf("an unusual token: %s", signed)
	}
	if _, _, body := b.ask(t, signed, "application/json"); !strings.Contains(body, `"Arn":"arn:aws:iam::123456789012:user/admin"`) {
		t.Errorf("got %s", body)
	}
	if _, _, body := b.ask(t, strings.Replace(signed, "eu-central-1", "eu-central-2", 1), "application/json"); !strings.Contains(body, `"SignatureDoesNotMatch"`) {
		t.Errorf("at another region's host: got %s", body)
	}
}
