package demo

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/page"
)

// TestVisitor uses the login proxy's own pages.
func TestVisitor(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", func(w http.ResponseWriter, _ *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "attempt", Value: "1", Path: "/"})
		page.Picker(page.PickerView{
			Cluster: "demo", Action: "/start?a=1&b=2", CSRF: `c"s<r&f`, ReturnTo: "/pods",
			Roles: []page.Role{{Value: "0", Name: "first"}, {Value: "1", Name: "second"}},
		}).Write(w, http.StatusOK)
	})
	mux.HandleFunc("POST /start", func(w http.ResponseWriter, r *http.Request) {
		_, err := r.Cookie("attempt")
		fmt.Fprintln(w, r.FormValue("role"), r.FormValue("csrf"), r.FormValue("return_to"), r.FormValue("b"),
			r.FormValue("more"), r.Header.Get("Origin") == "http://"+r.Host, err)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)

	v, err := newVisitor()
	if err != nil {
		t.Fatal(err)
	}
	if err := v.open(t.Context(), server.URL); err != nil {
		t.Fatal(err)
	}
	if err := v.sees("Choose a role"); err != nil {
		t.Error(err)
	}
	if err := v.sees("Signed out"); err == nil || !strings.Contains(err.Error(), `"Choose a role"`) {
		t.Errorf("another page: got %v", err)
	}
	if err := v.press(t.Context(), "third", nil); err == nil {
		t.Error("a button that is not there was pressed")
	}
	if err := v.press(t.Context(), "second", url.Values{"more": {"yes"}}); err != nil {
		t.Fatal(err)
	}
	if want := `1 c"s<r&f /pods 2 yes true <nil>` + "\n"; v.page != want {
		t.Errorf("the form arrived as %q, want %q", v.page, want)
	}
}
