package loginproxy

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"slices"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/oidclogin"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/page"
)

// loginPage sends people on to the provider, or lets them choose a role first,
// or tells them that they are signed in.
func (p *Proxy) loginPage(rec *record, r *http.Request) {
	back := p.returnPath(r.URL.Query().Get(page.FieldReturnTo))
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	c, err := p.enter(ctx, rec, r, cancel)
	if err == nil {
		defer p.lives.leave(c.stream)
		err = p.present(ctx, c)
	}
	switch {
	case err == nil && c.session.Pending: // until now
		rec.redirect(back, http.StatusSeeOther)
	case err == nil, errors.Is(err, errSpent):
		p.signedIn(rec, c, back, err != nil)
	case errors.Is(err, errUndecided):
		p.picker(rec, page.PickerView{
			CSRF: c.session.CSRF, ReturnTo: back, Email: c.session.Email, Roles: roles(p.allowed(c.session.Claims)),
		})
	case errors.Is(err, errPending):
		p.waiting(rec, r)
	case !errors.Is(err, errNoSession):
		p.refuse(rec, r, describe(err))
	case p.returns(rec, r):
		p.farewell(rec, page.SignedOutView{})
	case p.choosesFirst():
		p.choose(rec, r, back)
	default:
		p.begin(rec, r, p.onlyIdentity(), back)
	}
}

// choosesFirst tells whether the role is chosen before the login. With a policy
// it is not: who may see which role is known after the login.
func (p *Proxy) choosesFirst() bool { return len(p.identities) > 1 && p.c.Policy == nil }

// onlyIdentity is the one identity, or "" if it is chosen after the login.
func (p *Proxy) onlyIdentity() string {
	if len(p.identities) == 1 {
		return p.identities[0].key
	}
	return ""
}

func roles(of []identity) []page.Role {
	out := make([]page.Role, 0, len(of))
	for _, i := range of {
		out = append(out, i.role)
	}
	return out
}

func (p *Proxy) picker(rec *record, v page.PickerView) {
	v.Cluster, v.Action, v.LeadsTo = p.c.ClusterName, p.c.LoginURL+"/oauth", p.leadsTo(rec.peer)
	page.Picker(v).Write(rec, http.StatusOK)
}

const (
	csrfPurpose = "role picker"
	csrfSize    = 24
)

// choose shows the roles to somebody who is not logged in. The form carries a
// MAC of a cookie, so that it cannot be sent without one that this browser holds.
// Somebody who can plant cookies can plant one of their own with its MAC: what
// that lets them do is choose the role of a login that has yet to
// happen. Other origins are refused besides.
func (p *Proxy) choose(rec *record, r *http.Request, back string) {
	value, ok := cookie(r, p.cookieName(rec.peer, csrfSuffix))
	if !ok || len(value) != base64.RawURLEncoding.EncodedLen(csrfSize) || !isToken(value) {
		var err error
		if value, err = p.random(); err != nil {
			p.refuse(rec, r, describe(err))
			return
		}
		p.setCookie(rec, csrfSuffix, value, 0)
	}
	p.picker(rec, page.PickerView{
		CSRF: p.c.Keys.MACs(csrfPurpose, value)[0], ReturnTo: back, Roles: roles(p.identities),
	})
}

func (p *Proxy) random() (string, error) {
	b := make([]byte, csrfSize)
	_, err := io.ReadFull(p.c.Rand, b)
	return base64.RawURLEncoding.EncodeToString(b), err
}

// signedIn says who somebody is. Whose credentials have lapsed is offered the
// same role, too: taking it is another login.
func (p *Proxy) signedIn(rec *record, c caller, back string, lapsed bool) {
	s := c.session
	others := slices.DeleteFunc(p.allowed(s.Claims), func(i identity) bool { return i.key == s.Identity && !lapsed })
	page.SignedIn(page.SignedInView{
		Cluster: p.c.ClusterName, Email: s.Email, Role: p.roleOf(s.Identity), Ends: p.ends(s), Now: p.c.Now(), Continue: back,
		Others: roles(others), SwitchAction: p.c.LoginURL + "/oauth", LogoutAction: p.c.LoginURL + "/logout",
		CSRF: s.CSRF, ReturnTo: back, LeadsTo: p.leadsTo(rec.peer), Lapsed: lapsed,
	}).Write(rec, http.StatusOK)
}

// leadsTo is where forms lead in the end; "" while that is not known.
func (p *Proxy) leadsTo(o peer) string {
	address, err := p.c.Provider.AuthCodeURL(oidclogin.Attempt{}, p.redirectURI(o))
	if err != nil {
		return ""
	}
	return address
}

func (p *Proxy) redirectURI(o peer) string { return o.origin() + p.c.LoginURL + "/oauth/callback" }

// start begins a login with a role, or takes a role for a login that has none.
func (p *Proxy) start(rec *record, r *http.Request) {
	if r.Method == http.MethodGet {
		if p.choosesFirst() {
			rec.Header().Set("Allow", http.MethodPost)
			p.refuse(rec, r, problem{
				status: http.StatusMethodNotAllowed, title: "Choose a role first", again: true,
				message: "A link cannot choose a role for you.", next: "Go to the sign-in page and choose one.",
			})
			return
		}
		p.loginPage(rec, r)
		return
	}
	if err := p.crosses(rec.peer, r); err != nil {
		p.turnAway(rec, r, err)
		return
	}
	if err := r.ParseForm(); err != nil {
		p.refuse(rec, r, badRequest("The form cannot be read."))
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	c, err := p.enter(ctx, rec, r, cancel)
	switch {
	case err == nil:
		defer p.lives.leave(c.stream)
		p.startAgain(rec, r, c)
	case !errors.Is(err, errNoSession):
		p.refuse(rec, r, describe(err))
	case !p.isPickers(rec.peer, r):
		p.refuse(rec, r, stale())
	default:
		p.startNew(rec, r)
	}
}

func stale() problem {
	return problem{
		status: http.StatusForbidden, title: "This form is not valid any more", again: true,
		message: "It was made for another session or another browser.", next: "Go back to the sign-in page.",
	}
}

// isPickers tells whether the form is one that choose has shown to this browser.
func (p *Proxy) isPickers(o peer, r *http.Request) bool {
	value, ok := cookie(r, p.cookieName(o, csrfSuffix))
	return ok && slices.ContainsFunc(p.c.Keys.MACs(csrfPurpose, value), func(mac string) bool {
		return same(field(r, page.FieldCSRF), mac)
	})
}

// same compares secrets.
func same(a, b string) bool { return b != "" && subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// field is the value of a form's field that stands there once.
func field(r *http.Request, name string) string {
	if values := r.PostForm[name]; len(values) == 1 {
		return values[0]
	}
	return ""
}

func (p *Proxy) startNew(rec *record, r *http.Request) {
	chosen := field(r, page.FieldRole)
	if !p.choosesFirst() {
		chosen = p.onlyIdentity()
	} else if !has(p.identities, chosen) {
		p.refuse(rec, r, notYours())
		return
	}
	p.begin(rec, r, chosen, p.returnPath(field(r, page.FieldReturnTo)))
}

func notYours() problem {
	return problem{
		status: http.StatusForbidden, title: "That role is not yours to take", again: true,
		message: "The role that was chosen is not among those that you may take.", next: "Choose another one.",
	}
}

func has(all []identity, key string) bool {
	return slices.ContainsFunc(all, func(i identity) bool { return i.key == key })
}

// startAgain is for somebody who is logged in: a login that has no role yet
// takes one; another role takes another login.
func (p *Proxy) startAgain(rec *record, r *http.Request, c caller) {
	chosen, back := field(r, page.FieldRole), p.returnPath(field(r, page.FieldReturnTo))
	switch {
	case !same(field(r, page.FieldCSRF), c.session.CSRF):
		p.refuse(rec, r, stale())
	case !has(p.allowed(c.session.Claims), chosen):
		p.refuse(rec, r, notYours())
	case c.session.Identity != "":
		p.begin(rec, r, chosen, back)
	default:
		p.decide(rec, r, c, outcome{identity: chosen, back: back})
	}
}

// begin sends the browser to the provider.
func (p *Proxy) begin(rec *record, r *http.Request, chosen, back string) {
	a := attempt{Identity: digest(chosen), Return: back, RedirectURI: p.redirectURI(rec.peer), Begun: p.c.Now().Unix()}
	var err error
	if a.Attempt, err = oidclogin.NewAttempt(p.c.Rand); err != nil {
		p.refuse(rec, r, describe(err))
		return
	}
	address, err := p.c.Provider.AuthCodeURL(a.Attempt, a.RedirectURI)
	if err != nil {
		p.refuse(rec, r, describe(err))
		return
	}
	p.keepAttempt(rec, r, a)
	rec.redirect(address, http.StatusSeeOther)
}
