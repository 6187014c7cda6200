package demo

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"k8s.io/client-go/rest"
)

// TestPlay: the verdict, without a cluster. What the API server of this test
// answers is what others wrote, and nothing else.
func TestPlay(t *testing.T) {
	const awsAuth = `{"kind":"ConfigMap","apiVersion":"v1","data":{"mapUsers":"%"}}`
	answer := "somebody's"
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/"+awsAuthName) {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(strings.ReplaceAll(awsAuth, "%", answer)))
	}))
	t.Cleanup(api.Close)
	boom := errors.New("boom")
	fine := func(context.Context, *world) error { return nil }
	for _, tt := range []struct {
		reason string
		steps  []step
		want   error
		says   []string
		not    string
	}{
		{"all pass", []step{{title: "one", run: fine}, {title: "two", run: fine}}, nil, []string{"[ 1/2] one\n", "ok (", "[ 2/2] two\n", "\ndemo: all 2 steps passed in "}, "FAILED"},
		{"the first that fails is the last", []step{
			{title: "one", run: fine}, {title: "two", run: func(context.Context, *world) error { return boom }}, {title: "three", run: fine},
		}, boom, []string{"FAILED (", "): boom\n", "its log is the.log\n"}, "three"},
		{"a step that changes others' bytes fails", []step{{title: "one", run: func(context.Context, *world) error {
			answer = "gone"
			return nil
		}}}, errForeign, []string{"aws-auth without our entries is not, byte for byte, what others wrote"}, "passed"},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			answer = "somebody's"
			var out bytes.Buffer
			w, err := newWorld(&screen{out: &out}, &cluster{admin: &rest.Config{Host: api.URL}}, &emulator{url: "http://127.0.0.1:1"})
			if err != nil {
				t.Fatal(err)
			}
			w.log, w.foreign = "the.log", map[string]string{"mapUsers": answer}
			err = w.play(t.Context(), tt.steps)
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if err != nil && !strings.HasPrefix(err.Error(), "demo: step ") {
				t.Errorf("the error names the step: got %v", err)
			}
			for _, text := range tt.says {
				if !strings.Contains(out.String(), text) {
					t.Errorf("it does not say %q", text)
				}
			}
			if strings.Contains(out.String(), tt.not) {
				t.Errorf("it says %q", tt.not)
			}
			if t.Failed() {
				t.Log(out.String())
			}
		})
	}
}
