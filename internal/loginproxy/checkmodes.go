package loginproxy

import (
	"context"
	"errors"
	"net/http"
	"strings"
)

const (
	nginxPath   = "/nginx"
	forwardPath = "/forward"
	envoyPath   = "/envoy"
)

// check says whether a request with this cookie would be let through. It gives
// no token: any script on the upstream's pages may ask.
func (p *Proxy) check(rec *record, r *http.Request) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	c, err := p.enter(ctx, rec, r, cancel)
	if err == nil {
		defer p.lives.leave(c.stream)
		_, err = p.admit(ctx, c)
	}
	if err != nil {
		p.deny(rec, r, err)
		return
	}
	rec.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = rec.Write([]byte("ok\n"))
}

// deny says no, without sending anybody anywhere.
func (p *Proxy) deny(rec *record, r *http.Request, err error) {
	if errors.Is(err, errPending) {
		err = errNoSession
	}
	if errors.Is(err, errNoSession) || errors.Is(err, errUndecided) {
		p.refuse(rec, r, problem{
			status: http.StatusUnauthorized, title: "You are not signed in", again: true, cause: err,
			message: "There is no session for this request.", next: "Sign in and try again.",
		})
		return
	}
	p.turnAway(rec, r, err)
}

// asked is the request that another proxy asks about.
type asked struct {
	mode   string
	method string // "" if unknown
	target string // path and query; "" if unknown
}

// serveCheck is the door of the listener that other proxies ask.
func (p *Proxy) serveCheck(w http.ResponseWriter, r *http.Request) {
	rec := p.newRecord(w, r)
	defer rec.finish()
	about, ok := p.asked(rec.peer, r)
	if !ok {
		rec.route = "unknown check"
		p.refuse(rec, r, problem{
			status: http.StatusNotFound, title: "There is nothing here",
			message: "This address answers other proxies only.", next: "Ask at /nginx, /forward or /envoy.",
		})
		return
	}
	rec.route = about.mode
	rec.Header().Set("Cache-Control", "no-store")
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	bearer, err := p.checked(rec, r.WithContext(ctx), about, cancel)
	switch {
	case err == nil:
		rec.Header().Set("Authorization", "Bearer "+bearer)
		rec.WriteHeader(http.StatusOK)
	case about.mode != "nginx" && about.navigates(r) && sendsToLogin(err):
		rec.redirect(rec.peer.origin()+p.loginLink(about.target), http.StatusFound)
	default:
		p.deny(rec, r, err)
	}
}

func sendsToLogin(err error) bool {
	return errors.Is(err, errNoSession) || errors.Is(err, errUndecided) || errors.Is(err, errPending)
}

// checked decides about a request that is described in another one.
func (p *Proxy) checked(rec *record, r *http.Request, about asked, cancel context.CancelFunc) (string, error) {
	id, ok := p.sessionID(r, rec.peer)
	if !ok {
		return "", errNoSession
	}
	method := about.method
	if method == "" {
		method = http.MethodPost // whoever does not say is treated as if it changed something
	}
	// The proxy that asks drops Upgrade: any foreign Origin may be a WebSocket's.
	if p.crossing.Check(&http.Request{Method: method, URL: r.URL, Host: rec.peer.host, Header: r.Header}) != nil ||
		!p.sameOrigin(rec.peer, r.Header.Values("Origin")) {
		return "", errCrossing
	}
	c, err := p.find(r.Context(), rec, id, cancel)
	if err != nil {
		return "", err
	}
	defer p.lives.leave(c.stream)
	return p.admit(r.Context(), c)
}

// asked reads what the other proxy asks about. It believes only trusted ones
// about the method and target; the target decides nothing but where a login
// leads back to.
func (p *Proxy) asked(o peer, r *http.Request) (asked, bool) {
	header := func(name string) string {
		if values := r.Header.Values(name); o.trusted && len(values) == 1 {
			return values[0]
		}
		return ""
	}
	path := r.URL.EscapedPath()
	switch {
	case path == nginxPath:
		return asked{"nginx", header("X-Original-Method"), header("X-Original-Uri")}, true
	case path == forwardPath:
		return asked{"forward", header("X-Forwarded-Method"), header("X-Forwarded-Uri")}, true
	case path == envoyPath || strings.HasPrefix(path, envoyPath+"/"):
		target := strings.TrimPrefix(path, envoyPath)
		if r.URL.RawQuery != "" {
			target += "?" + r.URL.RawQuery
		}
		return asked{"envoy", r.Method, target}, true
	}
	return asked{}, false
}

// navigates tells whether it was a browser loading a page.
func (a asked) navigates(r *http.Request) bool {
	return isNavigation(&http.Request{Method: a.method, Header: r.Header})
}
