package fakedashboard_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakedashboard"
)

// apiServer knows one token of somebody who may list, and one who may not.
func apiServer(t *testing.T) string {
	t.Helper()
	names := map[string]string{"Bearer k8s-aws-v1.jane": "jane", "Bearer k8s-aws-v1.john": "john"}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := names[r.Header.Get("Authorization")]
		answer := func(status int, body string) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
		switch {
		case name == "":
			answer(http.StatusUnauthorized, `{"kind":"Status","message":"Unauthorized"}`)
		case r.Method+r.URL.Path == "POST/apis/authentication.k8s.io/v1/selfsubjectreviews":
			answer(http.StatusCreated, `{"status":{"userInfo":{"username":"`+name+`","groups":["developers"]}}}`)
		case r.Method+r.URL.Path == "GET/api/v1/namespaces" && name == "jane":
			answer(http.StatusOK, `{"items":[{"metadata":{"name":"default","creationTimestamp":"2026-01-02T03:04:05Z"},"status":{"phase":"Active"}}]}`)
		case r.Method+r.URL.Path == "GET/api/v1/namespaces":
			answer(http.StatusForbidden, `{"kind":"Status","message":"john cannot list namespaces"}`)
		default:
			answer(http.StatusNotFound, r.URL.Path)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func dashboard(t *testing.T, kubernetes string) string {
	t.Helper()
	s := httptest.NewServer(fakedashboard.New(fakedashboard.Config{Kubernetes: kubernetes, AccountPath: "/login"}))
	t.Cleanup(s.Close)
	return s.URL
}

func get(t *testing.T, url, bearer string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if bearer != "" {
		req.Header.Set("Authorization", bearer)
	}
	req.AddCookie(&http.Cookie{Name: "theme", Value: "dark-secret"})
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close() //nolint:errcheck // what was read of it is complete
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

func TestShowsAsWhomTheTokenIsKnown(t *testing.T) {
	url := dashboard(t, apiServer(t))
	for _, test := range []struct {
		reason, bearer string
		want           fakedashboard.Facts
		page           string
	}{
		{"somebody who may list", "Bearer k8s-aws-v1.jane", fakedashboard.Facts{
			Username: "jane", Groups: []string{"developers"},
			Namespaces: []fakedashboard.Namespace{{Name: "default", Phase: "Active", Created: "2026-01-02T03:04:05Z"}},
			Received:   fakedashboard.Received{Scheme: "Bearer", TokenPrefix: "k8s-aws-v1", TokenBytes: 15},
		}, `<p class="username" id="username">jane</p>`},
		{"somebody who may not", "Bearer k8s-aws-v1.john", fakedashboard.Facts{
			Username: "john", Groups: []string{"developers"}, Namespaces: []fakedashboard.Namespace{},
			Forbidden: "john cannot list namespaces",
			Received:  fakedashboard.Received{Scheme: "Bearer", TokenPrefix: "k8s-aws-v1", TokenBytes: 15},
		}, "john cannot list namespaces"},
		{"a token that nobody knows", "Bearer nothing", fakedashboard.Facts{
			Refused: "Unauthorized", Groups: []string{}, Namespaces: []fakedashboard.Namespace{},
			Received: fakedashboard.Received{Scheme: "Bearer", TokenBytes: 7},
		}, "The cluster does not know you"},
		{"no token", "", fakedashboard.Facts{
			Refused: "Unauthorized", Groups: []string{}, Namespaces: []fakedashboard.Namespace{},
		}, "The cluster does not know you"},
	} {
		status, body := get(t, url+"/whoami", test.bearer)
		var got fakedashboard.Facts
		if err := json.Unmarshal([]byte(body), &got); err != nil || status != http.StatusOK {
			t.Fatalf("%s: status %d, %v: %s", test.reason, status, err, body)
		}
		test.want.Received.Cookies = []string{"theme"}
		got.Received.Host, got.Received.Headers = "", nil
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.reason, diff)
		}
		status, body = get(t, url+"/", test.bearer)
		if status != http.StatusOK || !strings.Contains(body, test.page) {
			t.Errorf("%s: status %d, and the page lacks %s:\n%s", test.reason, status, test.page, body)
		}
		for _, secret := range []string{"v1.jane", "v1.john", "dark-secret"} {
			if strings.Contains(body, secret) {
				t.Errorf("%s: the page shows %s", test.reason, secret)
			}
		}
	}
}

func TestSaysThatTheClusterIsAway(t *testing.T) {
	url := dashboard(t, "http://127.0.0.1:1")
	for _, path := range []string{"/", "/whoami", "/echo"} {
		if status, body := get(t, url+path, "Bearer k8s-aws-v1.jane"); status != http.StatusBadGateway {
			t.Errorf("%s: status %d: %s", path, status, body)
		}
	}
}

func TestEchoes(t *testing.T) {
	url := dashboard(t, apiServer(t))
	if status, _ := get(t, url+"/echo", "Bearer nothing"); status != http.StatusUnauthorized {
		t.Errorf("a token that nobody knows: status %d, want 401", status)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	//nolint:bodyclose // of a successful dial it need not be closed
	conn, _, err := websocket.Dial(ctx, url+"/echo", &websocket.DialOptions{HTTPHeader: http.Header{
		"Authorization": {"Bearer k8s-aws-v1.jane"}, "Origin": {"https://dashboard.example"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow() //nolint:errcheck // it is over either way
	for _, message := range []string{"", "ping", "pong"} {
		want := message
		if message == "" {
			want = "hello jane"
		} else if err := conn.Write(ctx, websocket.MessageText, []byte(message)); err != nil {
			t.Fatal(err)
		}
		if _, got, err := conn.Read(ctx); err != nil || string(got) != want {
			t.Fatalf("got %q, %v; want %q", got, err, want)
		}
	}
}

func TestServesItsFiles(t *testing.T) {
	url := dashboard(t, apiServer(t))
	for _, path := range []string{"/static/app.css", "/static/app.js"} {
		if status, _ := get(t, url+path, ""); status != http.StatusOK {
			t.Errorf("%s: status %d", path, status)
		}
	}
	if status, _ := get(t, url+"/nothing", ""); status != http.StatusNotFound {
		t.Errorf("/nothing: status %d, want 404", status)
	}
}
