// Package oidclogin is an OpenID Connect relying party: it finds a provider,
// sends people there, and makes verified logins of what comes back.
//
// It speaks the code flow with PKCE only. What is kept where between a request
// and its callback, the comparison of the state, sessions and their end are left
// to the caller.
//
// It promises that every Login it returns names a person that the provider has
// vouched for: an ID token with a good signature by an asymmetric algorithm that
// discovery lists, for this issuer, this client and this attempt, and an email
// address that passed the rules of Config. Errors are of two kinds: *Refused is
// an answer, and final; ErrUnavailable means that the provider could not be
// asked, and that asking again later makes sense.
package oidclogin
