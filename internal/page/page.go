// Package page renders the pages that the login proxy shows to people: choosing a
// role, being signed in or out, waiting, and being refused. What they say comes
// from the caller.
//
// It promises that a page loads nothing from anywhere and runs no script, works
// from a phone's width up and without a pointer, in light and dark, and that
// nothing of what it is given can become markup.
package page

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"html/template"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// Names of the fields that the forms post.
const (
	// FieldRole carries the Role.Value that was chosen.
	FieldRole = "role"
	// FieldCSRF carries the view's CSRF, unchanged.
	FieldCSRF = "csrf"
	// FieldReturnTo carries the view's ReturnTo, unchanged; it is absent if that
	// is empty.
	FieldReturnTo = "return_to"
)

//go:embed *.html
var templates embed.FS

//go:embed style.css
var style string

// Page is a page that is ready to be written. Its zero value is not.
type Page struct {
	file    string
	view    any
	leadsTo string
}

// Write answers with the page. The answer may not be stored, framed or sniffed,
// and its Content-Security-Policy allows the page's own style and forms and
// nothing else.
func (p Page) Write(w http.ResponseWriter, status int) {
	var body bytes.Buffer
	if err := p.render(&body); err != nil {
		// Only a mistake in a template leads here; the tests render each of them.
		http.Error(w, "This page cannot be shown.", http.StatusInternalServerError)
		return
	}
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Length", strconv.Itoa(body.Len()))
	header.Set("Content-Security-Policy", p.policy())
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Frame-Options", "DENY")
	header.Set("Cache-Control", "no-store")
	// Not no-referrer: with that the Origin of the page's own forms is "null"
	// (Fetch, "append a request Origin header"), so that they would be taken for
	// those of another site.
	header.Set("Referrer-Policy", "same-origin")
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes())
}

func (p Page) render(w io.Writer) error {
	t, err := template.ParseFS(templates, "layout.html", p.file)
	if err != nil {
		return err
	}
	return t.ExecuteTemplate(w, "layout.html", struct {
		Style template.CSS
		View  any
	}{Style: template.CSS(style), View: p.view}) //nolint:gosec // the style is a file of this package
}

// policy is the page's Content-Security-Policy. Images are the icon in the page
// itself.
func (p Page) policy() string {
	hash := sha256.Sum256([]byte(style))
	return strings.Join([]string{
		"default-src 'none'",
		"style-src 'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) + "'",
		"img-src data:",
		"form-action 'self'" + formTarget(p.leadsTo),
		"base-uri 'none'",
		"frame-ancestors 'none'",
	}, "; ")
}

// formTarget is what form-action must allow besides 'self' for a form whose answer
// redirects to leadsTo: Chromium holds every redirect after a submission against
// it. A provider on https may itself send people on, to hosts that nobody here
// knows (a company's own login behind a cloud's), so any https is allowed then.
func formTarget(leadsTo string) string {
	u, err := url.Parse(leadsTo)
	switch {
	case err != nil:
		return ""
	case u.Scheme == "https":
		return " https:"
	case u.Scheme == "http" && validHost(u.Host):
		return " http://" + u.Host
	default:
		return ""
	}
}

// validHost tells whether host[:port] can stand in a policy: nothing that ends a
// source or a directive there.
func validHost(host string) bool {
	return host != "" && !strings.ContainsFunc(host, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune(";,'\"*", r)
	})
}
