package fakeidp

import (
	"bytes"
	_ "embed" // the page
	"html/template"
	"maps"
	"net/http"
	"net/url"
	"slices"
)

//go:embed page.html
var pageSource string

// view is what the page shows: the form if Request is set, else the message.
type view struct {
	Provider string
	Title    string
	Message  string
	Problem  string
	Action   string
	Request  string
	Client   string
	Users    []User
}

func (s *Server) showSignIn(w http.ResponseWriter, id, problem string) {
	s.mu.Lock()
	v := view{Provider: s.name, Title: "Sign in", Problem: problem, Request: id, Client: s.asked[id].clientID}
	if issuer, err := url.Parse(s.issuer); err == nil {
		v.Action = issuer.Path + "/sign-in"
	}
	for _, name := range slices.Sorted(maps.Keys(s.users)) {
		v.Users = append(v.Users, s.users[name])
	}
	s.mu.Unlock()
	status := http.StatusOK
	if problem != "" {
		status = http.StatusUnprocessableEntity
	}
	show(w, status, v)
}

func (s *Server) showProblem(w http.ResponseWriter, message string) {
	show(w, http.StatusBadRequest, view{Provider: s.name, Title: "That did not work", Message: message})
}

func (s *Server) showSignedOut(w http.ResponseWriter) {
	show(w, http.StatusOK, view{Provider: s.name, Title: "Signed out", Message: "You are signed out. You can close this page."})
}

func show(w http.ResponseWriter, status int, v view) {
	page, err := template.New("page").Parse(pageSource)
	var body bytes.Buffer
	if err == nil {
		err = page.Execute(&body, v)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	// No form-action: browsers apply it to the redirect that answers the form.
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'")
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes())
}
