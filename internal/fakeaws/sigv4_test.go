package fakeaws_test

import (
	"encoding/xml"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
)

// The worked example of AWS's Signature Version 4 documentation.
const (
	exampleKey     = "AKIDEXAMPLE"
	exampleSecret  = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
	exampleURL     = "http://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08"
	exampleScope   = "Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request"
	exampleSigned  = "SignedHeaders=content-type;host;x-amz-date"
	exampleValue   = "Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
	exampleFullKey = "AWS4-HMAC-SHA256 " + exampleScope + ", " + exampleSigned + ", " + exampleValue
)

func exampleTime() time.Time { return time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC) }

func exampleRequest() *http.Request {
	r := newRequest(http.MethodGet, exampleURL, "")
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	r.Header.Set("X-Amz-Date", "20150830T123600Z")
	r.Header.Set("Authorization", exampleFullKey)
	return r
}

type wireError struct {
	XMLName   xml.Name
	Type      string `xml:"Error>Type"`
	Code      string `xml:"Error>Code"`
	Message   string `xml:"Error>Message"`
	RequestID string `xml:"RequestId"`
}

// send gives the status and the error, which is empty for a success.
func send(t *testing.T, s *fakeaws.Server, r *http.Request) (int, wireError) {
	t.Helper()
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	id := w.Header().Get("x-amzn-RequestId")
	if id == "" || w.Header().Get("Date") == "" || w.Header().Get("Content-Type") != "text/xml" {
		t.Errorf("every answer has request id, date and type: %v", w.Header())
	}
	var e wireError
	if w.Code == http.StatusOK {
		return w.Code, e
	}
	if err := xml.Unmarshal(w.Body.Bytes(), &e); err != nil {
		t.Fatal(err)
	}
	if e.RequestID != id || e.Message == "" {
		t.Errorf("an error has its request id and a message: %s", w.Body)
	}
	return w.Code, e
}

func TestSignature(t *testing.T) {
	auth := func(old, with string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(exampleFullKey, old, with, 1))
		}
	}
	for _, row := range []struct {
		reason string
		change func(*http.Request)
		late   time.Duration
		code   string
		status int
	}{
		{"AWS's own example is right", func(*http.Request) {}, 0, "", 200},
		{"the order of the fields and the spaces do not matter", func(r *http.Request) {
			r.Header.Set("Authorization", "AWS4-HMAC-SHA256 "+exampleValue+","+exampleScope+" , "+exampleSigned)
		}, 0, "", 200},
		{"five minutes late is still right", func(*http.Request) {}, 5 * time.Minute, "", 200},
		{"five minutes early is still right", func(*http.Request) {}, -5 * time.Minute, "", 200},
		{"runs of spaces in a header count as one", header("Content-Type", "  application/x-www-form-urlencoded;   charset=utf-8 "), 0, "", 200},
		{"query parameters may come in any order", func(r *http.Request) { r.URL.RawQuery = "Version=2010-05-08&Action=List%55sers" }, 0, "", 200},

		{"no signature", func(r *http.Request) { r.Header.Del("Authorization") }, 0, "MissingAuthenticationToken", 403},
		{"two signatures", func(r *http.Request) { r.Header.Add("Authorization", exampleFullKey) }, 0, "IncompleteSignature", 400},
		{"another algorithm", auth("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"), 0, "IncompleteSignature", 400},
		{"a bearer token", header("Authorization", "Bearer x"), 0, "IncompleteSignature", 400},
		{"no credential", auth(exampleScope+", ", ""), 0, "IncompleteSignature", 400},
		{"no signed headers", auth(exampleSigned+", ", ""), 0, "IncompleteSignature", 400},
		{"no value", auth(", "+exampleValue, ""), 0, "IncompleteSignature", 400},
		{"a field twice", auth(exampleSigned, exampleSigned+", "+exampleSigned), 0, "IncompleteSignature", 400},
		{"an unknown field", auth(exampleSigned, exampleSigned+", X=y"), 0, "IncompleteSignature", 400},
		{"a scope that is too short", auth("/iam/aws4_request", "/aws4_request"), 0, "IncompleteSignature", 400},
		{"a scope with a hole", auth("/us-east-1/", "//"), 0, "IncompleteSignature", 400},
		{"a scope without its end", auth("aws4_request", "aws3_request"), 0, "SignatureDoesNotMatch", 403},
		{"a scope of another day", auth("/20150830/", "/20150831/"), 0, "SignatureDoesNotMatch", 403},
		{"a scope of an unknown service", auth("/iam/", "/s3/"), 0, "SignatureDoesNotMatch", 403},
		{"a scope of another service", auth("/iam/", "/sts/"), 0, "SignatureDoesNotMatch", 403},
		{"a scope of another region", auth("/us-east-1/", "/us-east-2/"), 0, "SignatureDoesNotMatch", 403},
		{"host unsigned", auth("content-type;host;x-amz-date", "content-type;x-amz-date"), 0, "IncompleteSignature", 400},
		{"date unsigned", auth("content-type;host;x-amz-date", "content-type;host"), 0, "IncompleteSignature", 400},
		{"another x-amz header unsigned", header("X-Amz-Security-Token", "t"), 0, "IncompleteSignature", 400},
		{"signed headers out of order", auth("content-type;host;x-amz-date", "host;content-type;x-amz-date"), 0, "IncompleteSignature", 400},
		{"a signed header twice", auth("content-type;host;x-amz-date", "content-type;host;host;x-amz-date"), 0, "IncompleteSignature", 400},
		{"no date", func(r *http.Request) { r.Header.Del("X-Amz-Date") }, 0, "IncompleteSignature", 400},
		{"a date that is none", header("X-Amz-Date", "2015-08-30"), 0, "IncompleteSignature", 400},
		{"another date of that day", header("X-Amz-Date", "20150830T123601Z"), 0, "SignatureDoesNotMatch", 403},
		{"too late", func(*http.Request) {}, 5*time.Minute + time.Second, "SignatureDoesNotMatch", 403},
		{"too early", func(*http.Request) {}, -5*time.Minute - time.Second, "SignatureDoesNotMatch", 403},
		{"an unknown key", auth("AKIDEXAMPLE", "AKIDSAMPLE"), 0, "InvalidClientTokenId", 403},
		{"a value in upper case", auth("5d672d", "5D672D"), 0, "SignatureDoesNotMatch", 403},
		{"another value", auth("5d672d", "5d672e"), 0, "SignatureDoesNotMatch", 403},
		{"another host", func(r *http.Request) { r.Host = "evil.example" }, 0, "SignatureDoesNotMatch", 403},
		{"another path", func(r *http.Request) { r.URL.Path = "/x" }, 0, "SignatureDoesNotMatch", 403},
		{"another query", func(r *http.Request) { r.URL.RawQuery += "&MaxItems=1" }, 0, "SignatureDoesNotMatch", 403},
		{"another signed header", header("Content-Type", "application/x-www-form-urlencoded"), 0, "SignatureDoesNotMatch", 403},
		{"a body that was not signed", func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("MaxItems=1")) }, 0, "SignatureDoesNotMatch", 403},
		{"another method", func(r *http.Request) { r.Method = http.MethodPost }, 0, "SignatureDoesNotMatch", 403},
		{"a method that AWS does not take", func(r *http.Request) { r.Method = http.MethodPut }, 0, "MethodNotAllowed", 405},
	} {
		s := fakeaws.New(fakeaws.Config{
			AccessKeyID: exampleKey, SecretAccessKey: exampleSecret,
			Now: func() time.Time { return exampleTime().Add(row.late) },
		})
		r := exampleRequest()
		row.change(r)
		if status, e := send(t, s, r); status != row.status || e.Code != row.code {
			t.Errorf("%s: got %d %q (%s), want %d %q", row.reason, status, e.Code, e.Message, row.status, row.code)
		}
	}
}

func TestSDKSignatures(t *testing.T) {
	b, ctx := newBed(t), t.Context()
	wrong, _ := b.clients(adminKey, adminSecret+"x", "")
	if _, err := wrong.ListUsers(ctx, &iam.ListUsersInput{}); code(err) != "SignatureDoesNotMatch" || status(err) != 403 {
		t.Errorf("a wrong secret is refused: got %v", err)
	}
	_, token := b.clients(adminKey, adminSecret, "unexpected")
	if _, err := token.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{}); code(err) != "InvalidClientTokenId" {
		t.Errorf("a lasting key has no session token: got %v", err)
	}
	tampered := iam.NewFromConfig(aws.Config{}, func(o *iam.Options) {
		*o = b.iam.Options()
		o.HTTPClient = tamper{"Version=2010-05-08", "Version=2010-05-08&MaxItems=1"}
	})
	if _, err := tampered.ListUsers(ctx, &iam.ListUsersInput{}); code(err) != "SignatureDoesNotMatch" {
		t.Errorf("a body that was changed on the way is refused: got %v", err)
	}
}

// tamper replaces text in the body of a signed request.
type tamper struct{ old, with string }

func (c tamper) Do(r *http.Request) (*http.Response, error) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	changed := strings.Replace(string(b), c.old, c.with, 1)
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(changed)), int64(len(changed))
	return wholeBodies{}.Do(r)
}

func TestSkewedClock(t *testing.T) {
	b, ctx := newBed(t), t.Context()
	for _, skew := range []time.Duration{10 * time.Minute, -20 * time.Minute} {
		b.clock.Advance(skew)
		if _, err := b.iam.ListUsers(ctx, &iam.ListUsersInput{}); code(err) != "SignatureDoesNotMatch" {
			t.Errorf("a clock that is %s off is refused: got %v", -skew, err)
		}
		if _, err := b.retrying(2).ListUsers(ctx, &iam.ListUsersInput{}); err != nil {
			t.Errorf("the SDK learns the time from the Date of the refusal: got %v", err)
		}
	}
}

func TestDateHeader(t *testing.T) {
	s := fakeaws.New(fakeaws.Config{AccessKeyID: exampleKey, SecretAccessKey: exampleSecret, Now: exampleTime})
	r := exampleRequest()
	r.Header.Del("X-Amz-Date")
	r.Header.Set("Date", exampleTime().Format(http.TimeFormat))
	if _, e := send(t, s, r); e.Code != "IncompleteSignature" {
		t.Errorf("an unsigned Date cannot stand for X-Amz-Date: got %q", e.Code)
	}
	r.Header.Set("Authorization", strings.Replace(exampleFullKey, "content-type;host;x-amz-date", "content-type;date;host", 1))
	if _, e := send(t, s, r); e.Code != "SignatureDoesNotMatch" {
		t.Errorf("a signed Date stands for X-Amz-Date: got %q", e.Code)
	}
}
