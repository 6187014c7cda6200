package demo_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestOnce(t *testing.T) {
	t.Parallel() // it waits most of the time
	p := start(t, "--once")
	if code := p.exit(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	out := p.output()
	for reason, pattern := range map[string]string{
		"the API server's address":                `^  Kubernetes +kube-apiserver 1\.\d+\.\d+ and etcd: starting\n +up after \S+s at https://127\.0\.0\.1:\d+$`,
		"who the controller is":                   `as system:serviceaccount:kube-system:aws-auth-refresher$`,
		"the entry as it stands, with its timing": `\S+s after CreateUser kube-system/aws-auth has it:\n +\| - userarn: arn:aws:iam::123456789012:user/vault-jane-\S+\n +\|   username: vault:jane\n +\|   groups:\n +\|   - developers\n`,
		"the token is its mapped user's":          `SelfSubjectReview says\n +username vault:jane, groups developers, system:authenticated`,
		"RBAC allows":                             `list configmaps in default: allowed, by the ClusterRole demo-read$`,
		"RBAC refuses":                            `create one: 403, the API server says\n +\| configmaps is forbidden: User "vault:jane" cannot create resource "configmaps"`,
		"the whole way, with each hop":            `CreateUser -> first accepted request: \S+s\n( +\S+s  .*\n){4}`,
		"another user's token is accepted":        `tmp-bar-01; its token is accepted: username bar, groups developers$`,
		"a token of a key that is gone":           `vault-jane-\S+: 401, .*; STS does not know the key any more$`,
		"a token of somebody unmapped":            `tmp-bar-01: 401, too; its key lives and STS knows it, but no rule lets it in any more$`,
		"an edit by hand stays":                   `tmp-foo-one is in, too, and not a byte of the edit has changed`,
		"drift is mended":                         `kubectl edit deletes the entry of vault-jane-\S+\n +\S+s later it is there again`,
		"a misspelled rule, in its own words":     `\| mapUsers rule 1 \(line 2\): unknown field "arnRegexp"; did you mean "arnRegex"\?`,
		"a slip that is accepted":                 `the first rule now says "- develpers"; that is a valid group,\n +so the entry of vault-jane-\S+ has it, too$`,
		"the rollback's own difference":           `aws-auth-refresher rollback --yes, done after \S+s:\n( +\| .*\n)* +\| -  - develpers\n +\| \+  - developers\n`,
		"which version, and that it pauses":       `\| aws-auth is back at version \d+ as far as our entries go\.\n +\| The refresher is paused and changes nothing until: aws-auth-refresher resume`,
		"resumed":                                 `\| The refresher goes on\.\n +\S+s later the pause is over, and the right group stays$`,
		"the queue of events":                     `the controller runs with --refresh-interval 1m0s\n +--events-queue-url http://127\.0\.0\.1:\d+/123456789012/iam-events$`,
		"sooner than the interval":                `\S+s after CreateUser tmp-foo-announced is in; without its event it would have waited$`,
		"access entries by the same rules":        `EKS has an access entry for each of our 3 entries in aws-auth:\n +\| arn:aws:iam::123456789012:user/vault-jane-\S+: vault:jane, groups developers\n`,
		"system:masters as a policy":              `user/tmp-foo-one: foo, policy AmazonEKSClusterAdminPolicy$`,
		"access entries given up":                 `back to --target configmap: everybody is in aws-auth still, and the access$`,
		"the breaker, and how to approve":         `the rules no longer grant 12 entries of ours, and .* aws-auth-refresher\.io/approve-removal=[0-9a-f]{16}`,
		"approved":                                `all 12 are out; the others stay`,
		"a login, as a browser does it":           `http://localhost:\d+: choose a role, log in at the provider, AssumeRoleWithWebIdentity, dashboard: \S+s\n`,
		"as whom the role lets her in":            `the cluster calls her developer:jane@corp\.example, groups developers, system:authenticated, and lists 4 namespaces$`,
		"another role":                            `she switches to dashboard-admin: admin:jane@corp\.example, groups dashboard-admins, system:authenticated$`,
		"what is open ends with the session":      `she logs out: the WebSocket closes after \S+s, and the next request gets 401$`,
		"a role that is not his":                  `omar gets 403, "AWS does not let you take this role": `,
		"somebody from elsewhere":                 `eve gets 403, ".*": hers is no address of corp\.example$`,
		"an IAM user of one's own":                `Vault has made vault-jwt-jane-dashboard-\S+;\n +the browser shows "Almost there"$`,
		"let in by the controller":                `has let the user in: vault:jwt-jane-dashboard, groups developers, system:authenticated$`,
		"taken back":                              `the lease is revoked, and the IAM user is gone$`,
		"why it takes a while":                    `waiting: a user is taken for gone when two listings of IAM, begun 10 s apart or more,`,
		"gone":                                    `1\d\.\ds after DeleteUser all three are out`,
		"foreign bytes":                           `all \d+ bytes of EKS, of an administrator and of the edit are identical`,
		"the verdict comes last":                  `\ndemo: all 18 steps passed in \d+\.\ds\n$`,
	} {
		if !regexp.MustCompile(`(?m)` + pattern).MatchString(out) {
			t.Errorf("%s: nothing like %s", reason, pattern)
		}
	}
	if n := len(regexp.MustCompile(`(?m)^ +ok \(\S+\)$`).FindAllString(out, -1)); n != 18 {
		t.Errorf("%d steps say ok with their time, want 18", n)
	}
	if strings.Contains(out, "\x1b") {
		t.Error("colored, though it is not a terminal")
	}
	log, err := os.ReadFile(filepath.Join(p.dir, "controller.log"))
	if err != nil {
		t.Fatal(err)
	}
	if len(log) == 0 || strings.Contains(strings.ToLower(string(log)), "forbidden") {
		t.Errorf("the rights of deploy/common.yaml are to suffice; the controller's log:\n%s", log)
	}
	for _, want := range []string{"STS refused the token: InvalidClientTokenId", "the identity is not mapped"} {
		if !strings.Contains(string(log), want) {
			t.Errorf("each 401 has its own reason; the log lacks %q:\n%s", want, log)
		}
	}
	if strings.Contains(string(log)+out, "k8s-aws-v1.") {
		t.Error("a token was logged or printed")
	}
	for name, want := range map[string]os.FileMode{".": 0o700, "env": 0o600, "kubeconfig": 0o600, "user.kubeconfig": 0o600, "controller.log": 0o600} {
		info, err := os.Stat(filepath.Join(p.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", name, got, want)
		}
	}
	p.leavesNothing()
}

func TestInterrupted(t *testing.T) {
	for _, tt := range []struct {
		reason string
		during string
		signal os.Signal
	}{
		{"while the API server starts", "emulated IAM, STS", os.Interrupt},
		{"during a step", "[ 2/18]", syscall.SIGTERM},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			p := start(t)
			p.says(tt.during)
			p.signal(tt.signal)
			if code := p.exit(); code != 130 || !strings.Contains(p.output(), "demo: interrupted") {
				t.Errorf("exit code %d, want 130", code)
			}
			if strings.Contains(p.output(), "FAILED") {
				t.Error("an interruption is not a failed step")
			}
			if strings.Contains(p.output(), "s at https://") {
				p.leavesNothing()
			}
		})
	}
}

// TestAWSCLI uses the demo as somebody does who brings other tools: a shell that
// sources env, and the AWS CLI.
func TestAWSCLI(t *testing.T) {
	t.Parallel() // it waits most of the time
	if out, err := exec.CommandContext(t.Context(), "aws", "--version").CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: THE DEMO WAS NOT TRIED WITH THE AWS CLI, because there is none that works (%v): install the package awscli\n%s", err, out)
	}
	p := start(t, "--no-scenario")
	p.says("It is up")
	shell := func(script string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "sh", "-ec", `. "$0/env"; `+script, p.dir)
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "AWS_PROFILE=work", "AWS_SESSION_TOKEN=stale", "AWS_PAGER="}
		cmd.WaitDelay = time.Second
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", script, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	const user = "arn:aws:iam::123456789012:user/vault-jane-1-x"
	if got := shell(`aws iam create-user --user-name vault-jane-1-x --query User.Arn --output text`); got != user {
		t.Errorf("create-user printed %s, want %s", got, user)
	}
	if got := shell(`aws iam list-users --query 'Users[].UserName' --output text`); !strings.HasPrefix(got, "demo-admin\tvault-guest-") || !strings.HasSuffix(got, "\tvault-jane-1-x") {
		t.Errorf("list-users printed %q", got)
	}
	if got := shell(`aws sts get-caller-identity --endpoint-url "$AWS_ENDPOINT_URL_IAM" --query Arn --output text`); got != "arn:aws:iam::123456789012:user/demo-admin" {
		t.Errorf("get-caller-identity printed %s", got)
	}
	configMaps := coreOf(t, shell(`printf %s "$KUBECONFIG"`)).ConfigMaps("kube-system")
	entry := func() bool {
		cm, err := configMaps.Get(t.Context(), "aws-auth", metav1.GetOptions{})
		return err == nil && strings.Contains(cm.Data["mapUsers"], "- userarn: "+user+"\n  username: vault:jane\n")
	}
	poll(t, "the user gets into aws-auth", entry)
	shell(`aws iam delete-user --user-name vault-jane-1-x`)
	poll(t, "the user leaves aws-auth", func() bool { return !entry() })
	p.signal(os.Interrupt)
	if code := p.exit(); code != 0 {
		t.Errorf("exit code %d after Ctrl-C while serving", code)
	}
	p.leavesNothing()
}
