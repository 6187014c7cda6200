package app

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"k8s.io/client-go/rest"
)

// TestAccepts: only the API server's own no is a no.
func TestAccepts(t *testing.T) {
	for _, row := range []struct {
		reason string
		status int
		want   bool
		fails  bool
	}{
		{"somebody", http.StatusCreated, true, false},
		{"somebody who may not ask who they are", http.StatusForbidden, true, false},
		{"nobody that it knows yet", http.StatusUnauthorized, false, false},
		{"trouble", http.StatusInternalServerError, false, true},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/apis/authentication.k8s.io/v1/selfsubjectreviews" || r.Header.Get("Authorization") != "Bearer token" {
				t.Errorf("it is asked for %s with %q", r.URL, r.Header.Get("Authorization"))
			}
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(row.status)
			kind := fmt.Sprintf(`{"kind":"Status","apiVersion":"v1","status":"Failure","code":%d}`, row.status)
			if row.status == http.StatusCreated {
				kind = `{"kind":"SelfSubjectReview","apiVersion":"authentication.k8s.io/v1"}`
			}
			_, _ = w.Write([]byte(kind))
		}))
		own := &rest.Config{Host: server.URL, BearerToken: "own"}
		got, err := accepts(own)(t.Context(), "token")
		if got != row.want || (err != nil) != row.fails {
			t.Errorf("%s: got %t %v", row.reason, got, err)
		}
		server.Close()
	}
}
