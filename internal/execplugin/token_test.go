package execplugin

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
)

func TestAPIVersion(t *testing.T) {
	for _, tt := range []struct {
		reason, info string
		want         string
		refused      bool
	}{
		{"nothing", ``, v1beta1, false},
		{"an empty object", `{}`, v1beta1, false},
		{"null", `null`, v1beta1, false},
		{"v1", `{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","spec":{"interactive":true,"cluster":{"server":"https://x"}}}`, v1, false},
		{"v1beta1", `{"apiVersion":"client.authentication.k8s.io/v1beta1","kind":"ExecCredential","spec":{}}`, v1beta1, false},
		{"v1alpha1", `{"apiVersion":"client.authentication.k8s.io/v1alpha1"}`, "", true},
		{"another group", `{"apiVersion":"v1"}`, "", true},
		{"not JSON", `v1`, "", true},
		{"another type", `["v1"]`, "", true},
	} {
		got, err := apiVersion(tt.info)
		if got != tt.want || (err != nil) != tt.refused {
			t.Errorf("%s: got %q, %v", tt.reason, got, err)
		}
	}
}

// TestExpiry: what is printed says when to come back.
func TestExpiry(t *testing.T) {
	for _, tt := range []struct {
		reason        string
		token, expiry string
		want          string
	}{
		{"keys that never expire", "", "", "2026-03-01T12:14:00Z"},
		{"a session whose end is unknown", "session", "", "2026-03-01T12:14:00Z"},
		{"a session that outlives the token", "session", "2026-03-01T13:00:00Z", "2026-03-01T12:14:00Z"},
		{"a session that ends first", "session", "2026-03-01T14:05:00+02:00", "2026-03-01T12:05:00Z"},
		{"an unreadable end", "session", "soon", "2026-03-01T12:14:00Z"},
		{"left over from an earlier session", "", "2020-01-01T00:00:00Z", "2026-03-01T12:14:00Z"},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			m := newMachine(t)
			t.Setenv("AWS_SESSION_TOKEN", tt.token)
			t.Setenv("AWS_CREDENTIAL_EXPIRATION", tt.expiry)
			r := m.run(Options{ClusterID: "prod"}, "")
			var got execCredential
			if err := json.Unmarshal([]byte(r.out), &got); r.err != nil || err != nil {
				t.Fatal(r.err, err)
			}
			if got.Status.ExpirationTimestamp != tt.want {
				t.Errorf("got %s, want %s", got.Status.ExpirationTimestamp, tt.want)
			}
		})
	}
}

func TestLongToken(t *testing.T) {
	m := newMachine(t)
	t.Setenv("AWS_SESSION_TOKEN", strings.Repeat("t", 4096))
	r := m.run(Options{ClusterID: "prod", TokenOnly: true}, "")
	if r.err != nil || !strings.HasPrefix(r.out, "k8s-aws-v1.") {
		t.Fatalf("got %q, %v", r.out, r.err)
	}
	if !strings.HasPrefix(r.warnings, "Warning: the token has ") || strings.Count(r.warnings, "\n") != 1 {
		t.Errorf("no warning: %q", r.warnings)
	}
}

// TestProfileWithMFA: the question is not asked where kubectl reads the token.
func TestProfileWithMFA(t *testing.T) {
	m := newMachine(t)
	aws := fakeaws.New(fakeaws.Config{AdminUser: "alice", AccessKeyID: keyID, SecretAccessKey: secret})
	role, err := aws.CreateRole("/", "Admin", "")
	if err != nil {
		t.Fatal(err)
	}
	var codes []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if sent, err := url.ParseQuery(string(body)); err == nil {
			codes = append(codes, sent.Get("TokenCode"))
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		aws.ServeHTTP(w, r)
	}))
	defer server.Close()
	t.Setenv("AWS_ENDPOINT_URL_STS", server.URL)
	m.now = time.Now()
	config := m.write("config", "[profile admin]\nregion = eu-west-1\nrole_arn = "+role.ARN+"\ncredential_source = Environment\nmfa_serial = arn:aws:iam::123456789012:mfa/alice\n")
	t.Setenv("AWS_CONFIG_FILE", config)
	o := Options{ClusterID: "prod", Profile: "admin", TokenOnly: true}

	r := m.run(o, " 123456 \n")
	if id := r.query(t).Get("X-Amz-Credential"); !strings.HasPrefix(id, "ASIA") {
		t.Errorf("the token is signed by %s", id)
	}
	if diff := cmp.Diff([]string{"123456"}, codes); diff != "" || r.warnings != "MFA code: " {
		t.Errorf("asked with %q, codes sent: -want +got\n%s", r.warnings, diff)
	}
	for _, stdin := range []string{"", "\n"} {
		if r := m.run(o, stdin); r.err == nil || !strings.Contains(r.err.Error(), "the profile asks for an MFA code, and nobody gave one") {
			t.Errorf("after %q: %v", stdin, r.err)
		}
	}
}

func TestPartitionRegion(t *testing.T) {
	for role, want := range map[string]string{
		"":                                    "us-east-1",
		"arn:aws:iam::123456789012:role/A":    "us-east-1",
		"arn:aws-cn:iam::123456789012:role/A": "cn-north-1",
		"arn:aws-us-gov:iam::123456789012:role/A": "us-gov-west-1",
		"arn:aws-iso:iam::123456789012:role/A":    "us-iso-east-1",
		"arn:aws-iso-b:iam::123456789012:role/A":  "us-isob-east-1",
		"arn:aws-iso-e:iam::123456789012:role/A":  "eu-isoe-west-1",
		"arn:aws-iso-f:iam::123456789012:role/A":  "us-isof-south-1",
		"arn:aws-eusc:iam::123456789012:role/A":   "eusc-de-east-1",
	} {
		if got := partitionRegion(role); got != want {
			t.Errorf("%s: got %s, want %s", role, got, want)
		}
	}
}

// TestInstanceRole: on an EC2 instance without any configuration the instance's
// own role signs, in its own region.
func TestInstanceRole(t *testing.T) {
	m := newMachine(t)
	asked := 0
	metadata := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		answers := map[string]string{
			"/latest/api/token":                                    "t",
			"/latest/meta-data/iam/security-credentials/":          "node",
			"/latest/meta-data/iam/security-credentials/node":      `{"Code":"Success","Type":"AWS-HMAC","AccessKeyId":"ASIANODE","SecretAccessKey":"s","Token":"t","Expiration":"2036-01-01T00:00:00Z","LastUpdated":"2026-01-01T00:00:00Z"}`,
			"/latest/dynamic/instance-identity/document":           `{"region":"sa-east-1"}`,
			"/latest/meta-data/iam/security-credentials-extended/": "",
		}
		w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "60")
		answer, ok := answers[r.URL.Path]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = w.Write([]byte(answer))
	}))
	defer metadata.Close()
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.URL)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "")
	o := Options{ClusterID: "prod", TokenOnly: true, Cache: true}

	if id := m.run(o, "").query(t).Get("X-Amz-Credential"); id != keyID+"/20260301/us-east-1/sts/aws4_request" || asked > 0 {
		t.Errorf("with keys in the environment: signed by %s, the metadata was asked %d times", id, asked)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	before := len(m.cached())
	if id := m.run(o, "").query(t).Get("X-Amz-Credential"); id != "ASIANODE/20260301/sa-east-1/sts/aws4_request" {
		t.Errorf("without: signed by %s", id)
	}
	if len(m.cached()) != before {
		t.Error("the token was cached, though another instance with these files has another role")
	}
	o.Region = "eu-west-1"
	if id := m.run(o, "").query(t).Get("X-Amz-Credential"); id != "ASIANODE/20260301/eu-west-1/sts/aws4_request" {
		t.Errorf("with a region: signed by %s", id)
	}
	asked = 0
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	if r := m.run(o, ""); r.err == nil || asked > 0 {
		t.Errorf("disabled: %v, asked %d times", r.err, asked)
	}
}

func TestBindFlags(t *testing.T) {
	for _, tt := range []struct {
		reason, program string
		args            []string
		want            Options
	}{
		{"all", "eks-auth", []string{
			"--cluster-name=c", "--region=r", "--role-arn=a", "--external-id=e", "--session-name=s",
			"--forward-session-name", "--profile=p", "--token-only", "--cache",
		}, Options{"c", "r", "a", "e", "s", true, "p", true, true}},
		{"short", "eks-auth", []string{"-i", "c", "-r", "a", "-e", "e", "-s", "s"}, Options{ClusterID: "c", RoleARN: "a", ExternalID: "e", SessionName: "s"}},
		{"names of aws-iam-authenticator", "eks-auth", []string{"--cluster-id", "c", "--role", "a"}, Options{ClusterID: "c", RoleARN: "a"}},
		{"the old program", "/usr/local/bin/heptio-authenticator-aws", nil, Options{TokenOnly: true}},
		{"on Windows", "heptio-authenticator-aws.exe", nil, Options{TokenOnly: true}},
	} {
		var got Options
		flags := pflag.NewFlagSet("token", pflag.ContinueOnError)
		got.BindFlags(flags, tt.program)
		if err := flags.Parse(tt.args); err != nil {
			t.Errorf("%s: %v", tt.reason, err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.reason, diff)
		}
	}
}
