package loginproxy

import (
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// peer is what is known of where a request comes from.
type peer struct {
	// client is the nearest address that no trusted proxy has; invalid if unknown.
	client netip.Addr
	// trusted says that the request's X-Forwarded-* come from a trusted proxy.
	trusted bool
	// scheme and host are what the browser asked for.
	scheme, host string
	// forwarded is X-Forwarded-For as the upstream may see it.
	forwarded string
}

// origin is what browsers call the peer's view of this proxy.
func (o peer) origin() string { return o.scheme + "://" + o.host }

// https says that cookies may be, and must be, bound to TLS.
func (o peer) https() bool { return o.scheme == "https" }

func (p *Proxy) peer(r *http.Request) peer {
	var o peer
	if addr, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		o.client = addr.Addr().Unmap()
	}
	o.trusted = p.trusts(o.client)
	o.forwarded = o.client.String()
	if o.trusted {
		o.client, o.forwarded = p.chain(o.client, r.Header.Values("X-Forwarded-For"))
	}
	if u := p.c.PublicURL; u != nil {
		o.scheme, o.host = u.Scheme, u.Host
		return o
	}
	o.scheme, o.host = "http", r.Host
	// The scheme decides only about Secure and the redirect URI, so that an
	// unknown proxy may say it: without it a browser would refuse the cookie.
	// Traefik says wss of a WebSocket that came over TLS.
	proto := last(r.Header.Values("X-Forwarded-Proto"))
	if r.TLS != nil || strings.EqualFold(proto, "https") || strings.EqualFold(proto, "wss") {
		o.scheme = "https"
	}
	if host := last(r.Header.Values("X-Forwarded-Host")); o.trusted && isHost(host) {
		o.host = host
	}
	return o
}

func (p *Proxy) trusts(a netip.Addr) bool {
	for _, prefix := range p.c.TrustedProxies {
		if prefix.Contains(a) {
			return true
		}
	}
	return false
}

// chain reads X-Forwarded-For from its end, which the nearest proxy wrote, to
// the first address that is not a trusted proxy's. What stands before that may
// be anybody's invention, and is dropped.
func (p *Proxy) chain(nearest netip.Addr, headers []string) (client netip.Addr, forwarded string) {
	client, forwarded = nearest, nearest.String()
	hops := strings.Split(strings.Join(headers, ","), ",")
	for _, hop := range slices.Backward(hops) {
		a, err := netip.ParseAddr(strings.TrimSpace(hop))
		if err != nil {
			return client, forwarded
		}
		client = a.Unmap().WithZone("")
		forwarded = client.String() + ", " + forwarded
		if !p.trusts(client) {
			return client, forwarded
		}
	}
	return client, forwarded
}

// last is the last of a header's comma-separated values: the nearest proxy's.
func last(values []string) string {
	if len(values) == 0 {
		return ""
	}
	v := values[len(values)-1]
	return strings.TrimSpace(v[strings.LastIndexByte(v, ',')+1:])
}

// isHost holds host[:port] with nothing in it that URLs, headers or policies
// could read in two ways.
func isHost(s string) bool {
	if s == "" || len(s) > 255 || strings.ContainsFunc(s, func(r rune) bool {
		return !isAlnum(r) && !strings.ContainsRune("-._:[]", r)
	}) {
		return false
	}
	u, err := url.Parse("http://" + s)
	return err == nil && u.Host == s && u.Hostname() != ""
}

func isAlnum(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}

// isToken holds what RFC 9110 lets stand as a name, without what cookies and
// browsers treat in a special way.
func isToken(s string) bool {
	return s != "" && len(s) <= 64 && !strings.ContainsFunc(s, func(r rune) bool {
		return !isAlnum(r) && !strings.ContainsRune("-_.", r)
	})
}

// origin is scheme and host of a URL.
func origin(u *url.URL) string { return u.Scheme + "://" + u.Host }
