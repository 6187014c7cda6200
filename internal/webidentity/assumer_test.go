package webidentity_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/google/go-cmp/cmp"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/webidentity"
)

func TestAssume(t *testing.T) {
	b := newBed(t)
	role := b.role(`{}`)
	for _, row := range []struct {
		reason   string
		cfg      webidentity.Config
		duration time.Duration
	}{
		{"with the ID token, for as long as AWS likes", webidentity.Config{}, time.Hour},
		{"with the ID token", webidentity.Config{Duration: 2 * time.Hour}, 2 * time.Hour},
		{"with the proxy's own identity", webidentity.Config{Mode: webidentity.AssumeRole, Duration: 15 * time.Minute, ClusterName: "prod"}, 15 * time.Minute},
	} {
		c, err := b.assumer(row.cfg).Assume(t.Context(), role, b.login("O'Brien@example.com", nil))
		if err != nil {
			t.Errorf("%s: %v", row.reason, err)
			continue
		}
		if want := webidentity.RoleSessionName("o'brien@example.com"); c.RoleSessionName != want {
			t.Errorf("%s: the session's name: got %s, want %s", row.reason, c.RoleSessionName, want)
		}
		if got, want := b.whoIs(c), "arn:aws:sts::123456789012:assumed-role/dash/"+c.RoleSessionName; got != want {
			t.Errorf("%s: got %s, want %s", row.reason, got, want)
		}
		if left := time.Until(c.Expires); left > row.duration || left < row.duration-time.Minute {
			t.Errorf("%s: it lasts %s", row.reason, left)
		}
		if _, err := iam.NewFromConfig(b.as(c)).ListUsers(t.Context(), &iam.ListUsersInput{}); err == nil || !strings.Contains(err.Error(), "explicit deny in a session policy") {
			t.Errorf("%s: the credentials only say who one is: got %v", row.reason, err)
		}
	}
}

// recorder keeps what was asked for.
type recorder struct {
	*sts.Client
	asked *sts.AssumeRoleInput
}

func (r *recorder) AssumeRole(ctx context.Context, in *sts.AssumeRoleInput, opts ...func(*sts.Options)) (*sts.AssumeRoleOutput, error) {
	r.asked = in
	return r.Client.AssumeRole(ctx, in, opts...)
}

func TestSessionTags(t *testing.T) {
	b := newBed(t)
	role := b.role(`{"StringEquals":{"aws:RequestTag/email":"jane@example.com"},"StringLike":{"sts:SourceIdentity":"*@example.com"}}`)
	jane := b.login("Jane@example.com", map[string]any{"level": 7.0, "admin": true, "groups": []any{"a"}, "team": "rot|blau", "none": nil})
	for _, row := range []struct {
		reason string
		cfg    webidentity.Config
		want   []string
	}{
		{"by default who it is", webidentity.Config{}, []string{"email=jane@example.com", "iss=" + b.issuer, "sub=id-1-" + mark("id|1")}},
		{"the cluster and chosen claims; lists and absent ones make none", webidentity.Config{ClusterName: "prod", Tags: []string{"email", "level", "admin", "groups", "team", "none", "gone"}},
			[]string{"cluster=prod", "email=jane@example.com", "level=7", "admin=true", "team=rot-blau-" + mark("rot|blau")}},
	} {
		r := &recorder{Client: sts.NewFromConfig(b.config())}
		row.cfg.Mode, row.cfg.STS = webidentity.AssumeRole, r
		if _, err := b.assumer(row.cfg).Assume(t.Context(), role, jane); err != nil {
			t.Errorf("%s: %v", row.reason, err)
			continue
		}
		var got, keys []string
		for _, tag := range r.asked.Tags {
			got, keys = append(got, *tag.Key+"="+*tag.Value), append(keys, *tag.Key)
		}
		if diff := cmp.Diff(row.want, got); diff != "" {
			t.Errorf("%s: -want +got\n%s", row.reason, diff)
		}
		if diff := cmp.Diff(keys, r.asked.TransitiveTagKeys); diff != "" || *r.asked.SourceIdentity != "jane@example.com" {
			t.Errorf("%s: all go along: source %s, -tags +transitive\n%s", row.reason, *r.asked.SourceIdentity, diff)
		}
	}
}

// mark is what an altered value ends with.
func mark(v string) string {
	name := webidentity.RoleSessionName(v)
	return name[len(name)-16:]
}

// trouble is what AWS's answer means for whoever called Assume.
type trouble struct {
	reason string
	fault  fakeaws.Effect
	role   string
	person webidentity.Person
	want   error
	code   string // of a denial
}

func TestAssumeSortsRefusals(t *testing.T) {
	b := newBed(t)
	role := b.role(`{}`)
	jane := b.login("jane@example.com", nil)
	ends := func(d time.Duration) webidentity.Person {
		return b.login("jane@example.com", map[string]any{"exp": time.Now().Add(d).Unix()})
	}
	elsewhere := b.login("jane@example.com", map[string]any{"iss": "https://idp.example.com"})
	for _, row := range []trouble{
		{"all is well", "", role, jane, nil, ""},
		{"a role that does not trust", "", must(b.CreateRole("/", "other", "")).ARN, jane, nil, "AccessDenied"},
		{"another client's token", "", role, b.login("jane@example.com", map[string]any{"aud": "other"}), nil, "InvalidIdentityToken"},
		{"an unknown issuer", "", role, elsewhere, nil, "InvalidIdentityToken"},
		{"an old login", "", role, ends(-time.Hour), webidentity.ErrExpiredLogin, ""},
		{"throttling", fakeaws.Throttled, role, jane, webidentity.ErrThrottled, ""},
		{"AWS in trouble", fakeaws.Failing, role, jane, webidentity.ErrUnavailable, ""},
		{"AWS away", fakeaws.Unavailable, role, jane, webidentity.ErrUnavailable, ""},
		{"a connection that breaks", fakeaws.Dropped, role, jane, webidentity.ErrUnavailable, ""},
		{"an answer that does not come", fakeaws.Hanging, role, jane, webidentity.ErrUnavailable, ""},
	} {
		b.ClearFaults()
		cfg := webidentity.Config{}
		if row.fault != "" {
			b.Inject(fakeaws.Fault{Effect: row.fault})
			cfg.CallTimeout = 300 * time.Millisecond
		}
		_, err := b.assumer(cfg).Assume(t.Context(), row.role, row.person)
		denied, _ := errors.AsType[*webidentity.Denied](err)
		switch {
		case row.code != "" && (denied == nil || denied.Code != row.code),
			row.code == "" && !errors.Is(err, row.want):
			t.Errorf("%s: got %v, want %v %s", row.reason, err, row.want, row.code)
		case err != nil && strings.Contains(err.Error(), row.person.IDToken):
			t.Errorf("%s: the token stands in the error", row.reason)
		}
	}
	b.ClearFaults()
	down := webidentity.Config{Mode: webidentity.AssumeRole, STS: sts.NewFromConfig(b.as(webidentity.Credentials{AccessKeyID: "AKIAUNKNOWN", SecretAccessKey: "x"}))}
	if _, err := b.assumer(down).Assume(t.Context(), role, jane); !errors.Is(err, webidentity.ErrUnavailable) {
		t.Errorf("the proxy's own wrong key is not the person's fault: got %v", err)
	}
}

// TestKeysThatAWSCannotGetAt: AWS gives that the code of a bad token.
func TestKeysThatAWSCannotGetAt(t *testing.T) {
	b := newBed(t)
	role := b.role(`{}`)
	for _, row := range []struct {
		reason, message string
		answers         int // that say so, before AWS gets at them
		want            error
		asked           int
	}{
		{"for a moment", "Couldn't retrieve verification key from your identity provider, please reference AssumeRoleWithWebIdentity documentation for requirements", 1, nil, 2},
		{"for longer", "Couldn't retrieve verification key from your identity provider", 99, webidentity.ErrUnavailable, 3},
		{"a bad token is not tried again", "Incorrect token audience", 99, &webidentity.Denied{Code: "InvalidIdentityToken", Message: "Incorrect token audience"}, 1},
	} {
		asked := 0
		away := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if asked++; asked > row.answers {
				b.ServeHTTP(w, r)
				return
			}
			w.WriteHeader(http.StatusBadRequest)
			_, _ = fmt.Fprintf(w, `<ErrorResponse><Error><Type>Sender</Type><Code>InvalidIdentityToken</Code><Message>%s</Message></Error></ErrorResponse>`, row.message)
		}))
		cfg := b.config()
		cfg.BaseEndpoint, cfg.Retryer = &away, func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) { o.Backoff = retry.BackoffDelayerFunc(atOnce) })
		}
		_, err := b.assumer(webidentity.Config{STS: sts.NewFromConfig(cfg)}).Assume(t.Context(), role, b.login("jane@example.com", nil))
		denied, _ := errors.AsType[*webidentity.Denied](err)
		if want, ok := errors.AsType[*webidentity.Denied](row.want); ok && !cmp.Equal(want, denied) || !ok && !errors.Is(err, row.want) {
			t.Errorf("%s: got %v, want %v", row.reason, err, row.want)
		}
		if asked != row.asked {
			t.Errorf("%s: AWS was asked %d times, want %d", row.reason, asked, row.asked)
		}
	}
}

func atOnce(int, error) (time.Duration, error) { return 0, nil }

func TestIssuerThatAWSCannotReach(t *testing.T) {
	b := newBed(t)
	role := b.role(`{}`)
	away := serve(t, http.NotFoundHandler())
	must(b.iam.CreateOpenIDConnectProvider(t.Context(), &iam.CreateOpenIDConnectProviderInput{Url: &away, ClientIDList: []string{"dashboard"}}))
	_, err := b.assumer(webidentity.Config{}).Assume(t.Context(), role, b.login("jane@example.com", map[string]any{"iss": away}))
	if !errors.Is(err, webidentity.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

func TestAssumeRefusesWithoutAsking(t *testing.T) {
	b := newBed(t)
	for _, row := range []struct {
		reason, role string
		person       webidentity.Person
	}{
		{"no ARN", "dash", b.login("jane@example.com", nil)},
		{"the ARN of a user", "arn:aws:iam::123456789012:user/jane", b.login("jane@example.com", nil)},
		{"nobody", "arn:aws:iam::123456789012:role/dash", b.login("", nil)},
	} {
		if _, err := b.assumer(webidentity.Config{}).Assume(t.Context(), row.role, row.person); err == nil {
			t.Errorf("%s: got credentials", row.reason)
		}
	}
	if n := b.Calls("AssumeRoleWithWebIdentity"); n != 0 {
		t.Errorf("AWS was asked %d times", n)
	}
}

// empty is an STS that answers without credentials, as a proxy in between may.
type empty struct{ *sts.Client }

func (empty) AssumeRoleWithWebIdentity(context.Context, *sts.AssumeRoleWithWebIdentityInput, ...func(*sts.Options)) (*sts.AssumeRoleWithWebIdentityOutput, error) {
	return &sts.AssumeRoleWithWebIdentityOutput{Credentials: &types.Credentials{}}, nil
}

func TestAssumeWithoutCredentialsInTheAnswer(t *testing.T) {
	b := newBed(t)
	_, err := b.assumer(webidentity.Config{STS: empty{}}).Assume(t.Context(), b.role(`{}`), b.login("jane@example.com", nil))
	if !errors.Is(err, webidentity.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	for _, row := range []struct {
		reason string
		cfg    webidentity.Config
		want   string
	}{
		{"an unknown mode", webidentity.Config{Mode: "saml"}, `the mode "saml" is neither`},
		{"too short", webidentity.Config{Duration: 899 * time.Second}, "15 minutes to 12 hours"},
		{"too long", webidentity.Config{Duration: 12*time.Hour + time.Second}, "15 minutes to 12 hours"},
		{"parts of a second", webidentity.Config{Duration: time.Hour + time.Millisecond}, "whole seconds"},
		{"a claim that is no tag", webidentity.Config{Tags: []string{"a|b"}}, "cannot name a session tag"},
		{"a claim that AWS keeps", webidentity.Config{Tags: []string{"aws:x"}}, "cannot name a session tag"},
		{"a tag twice", webidentity.Config{Tags: []string{"team", "Team"}}, "asked for twice"},
		{"the cluster's tag twice", webidentity.Config{ClusterName: "prod", Tags: []string{"cluster"}}, "asked for twice"},
	} {
		row.cfg.STS = empty{}
		if _, err := webidentity.New(row.cfg); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: got %v", row.reason, err)
		}
	}
}

func TestNewWithTheSDKsOwnClient(t *testing.T) {
	b := newBed(t)
	role := b.role(`{}`)
	t.Setenv("AWS_ENDPOINT_URL_STS", b.aws)
	t.Setenv("AWS_CONFIG_FILE", t.TempDir()+"/none")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", t.TempDir()+"/none")
	t.Setenv("AWS_REGION", "")
	t.Setenv("AWS_DEFAULT_REGION", "")
	if _, err := webidentity.New(webidentity.Config{}); err == nil || !strings.Contains(err.Error(), "AWS_REGION") {
		t.Errorf("without a region: got %v", err)
	}
	c, err := must(webidentity.New(webidentity.Config{Region: "eu-central-1"})).Assume(t.Context(), role, b.login("jane@example.com", nil))
	if err != nil || c.RoleSessionName != "jane@example.com" {
		t.Errorf("web identity needs no AWS credentials of the proxy's own: got %v", err)
	}
}

func TestCheckDuration(t *testing.T) {
	b := newBed(t)
	role := b.role(`{}`)
	session := must(b.assumer(webidentity.Config{}).Assume(t.Context(), role, b.login("jane@example.com", nil)))
	own := webidentity.Credentials{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: "secret"}
	for _, row := range []struct {
		mode     webidentity.Mode
		as       webidentity.Credentials
		duration time.Duration
		ok       bool
	}{
		{webidentity.AssumeRole, own, 2 * time.Hour, true},
		{webidentity.AssumeRole, session, time.Hour, true},
		{webidentity.AssumeRole, session, 0, true},
		{webidentity.AssumeRole, session, time.Hour + time.Second, false},
		{webidentity.WebIdentity, session, 2 * time.Hour, true},
		{webidentity.AssumeRole, webidentity.Credentials{AccessKeyID: "x", SecretAccessKey: "y"}, 2 * time.Hour, false},
	} {
		a := b.assumer(webidentity.Config{Mode: row.mode, Duration: row.duration, STS: sts.NewFromConfig(b.as(row.as))})
		if err := a.CheckDuration(t.Context()); (err == nil) != row.ok {
			t.Errorf("%s: got %v", fmt.Sprint(row.mode, " for ", row.duration), err)
		}
	}
}
