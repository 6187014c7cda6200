package authnconfig

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestWholeFormat reads the configuration that heptio/authenticator printed in
// its README, with its own spellings.
func TestWholeFormat(t *testing.T) {
	text, err := os.ReadFile("testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	got := Default()
	if err := Decode(text, &got); err != nil {
		t.Fatal(err)
	}
	if err := got.Normalize(); err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.ClusterID = "my-dev-cluster.example.com"
	want.DefaultRole = "arn:aws:iam::000000000000:role/KubernetesAdmin"
	want.Server.StateDir = "/var/heptio-authenticator-aws"
	want.Server.GenerateKubeconfig = "/etc/kubernetes/heptio-authenticator-aws.kubeconfig"
	masters := []string{"system:masters"}
	want.Server.Mappings = Mappings{
		Roles: []Role{
			{ARN: "arn:aws:iam::000000000000:role/KubernetesAdmin", Username: "kubernetes-admin", Groups: masters},
			{ARN: "arn:aws:iam::000000000000:role/KubernetesNode", Username: "aws:{{AccountID}}:instance:{{SessionName}}", Groups: []string{"system:bootstrappers", "aws:instances"}},
			{ARN: "arn:aws:iam::000000000000:role/KubernetesAdmin", Username: "admin:{{SessionName}}", Groups: masters},
		},
		Users: []User{{ARN: "arn:aws:iam::000000000000:user/Alice", Username: "alice", Groups: masters}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestEveryKey(t *testing.T) {
	const text = `
CLUSTERID: c
server:
  partition: aws-cn
  port: 1
  hostname: h
  address: 0.0.0.0
  stateDir: s
  generateKubeconfig: g
  kubeconfigPregenerated: true
  kubeconfig: k
  master: m
  backendMode: [EKSConfigMap, MountedFile]
  ec2DescribeInstancesRoleARN: r
  sourceARN: a
  ec2DescribeInstancesQps: 2
  ec2DescribeInstancesBurst: 3
  scrubbedAccounts: ["000000000001"]
  dynamicfilepath: d
  dynamicfileUserIDStrict: true
  dynamicBackendModePath: m
  reservedPrefixConfig:
  - backendMode: EKSConfigMap
    usernamePrefixReserveList: ["system:", "aws:"]
  mapRoles:
  - sso: {permissionSetName: Admin, accountID: 012345678901}
    username: sso
  - rolearn: arn:aws-cn:sts::012345678901:assumed-role/X/session
    username: x
  mapUsers: null
  mapAccounts: [012345670123, "123456789012"]
`
	var got File
	if err := Decode([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	want := File{ClusterID: "c", Server: Server{
		Partition: "aws-cn", Port: 1, Hostname: "h", Address: "0.0.0.0", StateDir: "s", GenerateKubeconfig: "g", KubeconfigPregenerated: true,
		Kubeconfig: "k", Master: "m", BackendMode: []string{EKSConfigMap, MountedFile}, ScrubbedAccounts: []string{"000000000001"},
		ReservedPrefixes: map[string][]string{EKSConfigMap: {"system:", "aws:"}},
		EC2:              EC2{RoleARN: "r", SourceARN: "a", QPS: 2, Burst: 3},
		Dynamic:          Dynamic{Path: "d", UserIDStrict: true, BackendModePath: "m"},
		Mappings: Mappings{
			Roles: []Role{
				{SSO: &SSO{PermissionSetName: "Admin", AccountID: "012345678901", Partition: "aws"}, Username: "sso"},
				{ARN: "arn:aws-cn:iam::012345678901:role/X", Username: "x"},
			},
			Accounts: []string{"012345670123", "123456789012"},
		},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// TestNoPermissionSet: sso without a value beside a role is no second answer, as
// for aws-iam-authenticator.
func TestNoPermissionSet(t *testing.T) {
	for _, nothing := range []string{"", "~", "null"} {
		var got File
		if err := Decode([]byte("server:\n  mapRoles:\n  - rolearn: arn:aws:iam::123456789012:role/x\n    sso: "+nothing+"\n    username: x\n"), &got); err != nil {
			t.Fatalf("%q: %v", nothing, err)
		}
		want := []Role{{ARN: "arn:aws:iam::123456789012:role/x", Username: "x"}}
		if diff := cmp.Diff(want, got.Server.Roles); diff != "" {
			t.Errorf("%q: -want +got\n%s", nothing, diff)
		}
	}
}

func TestRefused(t *testing.T) {
	const role = "arn:aws:iam::123456789012:role/"
	for _, row := range []struct{ reason, text, want string }{
		{"a key nobody knows", "clusterID: c\nserver:\n  prot: 1\n", `line 3: unknown key "prot" in server`},
		{"a key at the wrong level", "port: 1\n", `line 1: unknown key "port" in the file`},
		{"a key in an entry", "server:\n  mapRoles:\n  - roleARN: " + role + "x\n    user: x\n    username: x\n", `line 4: unknown key "user" in mapRoles`},
		{"a key twice in other case", "clusterID: a\nclusterid: b\n", `line 2: the key "clusterid" stands twice in the file`},
		{"a number that is none", "server: {port: http}\n", "line 1: a number is expected here"},
		{"a truth that is none", "server: {kubeconfigPregenerated: maybe}\n", "line 1: true or false is expected here"},
		{"a text that is a list", "clusterID: [a]\n", "line 1: a text is expected here"},
		{"a list that is a mapping", "server: {mapUsers: {a: b}}\n", "line 1: a list is expected here"},
		{"a mapping that is a list", "server: []\n", "line 1: server must be a mapping of keys to values"},
		{"two documents", "clusterID: a\n---\nclusterID: b\n", "there is more than one YAML document"},
		{"no YAML", "a: b: c", "not YAML"},
		{"an entry without ARN", "server: {mapRoles: [{username: x}]}", "line 1: mapRoles: roleARN or sso is missing"},
		{"an entry without username", "server: {mapUsers: [{userARN: 'arn:aws:iam::123456789012:user/x'}]}", "line 1: username is missing"},
		{"no ARN", "server: {mapUsers: [{userARN: alice, username: x}]}", "line 1: mapUsers: not an IAM or STS ARN"},
		{"a user as a role", "server: {mapRoles: [{roleARN: 'arn:aws:iam::123456789012:user/x', username: x}]}", "line 1: mapRoles: arn:aws:iam::123456789012:user/x is not a role"},
		{"a role as a user", "server: {mapUsers: [{userARN: '" + role + "x', username: x}]}", "line 1: mapUsers: " + role + "x is not a user"},
		{"a role with a path, which can never match", "server: {mapRoles: [{roleARN: '" + role + "a/x', username: x}]}", "write " + role + "x"},
		{"both ARN and SSO", "server: {mapRoles: [{roleARN: '" + role + "x', sso: {permissionSetName: A, accountID: '123456789012'}, username: x}]}", "give roleARN or sso, not both"},
		{"both ARN and an empty SSO", "server: {mapRoles: [{roleARN: '" + role + "x', sso: {}, username: x}]}", "give roleARN or sso, not both"},
		{"both ARN and a text as SSO", "server: {mapRoles: [{roleARN: '" + role + "x', sso: plain text, username: x}]}", "sso must be a mapping of keys to values"},
		{"no SSO after all", "server: {mapRoles: [{sso: null, username: x}]}", "roleARN or sso is missing"},
		{"a permission set with a wildcard", "server: {mapRoles: [{sso: {permissionSetName: 'A*', accountID: '123456789012'}, username: x}]}", "is not the name of a permission set"},
		{"a role of a short account", "server: {mapRoles: [{roleARN: 'arn:aws:iam::1:role/x', username: x}]}", `no token proves arn:aws:iam::1:role/x: "1" is not an account ID of 12 digits`},
		{"a user of a short account", "server: {mapUsers: [{userARN: 'arn:aws:iam::1:user/x', username: x}]}", `no token proves arn:aws:iam::1:user/x: "1" is not an account ID of 12 digits`},
		{"a short account", "server: {mapAccounts: ['123']}", `mapAccounts: "123" is not an account ID of 12 digits`},
		{"prefixes of no backend", "server: {reservedPrefixConfig: [{backendMode: Nope}]}", `there is no backend mode "Nope"`},
		{"all mistakes are told", "a: 1\nb: 2\n", `line 2: unknown key "b"`},
	} {
		var f File
		err := Decode([]byte(row.text), &f)
		if err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: got %v, want %s", row.reason, err, row.want)
		}
	}
}

func TestNormalize(t *testing.T) {
	for _, row := range []struct {
		reason string
		change func(*File)
		want   string
	}{
		{"the least", func(*File) {}, ""},
		{"old names of backends", func(f *File) { f.Server.BackendMode = []string{"ConfigMap", "File"} }, ""},
		{"no cluster", func(f *File) { f.ClusterID = "" }, "there is no cluster ID"},
		{"no such backend", func(f *File) { f.Server.BackendMode = []string{"X"} }, `no backend mode "X"`},
		{"a backend twice", func(f *File) { f.Server.BackendMode = []string{"File", "MountedFile"} }, "given twice"},
		{"no backend", func(f *File) { f.Server.BackendMode = nil }, "there is no backend mode"},
		{"no such partition", func(f *File) { f.Server.Partition = "x" }, `no partition "x"`},
		{"no such port", func(f *File) { f.Server.Port = 65536 }, "the port is 65536"},
		{"a dynamic file without its backend", func(f *File) { f.Server.Path = "x" }, "go together"},
		{"its backend without a dynamic file", func(f *File) { f.Server.BackendMode = []string{DynamicFile} }, "go together"},
	} {
		f := Default()
		f.ClusterID = "c"
		row.change(&f)
		err := f.Normalize()
		if (row.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: got %v, want %q", row.reason, err, row.want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	text, err := os.ReadFile("testdata/full.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("server: &a\n  mapRoles: [*a]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		file := Default()
		if Decode(text, &file) != nil {
			return
		}
		for _, r := range file.Server.Roles {
			if r.Username == "" || (r.ARN == "") == (r.SSO == nil) {
				t.Errorf("accepted %+v", r)
			}
		}
		_, _ = DecodeDynamic(text, true)
		_, _, _ = DecodeModes(text)
	})
}
