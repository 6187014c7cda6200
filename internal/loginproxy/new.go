package loginproxy

import (
	"cmp"
	"errors"
	"fmt"
	"log" //nolint:depguard // what ReverseProxy takes
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/arn"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/page"
)

// Proxy is the login proxy. Make it with New.
type Proxy struct {
	c          Config
	identities []identity
	routes     map[string]route
	crossing   http.CrossOriginProtection
	lives      lives
	metrics    *metrics
	buffers    buffers
	jtis       seen
	attempts   *recent
	exchanges  chan struct{} // holds one for each that is under way
	background tasks
	errors     *log.Logger // of what goes wrong while a body is copied
}

// identity is one of Config.Identities, as sessions and pages know it.
type identity struct {
	Identity
	key  string // what Session.Identity holds
	role page.Role
}

const vaultPrefix = "vault:"

// New makes a proxy. The error says, in one sentence each, what is wrong with c.
func New(c Config) (*Proxy, error) {
	c = c.withDefaults()
	p := &Proxy{c: c}
	if err := errors.Join(checkLoginURL(c.LoginURL), checkURLs(c), p.addIdentities(), checkParts(c)); err != nil {
		return nil, err
	}
	if c.Policy != nil {
		if err := c.Policy.check(p.identities); err != nil {
			return nil, err
		}
	}
	if c.PublicURL != nil {
		c.PublicURL = withoutDefaultPort(c.PublicURL)
		p.c.PublicURL = c.PublicURL
		if err := p.crossing.AddTrustedOrigin(origin(c.PublicURL)); err != nil {
			return nil, fmt.Errorf("the public URL: %w", err)
		}
	}
	p.errors = log.New(trouble{c.Log}, "", 0)
	p.metrics = newMetrics(c.Registerer, p.storeUp)
	p.lives = newLives(p.metrics.streams)
	p.jtis = newSeen(c.Now)
	p.attempts = newRecent(usedAttempts, attemptAge+2*clockSkew)
	p.exchanges = make(chan struct{}, maxExchanges)
	p.routes = p.mainRoutes()
	return p, nil
}

// checkLoginURL holds a path that every client, proxy and server reads the same
// way, and that hides nothing of the Kubernetes API.
func checkLoginURL(p string) error {
	plain := func(r rune) bool {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("/-_.~", r)
	}
	switch first, _, _ := strings.Cut(strings.TrimPrefix(p, "/"), "/"); {
	case !strings.HasPrefix(p, "/") || p == "/" || path.Clean(p) != p:
		return fmt.Errorf("the login URL must be a clean absolute path below /, such as /login, not %q", p)
	case strings.ContainsFunc(p, func(r rune) bool { return !plain(r) }):
		return fmt.Errorf("the login URL may hold letters, digits and /-_.~ only, unlike %q", p)
	case first == "api" || first == "apis":
		return fmt.Errorf("the login URL must not lie under /%s, which is the Kubernetes API's", first)
	}
	return nil
}

func checkURLs(c Config) error {
	var errs []error
	if u := c.Upstream; u == nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		errs = append(errs, errors.New("the upstream needs a scheme, http or https, and a host"))
	} else if u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.User != nil || u.Fragment != "" {
		errs = append(errs, errors.New("the upstream must be a scheme and a host only"))
	}
	if u := c.PublicURL; u != nil {
		if u.Scheme != "http" && u.Scheme != "https" || !isHost(u.Host) {
			errs = append(errs, errors.New("the public URL needs a scheme, http or https, and a host"))
		} else if u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.User != nil || u.Fragment != "" {
			errs = append(errs, errors.New("the public URL must be a scheme and a host only: the proxy cannot live under a path"))
		}
	}
	return errors.Join(errs...)
}

// withoutDefaultPort writes an origin as browsers do.
func withoutDefaultPort(u *url.URL) *url.URL {
	plain := *u
	if u.Scheme == "https" && u.Port() == "443" || u.Scheme == "http" && u.Port() == "80" {
		plain.Host = strings.TrimSuffix(u.Host, ":"+u.Port())
	}
	return &plain
}

func checkParts(c Config) error {
	var errs []error
	need := func(ok bool, what string) {
		if !ok {
			errs = append(errs, errors.New(what))
		}
	}
	need(c.ClusterName != "", "the cluster's name is missing")
	need(c.Region != "", "the region is missing")
	need(c.Provider != nil, "the login provider is missing")
	need(c.Sessions != nil, "the session store is missing")
	need(c.Keys != nil, "the cookie secret is missing")
	need(isToken(c.CookieName), fmt.Sprintf("%q cannot be a cookie's name", c.CookieName))
	need(c.MaxAge > 0 && c.Idle > 0, "a session's greatest age and idle time must be more than nothing")
	return errors.Join(errs...)
}

// addIdentities gives each identity its key and what pages show of it.
func (p *Proxy) addIdentities() error {
	if len(p.c.Identities) == 0 {
		return errors.New("at least one role is needed")
	}
	var errs []error
	for _, entry := range p.c.Identities {
		i, err := p.identity(entry)
		if err == nil && slices.ContainsFunc(p.identities, func(o identity) bool { return o.key == i.key }) {
			err = fmt.Errorf("%s is listed twice", i.key)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		p.identities = append(p.identities, i)
	}
	return errors.Join(errs...)
}

func (p *Proxy) identity(entry Identity) (identity, error) {
	if len(entry.Sources) == 0 {
		entry.Sources = []string{""}
	}
	if entry.Vault != nil {
		switch {
		case entry.Name == "" || entry.ARN != "":
			return identity{}, errors.New("an identity that Vault issues needs a name, and has no ARN")
		case p.c.Accepts == nil:
			return identity{}, errors.New("identities that Vault issues need a Kubernetes server to ask whether it takes them")
		}
		return identity{entry, vaultPrefix + entry.Name, page.Role{
			Value: vaultPrefix + entry.Name, Name: entry.Name, Note: "Vault makes an IAM user of your own for each login.",
		}}, nil
	}
	a, err := arn.Parse(entry.ARN)
	switch {
	case err != nil:
		return identity{}, err
	case a.Type != "role":
		return identity{}, fmt.Errorf("%s is not a role", entry.ARN)
	case p.c.Assumer == nil:
		return identity{}, errors.New("roles need somebody who assumes them")
	}
	entry.Name = cmp.Or(entry.Name, a.Name)
	return identity{entry, entry.ARN, page.Role{
		Value: entry.ARN, Name: entry.Name, Account: a.AccountID, ARN: entry.ARN,
	}}, nil
}

// Handler serves the proxy's own pages and the upstream.
func (p *Proxy) Handler() http.Handler { return http.HandlerFunc(p.serve) }

// AuthHandler answers proxies that ask whether to let a request through. Its
// answers carry tokens, so that browsers must not reach it.
func (p *Proxy) AuthHandler() http.Handler { return http.HandlerFunc(p.serveCheck) }

// Ready says why this replica is of no use yet: logging in cannot work. A store
// of sessions that does not answer is no reason: it fails all replicas at once,
// and only a replica that gets requests can tell people so.
func (p *Proxy) Ready() error { return p.c.Provider.Ready() }
