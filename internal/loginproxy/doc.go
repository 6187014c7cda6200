// Package loginproxy lets people who logged in with OpenID Connect, and nobody
// else, through to one upstream, each with a bearer token of Amazon EKS made
// from temporary AWS credentials that their login got them.
//
// It leaves to its callers how logins are verified, where sessions are kept and
// who hands out credentials, and says in interfaces what it needs of them. It
// promises that no byte reaches the upstream before it is decided whose it is,
// that nothing of a client's request can change that, and that what a session
// has open is closed when the session ends.
package loginproxy
