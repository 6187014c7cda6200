package principals_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/principals"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

func TestErrorTextsDoNotFlap(t *testing.T) {
	for _, row := range []struct {
		reason string
		answer http.HandlerFunc
		want   string
	}{
		{"not XML", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>proxy")) },
			`^list users under /: deserialization failed, failed to decode response body, .*$`},
		{"an error that is not XML", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) },
			`^list users under /: UnknownError: UnknownError$`},
		{"no answer", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
			`^list users under /: Post http://127.0.0.1:\d+/: EOF$`},
		{"a reset", func(w http.ResponseWriter, _ *http.Request) { reset(w) },
			`^list users under /: Post http://127.0.0.1:\d+/: [^>]*$`}, // no "local->remote"
	} {
		server := httptest.NewServer(row.answer)
		b := newBed(t, func(c *principals.Config) {
			c.STS = &whoever{"arn:aws:iam::" + account + ":root", account}
			c.IAM = elsewhere{c.IAM, server.URL}
		})
		err := b.List(t.Context(), rules.Needs{Users: true}).Users.Err
		server.Close()
		if err == nil || !regexp.MustCompile(row.want).MatchString(err.Error()) {
			t.Errorf("%s: got %v, want %s", row.reason, err, row.want)
		}
	}
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	b := newBed(t, func(c *principals.Config) { c.IAM = elsewhere{c.IAM, closed.URL} })
	err := b.List(t.Context(), rules.Needs{Users: true}).Users.Err
	if want := "list users under /: Post " + closed.URL + "/: dial: connect: connection refused"; err == nil || err.Error() != want {
		t.Errorf("nobody listens: got %v, want %s", err, want)
	}
}

// reset ends the connection with a TCP reset.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// elsewhere sends ListUsers to another address.
type elsewhere struct {
	principals.IAM
	url string
}

func (e elsewhere) ListUsers(ctx context.Context, in *iam.ListUsersInput, _ ...func(*iam.Options)) (*iam.ListUsersOutput, error) {
	return e.IAM.ListUsers(ctx, in, func(o *iam.Options) { o.BaseEndpoint = aws.String(e.url) })
}
