package fakeaws

import (
	"crypto/subtle"
	"time"
)

// forgetAfter is how long an expired session is still answered with
// ExpiredToken; later its key is unknown.
const forgetAfter = time.Hour

// identity is who signed a call.
type identity struct {
	account *account
	user    *user // nil: not an IAM user
	role    *role // nil: not a role session
	session string
	origin  origin         // of a role session
	policy  *sessionPolicy // of a role session, nil: none was passed
}

// arn is the caller's ARN as GetCallerIdentity prints it.
func (i *identity) arn(accountID string) string {
	switch {
	case i.user != nil:
		return i.user.arn(accountID)
	case i.role != nil:
		return "arn:aws:sts::" + accountID + ":assumed-role/" + i.role.name + "/" + i.session
	default:
		return "arn:aws:iam::" + accountID + ":root"
	}
}

// userID is the caller's unique id as GetCallerIdentity prints it.
func (i *identity) userID(accountID string) string {
	switch {
	case i.user != nil:
		return i.user.id
	case i.role != nil:
		return i.role.id + ":" + i.session
	default:
		return accountID
	}
}

// credential is one access key.
type credential struct {
	secret  string
	token   string    // of a temporary key
	expires time.Time // zero: never
	who     *identity
}

// keyring holds every access key of every account, by its id.
type keyring struct{ keys map[string]credential }

func newKeyring() *keyring { return &keyring{keys: map[string]credential{}} }

func (k *keyring) add(id string, c credential) { k.keys[id] = c }

func (k *keyring) remove(id string) { delete(k.keys, id) }

// forget drops sessions that ended long ago and those of a role, if given.
func (k *keyring) forget(now time.Time, of *role) {
	for id, c := range k.keys {
		over := !c.expires.IsZero() && now.Sub(c.expires) > forgetAfter
		if over || of != nil && c.who.role == of {
			delete(k.keys, id)
		}
	}
}

// authenticate tells who signed, or refuses. The lock is held.
func (s *Server) authenticate(req *request) (*identity, error) {
	sig := req.signature
	if sig == nil {
		return nil, errMissingToken()
	}
	if err := sig.checkDate(req.now); err != nil {
		return nil, err
	}
	c, ok := s.ring.keys[sig.keyID]
	if !ok || subtle.ConstantTimeCompare([]byte(c.token), []byte(sig.sessionToken)) != 1 {
		return nil, errInvalidToken()
	}
	if err := sig.verify(req, c.secret); err != nil {
		return nil, err
	}
	if !c.expires.IsZero() && !req.now.Before(c.expires) {
		return nil, errExpiredToken()
	}
	return c.who, nil
}
