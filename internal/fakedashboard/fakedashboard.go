// Package fakedashboard is a small Kubernetes dashboard, for tests and the demo to
// put behind a proxy that logs people in. It has no rights of its own: it asks the
// API server with the bearer token of each request, and shows as whom that is
// known there, the namespaces that it may list, and a WebSocket that echoes.
//
// It serves a page at /, the same facts as JSON at /whoami, and the WebSocket at
// /echo. It never shows the token itself. It trusts whoever stands in front of it,
// so serve it on a loopback address.
package fakedashboard

import (
	"bytes"
	"embed"
	"encoding/json"
	"html/template"
	"io/fs"
	"maps"
	"net/http"
	"slices"
	"strings"
)

//go:embed page.html
var pageText string

//go:embed static
var static embed.FS

// Config says where the dashboard finds its cluster.
type Config struct {
	// Kubernetes is the URL of the API server.
	Kubernetes string
	// Transport reaches the API server; it must add no credentials of its own.
	// Default http.DefaultTransport.
	Transport http.RoundTripper
	// AccountPath is where people switch their role and log out, on the same
	// origin; "" shows no link.
	AccountPath string
}

// Dashboard is the http.Handler. It is safe for concurrent use.
type Dashboard struct {
	mux     *http.ServeMux
	page    *template.Template
	cluster cluster
	account string
}

// New makes a dashboard.
func New(c Config) *Dashboard {
	files, err := fs.Sub(static, "static")
	if err != nil {
		panic(err) // the name above is not a path
	}
	if c.Transport == nil {
		c.Transport = http.DefaultTransport
	}
	d := &Dashboard{
		mux:     http.NewServeMux(),
		page:    template.Must(template.New("page").Parse(pageText)),
		cluster: cluster{url: strings.TrimSuffix(c.Kubernetes, "/"), client: &http.Client{Transport: c.Transport}},
		account: c.AccountPath,
	}
	d.mux.HandleFunc("GET /{$}", d.servePage)
	d.mux.HandleFunc("GET /whoami", d.serveFacts)
	d.mux.HandleFunc("GET /echo", d.serveEcho)
	d.mux.Handle("GET /static/", http.StripPrefix("/static/", http.FileServerFS(files)))
	return d
}

// ServeHTTP answers a request.
func (d *Dashboard) ServeHTTP(w http.ResponseWriter, r *http.Request) { d.mux.ServeHTTP(w, r) }

// Facts are what the dashboard knows about a request, as /whoami answers them.
type Facts struct {
	// Username and Groups are what the cluster's SelfSubjectReview said.
	Username string   `json:"username"`
	Groups   []string `json:"groups"`
	// Refused is the cluster's sentence if it did not accept the token.
	Refused    string      `json:"refused,omitempty"`
	Namespaces []Namespace `json:"namespaces"`
	// Forbidden is the cluster's sentence if it did not list the namespaces.
	Forbidden string   `json:"forbidden,omitempty"`
	Received  Received `json:"received"`
}

// Received is what arrived from the proxy in front, without secrets.
type Received struct {
	Host string `json:"host"`
	// Scheme and TokenPrefix begin the Authorization header, TokenBytes is the
	// token's length: "Bearer", "k8s-aws-v1", 1200.
	Scheme      string   `json:"scheme"`
	TokenPrefix string   `json:"tokenPrefix"`
	TokenBytes  int      `json:"tokenBytes"`
	Headers     []string `json:"headers"` // names, sorted
	Cookies     []string `json:"cookies"` // names
}

func received(r *http.Request) Received {
	got := Received{Host: r.Host, Headers: slices.Sorted(maps.Keys(r.Header)), Cookies: []string{}}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	got.Scheme, got.TokenBytes = scheme, len(token)
	if prefix, _, dotted := strings.Cut(token, "."); dotted {
		got.TokenPrefix = prefix
	}
	for _, c := range r.Cookies() {
		got.Cookies = append(got.Cookies, c.Name)
	}
	return got
}

// facts asks the cluster with the token of the request.
func (d *Dashboard) facts(r *http.Request) (Facts, error) {
	f := Facts{Received: received(r), Groups: []string{}, Namespaces: []Namespace{}}
	bearer := r.Header.Get("Authorization")
	who, refused, err := d.cluster.whoIs(r.Context(), bearer)
	if err != nil || refused != "" {
		f.Refused = refused
		return f, err
	}
	f.Username, f.Groups = who.Username, who.Groups
	f.Namespaces, f.Forbidden, err = d.cluster.namespaces(r.Context(), bearer)
	return f, err
}

func (d *Dashboard) serveFacts(w http.ResponseWriter, r *http.Request) {
	f, err := d.facts(r)
	if err != nil {
		http.Error(w, "asking the cluster: "+err.Error(), http.StatusBadGateway)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if err := json.NewEncoder(w).Encode(f); err != nil {
		return // the client has gone
	}
}

func (d *Dashboard) servePage(w http.ResponseWriter, r *http.Request) {
	f, err := d.facts(r)
	if err != nil {
		http.Error(w, "asking the cluster: "+err.Error(), http.StatusBadGateway)
		return
	}
	var body bytes.Buffer
	err = d.page.Execute(&body, struct {
		Facts
		Account string
	}{f, d.account})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(body.Bytes())
}
