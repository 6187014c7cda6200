package oidclogin

import (
	"net/http"
	"testing"
)

func TestLimitsOfTheTransport(t *testing.T) {
	network := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/away":
			http.Redirect(w, r, "https://evil.example.com/stolen", http.StatusTemporaryRedirect)
		case "/down":
			http.Redirect(w, r, "http://id.example.com/ok", http.StatusFound)
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		case "/moved":
			http.Redirect(w, r, "/ok", http.StatusFound)
		case "/endless":
			_, _ = w.Write(make([]byte, maxAnswer+1))
		}
	})
	client := newClient(&http.Client{Transport: inProcess{network}})
	for _, row := range []struct {
		name, method, path, authorization string
		want                              int // 0: an error
	}{
		{"a client secret stays here", http.MethodPost, "/away", "", http.StatusTemporaryRedirect},
		{"an access token stays here", http.MethodGet, "/away", "Bearer x", http.StatusTemporaryRedirect},
		{"what is public may move", http.MethodGet, "/moved", "", http.StatusOK},
		{"https does not become http", http.MethodGet, "/down", "", 0},
		{"a loop ends", http.MethodGet, "/loop", "", 0},
		{"an answer has bounds", http.MethodGet, "/endless", "", 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			request, err := http.NewRequestWithContext(t.Context(), row.method, "https://id.example.com"+row.path, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			if row.authorization != "" {
				request.Header.Set("Authorization", row.authorization)
			}
			response, err := client.Do(request)
			if err != nil {
				if row.want != 0 {
					t.Error(err)
				}
				return
			}
			if err := response.Body.Close(); err != nil || response.StatusCode != row.want {
				t.Errorf("got %s, %v", response.Status, err)
			}
		})
	}
}
