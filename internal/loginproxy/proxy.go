package loginproxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
)

// forward sends a request upstream with a token. It runs after it was decided
// whose request it is; the proxy that it makes knows nothing but the token.
func (p *Proxy) forward(rec *record, r *http.Request, bearer string) {
	// Other protocols than WebSocket would let requests past the rules for
	// headers (h2c smuggling). A server may ignore an upgrade.
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		r.Header.Del("Upgrade")
	}
	proxy := httputil.ReverseProxy{
		Rewrite:        func(out *httputil.ProxyRequest) { p.rewrite(rec, out, bearer) },
		Transport:      p.c.Transport,
		BufferPool:     &p.buffers,
		FlushInterval:  -1, // at once
		ErrorLog:       p.errors,
		ModifyResponse: func(answer *http.Response) error { return p.receive(rec, answer) },
		ErrorHandler: func(_ http.ResponseWriter, r *http.Request, err error) {
			rec.dismiss()
			p.refuse(rec, r, p.undelivered(rec, err))
		},
	}
	proxy.ServeHTTP(rec, r)
}

func (p *Proxy) rewrite(rec *record, pr *httputil.ProxyRequest, bearer string) {
	out := pr.Out
	out.URL.Scheme, out.URL.Host, out.URL.User = p.c.Upstream.Scheme, p.c.Upstream.Host, nil
	out.URL.RawPath = rawPath(pr.In.URL)
	if !p.c.PreserveHost {
		out.Host = ""
	}
	p.purge(out.Header)
	out.Header["Authorization"] = []string{"Bearer " + bearer}
	out.Header["X-Forwarded-For"] = []string{rec.peer.forwarded}
	out.Header["X-Forwarded-Host"] = []string{rec.peer.host}
	out.Header["X-Forwarded-Proto"] = []string{rec.peer.scheme}
	out.Header["X-Request-Id"] = []string{rec.id}
}

// rawPath keeps the path as the client wrote it. URL forgets its RawPath when
// one byte in it should have been encoded, and then a slash that was encoded
// would go out as a slash; here only the bytes are encoded that must be.
func rawPath(u *url.URL) string {
	if u.RawPath == "" || u.EscapedPath() == u.RawPath {
		return u.RawPath
	}
	var b strings.Builder
	for i := range len(u.RawPath) {
		c := u.RawPath[i]
		if isAlnum(rune(c)) || strings.IndexByte("-_.~!$&'()*+,;=:@[]%/", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// receive looks at the head of the upstream's answer.
func (p *Proxy) receive(rec *record, answer *http.Response) error {
	rec.upstream = answer.StatusCode
	if answer.StatusCode == http.StatusSwitchingProtocols && answer.Request.Header.Get("Upgrade") == "" {
		return errors.New("the upstream switched protocols unasked")
	}
	p.withoutOurCookies(answer.Header)
	harden(answer.Header)
	if p.c.UpstreamCSP {
		answer.Header.Set("Content-Security-Policy", upstreamCSP)
	}
	answer.Header["X-Request-Id"] = []string{rec.id}
	return nil
}

// undelivered says why there is no answer of the upstream.
func (p *Proxy) undelivered(rec *record, err error) problem {
	var timeout net.Error
	switch {
	case rec.wasCut():
		return problem{
			status: http.StatusUnauthorized, title: "You are signed out", again: true, cause: err,
			message: "The session ended while the request was under way.", next: "Sign in and try again.",
		}
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return problem{
			status: http.StatusGatewayTimeout, title: "The application takes too long", retry: retrySoon, cause: err,
			message: "The application behind this proxy did not answer in time.", next: "Try again in a moment.",
		}
	default:
		return problem{
			status: http.StatusBadGateway, title: "The application does not answer", retry: retrySoon, cause: err,
			message: "You are signed in, but the application behind this proxy cannot be reached.", next: "Try again in a moment.",
		}
	}
}

// buffers are what bodies are copied with.
type buffers struct{ pool sync.Pool }

const bufferSize = 32 << 10

// Get gives a buffer.
func (b *buffers) Get() []byte {
	if buffer, ok := b.pool.Get().(*[]byte); ok {
		return *buffer
	}
	return make([]byte, bufferSize)
}

// Put takes one back.
func (b *buffers) Put(buffer []byte) { b.pool.Put(&buffer) }
