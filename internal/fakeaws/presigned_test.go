package fakeaws_test

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/google/go-cmp/cmp"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
)

const testCluster = "prod.example"

// presign makes the URL of an EKS token as kubectl's plugins do: an endpoint of
// AWS in the host and the cluster's name among the signed headers.
func presign(ctx context.Context, region string, key aws.Credentials) string {
	client := sts.New(sts.Options{
		Region:      region,
		Credentials: credentials.StaticCredentialsProvider{Value: key},
	})
	made, err := sts.NewPresignClient(client).PresignGetCallerIdentity(ctx, &sts.GetCallerIdentityInput{}, func(o *sts.PresignOptions) {
		o.ClientOptions = append(o.ClientOptions, sts.WithAPIOptions(
			smithyhttp.SetHeaderValue("X-Amz-Expires", "60"), // the signer moves it into the query
			smithyhttp.SetHeaderValue("x-k8s-aws-id", testCluster),
		))
	})
	return must(made, err).URL
}

func admin() aws.Credentials {
	return aws.Credentials{AccessKeyID: adminKey, SecretAccessKey: adminSecret}
}

// presented is the request that a verifier of tokens sends.
func presented(signed string) *http.Request {
	r := newRequest(http.MethodGet, signed, "")
	r.Header.Set("X-K8s-Aws-Id", testCluster)
	return r
}

// The changes that somebody may make to a presigned request.

func query(change func(url.Values)) func(*http.Request) {
	return func(r *http.Request) {
		q := r.URL.Query()
		change(q)
		r.URL.RawQuery = q.Encode()
	}
}

func set(name, value string) func(*http.Request) {
	return query(func(q url.Values) { q.Set(name, value) })
}

func swap(name, old, with string) func(*http.Request) {
	return query(func(q url.Values) { q.Set(name, strings.Replace(q.Get(name), old, with, 1)) })
}

func without(name string) func(*http.Request) {
	return query(func(q url.Values) { q.Del(name) })
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func oneSecondLater(q url.Values) {
	const form = "20060102T150405Z"
	q.Set("X-Amz-Date", must(time.Parse(form, q.Get("X-Amz-Date"))).Add(time.Second).Format(form))
}

func TestPresigned(t *testing.T) {
	b := newBed(t)
	whole := presign(t.Context(), "us-west-2", admin())
	if !strings.HasPrefix(whole, "https://sts.us-west-2.amazonaws.com/?") || !strings.Contains(whole, "X-Amz-SignedHeaders=host%3Bx-k8s-aws-id&") {
		t.Fatalf("not what an EKS token holds: %s", whole)
	}
	for _, row := range []struct {
		reason string
		change func(*http.Request)
		late   time.Duration
		code   string
		status int
	}{
		{"what the SDK signed is right", func(*http.Request) {}, 0, "", 200},
		{"the order of the parameters does not matter", set("Action", "GetCallerIdentity"), 0, "", 200},
		{"X-Amz-Expires is ignored", func(*http.Request) {}, 14*time.Minute + 50*time.Second, "", 200},
		{"an unsigned header that is not x-amz is ignored", header("Accept-Language", "x"), 0, "", 200},

		{"after 15 minutes", func(*http.Request) {}, 15*time.Minute + 2*time.Second, "SignatureDoesNotMatch", 403},
		{"more than 5 minutes early", func(*http.Request) {}, -5*time.Minute - 2*time.Second, "SignatureDoesNotMatch", 403},
		{"for another cluster", header("X-K8s-Aws-Id", "dev.example"), 0, "SignatureDoesNotMatch", 403},
		{"the cluster in upper case", header("X-K8s-Aws-Id", "PROD.example"), 0, "SignatureDoesNotMatch", 403},
		{"without the cluster", func(r *http.Request) { r.Header.Del("X-K8s-Aws-Id") }, 0, "SignatureDoesNotMatch", 403},
		{"with the cluster twice", func(r *http.Request) { r.Header.Add("X-K8s-Aws-Id", testCluster) }, 0, "SignatureDoesNotMatch", 403},
		{"the cluster no longer signed", set("X-Amz-SignedHeaders", "host"), 0, "SignatureDoesNotMatch", 403},
		{"the host of another region", func(r *http.Request) { r.Host = "sts.us-east-1.amazonaws.com" }, 0, "SignatureDoesNotMatch", 403},
		{"the host of an emulator", func(r *http.Request) { r.Host = "127.0.0.1:4566" }, 0, "SignatureDoesNotMatch", 403},
		{"the host with a port", func(r *http.Request) { r.Host += ":443" }, 0, "SignatureDoesNotMatch", 403},
		{"another method", func(r *http.Request) { r.Method = http.MethodPost }, 0, "SignatureDoesNotMatch", 403},
		{"another path", func(r *http.Request) { r.URL.Path = "/x" }, 0, "SignatureDoesNotMatch", 403},
		{"a body", func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("x")) }, 0, "SignatureDoesNotMatch", 403},
		{"another action", set("Action", "AssumeRole"), 0, "SignatureDoesNotMatch", 403},
		{"one parameter more", set("X", "y"), 0, "SignatureDoesNotMatch", 403},
		{"a longer life", set("X-Amz-Expires", "900"), 0, "SignatureDoesNotMatch", 403},
		{"no life", without("X-Amz-Expires"), 0, "SignatureDoesNotMatch", 403},
		{"another date", query(oneSecondLater), 0, "SignatureDoesNotMatch", 403},
		{"another region in the scope", swap("X-Amz-Credential", "us-west-2", "us-east-1"), 0, "SignatureDoesNotMatch", 403},
		{"another service in the scope", swap("X-Amz-Credential", "/sts/", "/iam/"), 0, "SignatureDoesNotMatch", 403},
		{"another signature", set("X-Amz-Signature", strings.Repeat("0", 64)), 0, "SignatureDoesNotMatch", 403},
		{"an unknown key", swap("X-Amz-Credential", adminKey, "AKIAUNKNOWN"), 0, "InvalidClientTokenId", 403},
		{"a session token with a lasting key", set("X-Amz-Security-Token", "t"), 0, "InvalidClientTokenId", 403},
		{"an x-amz header that is not signed", header("X-Amz-Meta", "x"), 0, "IncompleteSignature", 400},
		{"a signature in the header, too", header("Authorization", exampleFullKey), 0, "IncompleteSignature", 400},
		{"no signature", without("X-Amz-Signature"), 0, "IncompleteSignature", 400},
		{"no algorithm", without("X-Amz-Algorithm"), 0, "IncompleteSignature", 400},
		{"another algorithm", set("X-Amz-Algorithm", "AWS4-HMAC-SHA1"), 0, "IncompleteSignature", 400},
		{"no credential", without("X-Amz-Credential"), 0, "IncompleteSignature", 400},
		{"no date", without("X-Amz-Date"), 0, "IncompleteSignature", 400},
		{"a date that is none", set("X-Amz-Date", "today"), 0, "IncompleteSignature", 400},
		{"no signed headers", without("X-Amz-SignedHeaders"), 0, "IncompleteSignature", 400},
		{"the host not signed", set("X-Amz-SignedHeaders", "x-k8s-aws-id"), 0, "IncompleteSignature", 400},
		{"a parameter twice", query(func(q url.Values) { q.Add("X-Amz-Date", q.Get("X-Amz-Date")) }), 0, "MalformedQueryString", 400},
		{"a broken query", func(r *http.Request) { r.URL.RawQuery += "&%zz" }, 0, "MalformedQueryString", 400},
	} {
		b.clock.Advance(row.late)
		r := presented(whole)
		row.change(r)
		if status, e := send(t, b.Server, r); status != row.status || e.Code != row.code {
			t.Errorf("%s: got %d %q (%s), want %d %q", row.reason, status, e.Code, e.Message, row.status, row.code)
		}
		b.clock.Advance(-row.late)
	}
}

// presignedNow signs at the time of the bed's clock, for any host and region.
func (b *bed) presignedNow(t *testing.T, host, region string, key aws.Credentials) string {
	t.Helper()
	const nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" // SHA-256 of an empty body
	r := newRequest(http.MethodGet, "https://"+host+"/?Action=GetCallerIdentity&Version=2011-06-15", "")
	signed, _, err := v4.NewSigner().PresignHTTP(t.Context(), key, r, nothing, "sts", region, b.clock.Now())
	return must(signed, err)
}

func TestPresignedHosts(t *testing.T) {
	b := newBed(t)
	for _, row := range []struct {
		reason, host, region, code string
	}{
		{"the global endpoint", "sts.amazonaws.com", "us-east-1", ""},
		{"the global endpoint is in us-east-1", "sts.amazonaws.com", "us-west-2", "SignatureDoesNotMatch"},
		{"a FIPS endpoint", "sts-fips.us-west-2.amazonaws.com", "us-west-2", ""},
		{"a FIPS endpoint of another region", "sts-fips.us-west-2.amazonaws.com", "us-west-1", "SignatureDoesNotMatch"},
		{"a dual-stack endpoint", "sts.eu-west-1.api.aws", "eu-west-1", ""},
		{"a dual-stack endpoint of another region", "sts.eu-west-1.api.aws", "eu-west-2", "SignatureDoesNotMatch"},
		{"an endpoint in China", "sts.cn-north-1.amazonaws.com.cn", "cn-north-1", ""},
		{"an endpoint in China of another region", "sts.cn-north-1.amazonaws.com.cn", "us-east-1", "SignatureDoesNotMatch"},
		{"no endpoint of AWS", "127.0.0.1:4566", "moon-1", ""},
	} {
		signed := b.presignedNow(t, row.host, row.region, admin())
		if _, e := send(t, b.Server, newRequest(http.MethodGet, signed, "")); e.Code != row.code {
			t.Errorf("%s: got %q (%s), want %q", row.reason, e.Code, e.Message, row.code)
		}
	}
}

// ask sends a presigned request over the network to the emulator, under the
// host that it was signed for.
func (b *bed) ask(t *testing.T, signed, accept string) (status int, media, body string) {
	t.Helper()
	r := presented(signed)
	r.RequestURI, r.URL.Scheme, r.URL.Host = "", "http", strings.TrimPrefix(b.url, "http://")
	r.Header.Set("Accept", accept)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	return response.StatusCode, response.Header.Get("Content-Type"), string(must(io.ReadAll(response.Body))) +
		"#" + response.Header.Get("X-Amzn-Requestid")
}

func TestPresignedAnswers(t *testing.T) {
	b, ctx := newBed(t), t.Context()
	good := presign(ctx, "us-west-2", admin())
	bad := presign(ctx, "us-west-2", aws.Credentials{AccessKeyID: "AKIANOBODY", SecretAccessKey: adminSecret})
	me := must(b.iam.GetUser(ctx, &iam.GetUserInput{})).User
	for _, row := range []struct {
		reason, signed, accept string
		status                 int
		media, want            string
	}{
		{
			"JSON", good, "application/json", 200, "application/json",
			`{"GetCallerIdentityResponse":{"GetCallerIdentityResult":{"Arn":"arn:aws:iam::123456789012:user/admin","UserId":"` + *me.UserId + `","Account":"123456789012"},"ResponseMetadata":{"RequestId":"ID"}}}`,
		},
		{
			"JSON among others", good, "text/html, application/json;q=0.9", 200, "application/json",
			`{"GetCallerIdentityResponse":{"GetCallerIdentityResult":{"Arn":"arn:aws:iam::123456789012:user/admin","UserId":"` + *me.UserId + `","Account":"123456789012"},"ResponseMetadata":{"RequestId":"ID"}}}`,
		},
		{
			"XML", good, "*/*", 200, "text/xml",
			`<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:user/admin</Arn><UserId>` + *me.UserId +
				`</UserId><Account>123456789012</Account></GetCallerIdentityResult><ResponseMetadata><RequestId>ID</RequestId></ResponseMetadata></GetCallerIdentityResponse>`,
		},
		{
			"a refusal in JSON", bad, "application/json", 403, "application/json",
			`{"Error":{"Type":"Sender","Code":"InvalidClientTokenId","Message":"The security token included in the request is invalid."},"RequestId":"ID"}`,
		},
		{
			"a refusal in XML", bad, "text/xml", 403, "text/xml",
			`<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>InvalidClientTokenId</Code><Message>The security token included in the request is invalid.</Message></Error><RequestId>ID</RequestId></ErrorResponse>`,
		},
		{
			"a refusal before the service is known", good + "&X-Amz-Date=%zz", "application/json", 400, "application/json",
			`{"Error":{"Type":"Sender","Code":"MalformedQueryString","Message":"The query string is malformed."},"RequestId":"ID"}`,
		},
	} {
		status, media, body := b.ask(t, row.signed, row.accept)
		body, id, _ := strings.Cut(body, "#")
		if status != row.status || media != row.media {
			t.Errorf("%s: got %d %s, want %d %s", row.reason, status, media, row.status, row.media)
		}
		if diff := cmp.Diff(row.want, strings.Replace(body, id, "ID", 1)); diff != "" {
			t.Errorf("%s: -want +got\n%s", row.reason, diff)
		}
	}
}

func TestPresignedBySession(t *testing.T) {
	b, ctx := newBed(t), t.Context()
	role := must(b.CreateRole("/team/", "deployers", ""))
	assumed := must(b.sts.AssumeRole(ctx, &sts.AssumeRoleInput{
		RoleArn: aws.String(role.ARN), RoleSessionName: aws.String("alice@example.com"), DurationSeconds: aws.Int32(900),
	})).Credentials
	session := aws.Credentials{AccessKeyID: *assumed.AccessKeyId, SecretAccessKey: *assumed.SecretAccessKey, SessionToken: *assumed.SessionToken}
	signed := presign(ctx, "eu-central-1", session)
	if _, _, body := b.ask(t, signed, "application/json"); !strings.Contains(body,
		`"Arn":"arn:aws:sts::123456789012:assumed-role/deployers/alice@example.com","UserId":"`+role.ID+`:alice@example.com"`) {
		t.Errorf("a session is answered without the role's path and under its name: got %s", body)
	}
	other := strings.Replace(signed, "X-Amz-Security-Token=IQ", "X-Amz-Security-Token=IR", 1)
	if _, _, body := b.ask(t, other, "application/json"); !strings.Contains(body, `"InvalidClientTokenId"`) {
		t.Errorf("a session token that was changed: got %s", body)
	}
	b.clock.Advance(15 * time.Minute)
	late := b.presignedNow(t, "sts.eu-central-1.amazonaws.com", "eu-central-1", session)
	if _, _, body := b.ask(t, late, "application/json"); !strings.Contains(body, `"ExpiredToken"`) {
		t.Errorf("a session that has ended: got %s", body)
	}
	if err := b.DeleteRole("deployers"); err != nil {
		t.Fatal(err)
	}
	if _, _, body := b.ask(t, late, "application/json"); !strings.Contains(body, `"InvalidClientTokenId"`) {
		t.Errorf("the sessions of a role end with it: got %s", body)
	}
}

func TestPresignedAfterDeletion(t *testing.T) {
	b, ctx := newBed(t), t.Context()
	b.SetLag(fakeaws.Lag{List: time.Hour, Get: time.Hour})
	must(b.CreateUser("/", "alice"))
	key := must(b.CreateAccessKey("alice"))
	signed := presign(ctx, "us-west-2", aws.Credentials{AccessKeyID: key.ID, SecretAccessKey: key.Secret})
	for range 2 {
		if status, _, body := b.ask(t, signed, "application/json"); status != http.StatusOK || !strings.Contains(body, ":user/alice") {
			t.Fatalf("a token can be shown again and again: got %s", body)
		}
	}
	if err := b.DeleteUser("alice"); err != nil {
		t.Fatal(err)
	}
	if status, _, body := b.ask(t, signed, "application/json"); status != http.StatusForbidden || !strings.Contains(body, `"InvalidClientTokenId"`) {
		t.Errorf("the key of a deleted user is refused at once: got %s", body)
	}
	if n := b.Calls("GetCallerIdentity"); n != 3 {
		t.Errorf("got %d calls, want 3", n)
	}
	b.Inject(fakeaws.Fault{Action: "GetCallerIdentity", Effect: fakeaws.Throttled})
	throttled := presign(ctx, "us-west-2", admin())
	if status, _, body := b.ask(t, throttled, "application/json"); status != http.StatusBadRequest || !strings.Contains(body, `"Code":"Throttling"`) {
		t.Errorf("faults strike presigned calls: got %d %s", status, body)
	}
}
