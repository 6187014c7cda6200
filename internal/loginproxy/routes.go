package loginproxy

import (
	"net/http"
	"slices"
	"strings"
)

// route is one of the proxy's own.
type route struct {
	name    string // for the log and metrics
	methods []string
	serve   func(*record, *http.Request)
}

// mainRoutes are matched byte by byte. A mux would clean paths, redirect and
// decode, each of which makes two paths out of one for whoever sits in front.
func (p *Proxy) mainRoutes() map[string]route {
	read := []string{http.MethodGet, http.MethodHead}
	post := []string{http.MethodPost}
	return map[string]route{
		p.c.LoginURL:                         {"login", read, p.loginPage},
		p.c.LoginURL + "/check":              {"check", read, p.check},
		p.c.LoginURL + "/oauth":              {"start", []string{http.MethodGet, http.MethodPost}, p.start},
		p.c.LoginURL + "/oauth/callback":     {"callback", []string{http.MethodGet}, p.callback},
		p.c.LoginURL + "/logout":             {"logout", post, p.logout},
		p.c.LoginURL + "/backchannel-logout": {"backchannel-logout", post, p.backchannel},
	}
}

const (
	// maxForm has room for a logout token; each of our own forms fits many times.
	maxForm       = 16 << 10
	upstreamRoute = "upstream"
)

// serve is the door of everything.
func (p *Proxy) serve(w http.ResponseWriter, r *http.Request) {
	rec := p.newRecord(w, r)
	defer rec.finish()
	if !isOrigin(r) {
		rec.route = "malformed"
		p.refuse(rec, r, badRequest("The request's target is not a path on this server."))
		return
	}
	own, ok := p.routes[r.URL.EscapedPath()]
	if !ok {
		rec.route = upstreamRoute
		p.upstream(rec, r)
		return
	}
	p.serveOwn(rec, r, own)
}

func (p *Proxy) serveOwn(rec *record, r *http.Request, own route) {
	rec.route = own.name
	if !slices.Contains(own.methods, r.Method) {
		rec.Header().Set("Allow", strings.Join(own.methods, ", "))
		p.refuse(rec, r, problem{
			status: http.StatusMethodNotAllowed, title: "That way does not lead in",
			message: "This address does not take " + methodName(r.Method) + " requests.", next: "Go to the sign-in page.",
		})
		return
	}
	rec.Header().Set("Cache-Control", "no-store")
	rec.hurry(formTime)
	r.Body = http.MaxBytesReader(rec, r.Body, maxForm)
	own.serve(rec, r)
}

// isOrigin holds requests in origin form (RFC 9112, section 3.2.1) and those in
// absolute form that have a path. CONNECT asks for a tunnel, TRACE for what the
// upstream was sent, the token included.
func isOrigin(r *http.Request) bool {
	return r.Method != http.MethodConnect && r.Method != http.MethodTrace && r.URL.Opaque == "" && strings.HasPrefix(r.URL.Path, "/") && isHost(r.Host)
}

// methodName keeps what a client invented out of pages and metrics.
func methodName(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "such"
}
