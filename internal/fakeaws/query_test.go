package fakeaws_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
)

// newRequest is one that a server received.
func newRequest(method, target, body string) *http.Request {
	return httptest.NewRequestWithContext(context.Background(), method, target, strings.NewReader(body))
}

// signed is a request that the SDK's signer signed.
func (b *bed) signed(method, target, service, body string) *http.Request {
	r := newRequest(method, "http://127.0.0.1"+target, body)
	if body != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	signer{adminKey, adminSecret, service, b.clock.Now()}.sign(r, body)
	return r
}

type signer struct {
	id, secret, service string
	now                 time.Time
}

func (s signer) sign(r *http.Request, body string) {
	sum := sha256.Sum256([]byte(body))
	key := aws.Credentials{AccessKeyID: s.id, SecretAccessKey: s.secret}
	if err := v4.NewSigner().SignHTTP(r.Context(), key, r, hex.EncodeToString(sum[:]), s.service, "eu-central-1", s.now); err != nil {
		panic(err)
	}
}

func TestQueryProtocol(t *testing.T) {
	b := newBed(t)
	for _, row := range []struct {
		reason                        string
		method, target, service, body string
		code                          string
		status                        int
	}{
		{"parameters in a form", "POST", "/", "iam", "Action=ListUsers&Version=2010-05-08", "", 200},
		{"parameters in the query", "GET", "/?Action=ListUsers&Version=2010-05-08", "iam", "", "", 200},
		{"parameters in both", "POST", "/?Action=ListUsers", "iam", "Version=2010-05-08", "", 200},
		{"plus and escapes", "GET", "/?Action=GetUser&Version=2010-05-08&UserName=a%2Bb", "iam", "", "NoSuchEntity", 404},
		{"the other service", "POST", "/", "sts", "Action=GetCallerIdentity&Version=2011-06-15", "", 200},
		{"no action", "POST", "/", "iam", "Version=2010-05-08", "MissingAction", 400},
		{"an unknown action", "POST", "/", "iam", "Action=Nope&Version=2010-05-08", "InvalidAction", 400},
		{"an action of the other service", "POST", "/", "iam", "Action=AssumeRole&Version=2010-05-08", "InvalidAction", 400},
		{"the scope of the other service", "POST", "/", "sts", "Action=ListUsers&Version=2010-05-08", "InvalidAction", 400},
		{"an unknown version", "POST", "/", "iam", "Action=ListUsers&Version=2020-01-01", "InvalidAction", 400},
		{"no version", "POST", "/", "iam", "Action=ListUsers", "InvalidAction", 400},
		{"an action twice", "POST", "/", "iam", "Action=ListUsers&Action=DeleteUser&Version=2010-05-08", "MalformedQueryString", 400},
		{"an action in both places", "POST", "/?Action=GetUser", "iam", "Action=ListUsers&Version=2010-05-08", "MalformedQueryString", 400},
		{"a broken escape in the form", "POST", "/", "iam", "Action=%zz", "MalformedQueryString", 400},
		{"a semicolon", "POST", "/", "iam", "Action=ListUsers;Version=2010-05-08", "MalformedQueryString", 400},
		{"a body that is too large", "POST", "/", "iam", strings.Repeat("a", 1<<20+1), "RequestEntityTooLarge", 413},
	} {
		status, e := send(t, b.Server, b.signed(row.method, row.target, row.service, row.body))
		if status != row.status || e.Code != row.code {
			t.Errorf("%s: got %d %q (%s), want %d %q", row.reason, status, e.Code, e.Message, row.status, row.code)
		}
	}
}

func TestAnswerOnTheWire(t *testing.T) {
	b := newBed(t)
	for _, row := range []struct {
		reason, service, body string
		want                  []string
	}{
		{
			"a listing", "iam", "Action=ListGroups&Version=2010-05-08",
			[]string{`<ListGroupsResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><ListGroupsResult><Groups></Groups><IsTruncated>false</IsTruncated></ListGroupsResult><ResponseMetadata><RequestId>`, `</RequestId></ResponseMetadata></ListGroupsResponse>`},
		},
		{
			"no result", "iam", "Action=CreateUser&UserName=x&Version=2010-05-08", []string{`<CreateUserResult><User><Path>/</Path>`},
		},
		{
			"an action without a result", "iam", "Action=DeleteUser&UserName=x&Version=2010-05-08",
			[]string{`<DeleteUserResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><ResponseMetadata>`},
		},
		{
			"an error", "iam", "Action=DeleteUser&UserName=x&Version=2010-05-08",
			[]string{`<ErrorResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><Error><Type>Sender</Type><Code>NoSuchEntity</Code><Message>The user with name x cannot be found.</Message></Error><RequestId>`},
		},
		{
			"the other namespace", "sts", "Action=GetCallerIdentity&Version=2011-06-15",
			[]string{`<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:user/admin</Arn>`, `<Account>123456789012</Account>`},
		},
	} {
		w := httptest.NewRecorder()
		b.ServeHTTP(w, b.signed("POST", "/", row.service, row.body))
		for _, want := range row.want {
			if !strings.Contains(w.Body.String(), want) {
				t.Errorf("%s: got %s, want %s", row.reason, w.Body, want)
			}
		}
	}
}

func TestUnsignedRefusalHasTheServicesForm(t *testing.T) {
	b := newBed(t)
	w := httptest.NewRecorder()
	b.ServeHTTP(w, newRequest(http.MethodGet, "/?Action=GetCallerIdentity&Version=2011-06-15", ""))
	if w.Code != 403 || !strings.Contains(w.Body.String(), "sts.amazonaws.com/doc") || !strings.Contains(w.Body.String(), "MissingAuthenticationToken") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

func FuzzServeHTTP(f *testing.F) {
	auth := exampleFullKey
	f.Add("GET", "/?Action=ListUsers&Version=2010-05-08", auth, "20150830T123600Z", "")
	f.Add("POST", "/", auth, "20150830T123600Z", "Action=CreateUser&UserName=x&Tags.member.1.Key=a&Tags.member.1.Value=b&Version=2010-05-08")
	f.Add("POST", "/", "AWS4-HMAC-SHA256 Credential=////,SignedHeaders=;;,Signature=", "", "Action=GetUser")
	f.Add("GET", "/%2f//..;x?a=%zz&=&&b", "AWS4-HMAC-SHA256 ,=,=", "99999999T999999Z", "%")
	f.Add("GET", "/?Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20150830%2Fus-east-1%2Fsts%2Faws4_request&X-Amz-Date=20150830T123600Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=00", "", "", "")
	f.Add("POST", "/?X-Amz-Signature=%zz;&X-Amz-Date", "", "", "Action=DescribeInstances&Filter.1.Name=instance-id&Version=2016-11-15")
	f.Add("POST", "/?Action=AssumeRole", "", "", "Version=2011-06-15;Action=x")
	f.Fuzz(func(t *testing.T, method, target, authorization, date, body string) {
		s := fakeaws.New(fakeaws.Config{AccessKeyID: exampleKey, SecretAccessKey: exampleSecret, Now: exampleTime})
		r, err := http.NewRequestWithContext(t.Context(), method, "http://iam.amazonaws.com"+target, io.NopCloser(strings.NewReader(body)))
		if err != nil {
			return
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		r.Header.Set("X-Amz-Date", date)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code == http.StatusOK && (r.Method != http.MethodGet || body != "") {
			t.Errorf("a request that was not signed got through: %s %s %q", method, target, body)
		}
		if w.Code == http.StatusInternalServerError || !bytes.Contains(bytes.ToLower(w.Body.Bytes()), []byte("<requestid>")) {
			t.Errorf("got %d %s", w.Code, w.Body)
		}

		// The same parameters rightly signed reach the parsers behind the signature.
		r = newRequest(http.MethodPost, "http://127.0.0.1/", body)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		signer{exampleKey, exampleSecret, "iam", exampleTime()}.sign(r, body)
		w = httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code >= http.StatusInternalServerError || strings.Contains(w.Body.String(), "SignatureDoesNotMatch") {
			t.Errorf("got %d %s", w.Code, w.Body)
		}
	})
}
