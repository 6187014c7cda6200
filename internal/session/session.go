// Package session keeps who is logged in: under a random id that only the
// person's cookie holds, in memory or in Redis, sealed.
//
// It leaves to its callers how people log in and what a session allows. It
// promises that a session comes into being only by Create, under an id that
// was not there before; that Update changes only the version its caller has
// seen and never brings an ended session back; that End is heard by every
// replica; that nothing stays longer than its session may last; and that trouble
// with the network is ErrUnavailable, never "nobody is logged in".
package session

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

var (
	// ErrNotFound says that there is no such session: it never was, was ended,
	// or ran out of time.
	ErrNotFound = errors.New("no such session")
	// ErrConflict says that the id is taken (Create) or that somebody else has
	// updated the session since it was read (Update).
	ErrConflict = errors.New("the session was changed meanwhile")
	// ErrUnavailable says that the store could not be asked, so that nothing is
	// known. What the call was to change may or may not have been changed.
	ErrUnavailable = errors.New("the session store cannot be reached")
)

// maxRecord is the most a session takes as JSON, in bytes. ID tokens that carry
// hundreds of groups stay below a tenth of it.
const maxRecord = 256 << 10

// AWSCredentials are temporary credentials of AWS.
type AWSCredentials struct {
	AccessKeyID, SecretAccessKey, SessionToken string
	// Expires is zero for credentials without an end.
	Expires time.Time
}

// String hides the secrets, for logs.
func (c AWSCredentials) String() string { return "credentials " + c.AccessKeyID }

// GoString hides the secrets too.
func (c AWSCredentials) GoString() string { return c.String() }

// Lease is what Vault issued: the lease of the credentials and the token that
// may revoke it. The zero value is no lease.
type Lease struct {
	ID, Token string
	Expires   time.Time
}

// String hides the token, for logs.
func (l Lease) String() string { return "lease " + l.ID }

// GoString hides the token too.
func (l Lease) GoString() string { return l.String() }

// Session is one login.
type Session struct {
	// Version counts the changes. The store sets it: 1 at Create, one more at
	// each Update, which takes only the version it is given.
	Version uint64
	// Issuer and Subject say who it is, as in the ID token. Required; no Update
	// changes them.
	Issuer, Subject string
	// SID is the provider's own name of its session. Empty if it gives none.
	SID   string
	Email string
	// Claims are those of the verified ID token. They come back as
	// encoding/json decodes them: numbers as float64, lists as []any.
	Claims map[string]any
	// IDToken and RefreshToken are as the provider gave them; RefreshToken may
	// be empty.
	IDToken, RefreshToken string
	// Identity is the entry of the picker: a role's ARN, or "vault:" and a name.
	Identity string
	// RoleSessionName is how STS and the cluster name this person.
	RoleSessionName string
	Credentials     AWSCredentials
	// Source is the caller's name for how the credentials were had.
	Source string
	Lease  Lease
	// Pending says that the cluster does not accept the identity yet.
	Pending bool
	// CSRF is what forms of this session carry.
	CSRF string
	// LoggedIn is when the provider vouched for the person, by its clock: iat of
	// the ID token. Create refuses a login that a noted logout came after, and one
	// without a time if there is any.
	LoggedIn time.Time
	// Created is when the person logged in; at Ends the session is over,
	// however much it is used. Ends is required.
	Created, Ends time.Time
}

// String names whose session it is and hides what it holds, for logs.
func (s Session) String() string {
	return fmt.Sprintf("session of %q at %q", s.Subject, s.Issuer)
}

// GoString hides what the session holds too.
func (s Session) GoString() string { return s.String() }

// Index names sessions as a provider does that logs somebody out: if SID is set,
// those of that one and, of Subject, those that know no SID, because they may be
// of it; else all of Subject.
type Index struct {
	Issuer, SID, Subject string
	// At is when the provider gave the order, by its clock. From then on and for a
	// quarter of an hour Create refuses the logins that are not younger: one that
	// is under way becomes no session afterwards. Default: none is refused.
	At time.Time
}

// kinds of index entries.
const (
	bySID     = "sid"
	bySubject = "sub"
	// bySubjectAlone holds those of a subject that know no SID.
	bySubjectAlone = "sub without sid"
)

// entries returns what an index is looked up by.
func (x Index) entries() ([]indexEntry, error) {
	switch {
	case x.Issuer == "":
		return nil, errors.New("an index needs an issuer")
	case x.SID != "" && x.Subject != "":
		return []indexEntry{
			{kind: bySID, issuer: x.Issuer, value: x.SID}, {kind: bySubjectAlone, issuer: x.Issuer, value: x.Subject},
		}, nil
	case x.SID != "":
		return []indexEntry{{kind: bySID, issuer: x.Issuer, value: x.SID}}, nil
	case x.Subject != "":
		return []indexEntry{{kind: bySubject, issuer: x.Issuer, value: x.Subject}}, nil
	default:
		return nil, errors.New("an index needs a session id of the provider or a subject")
	}
}

type indexEntry struct{ kind, issuer, value string }

// indexEntries returns under what the session is found.
func (s Session) indexEntries() []indexEntry {
	entries := []indexEntry{{kind: bySubject, issuer: s.Issuer, value: s.Subject}}
	if s.SID == "" {
		return append(entries, indexEntry{kind: bySubjectAlone, issuer: s.Issuer, value: s.Subject})
	}
	return append(entries, indexEntry{kind: bySID, issuer: s.Issuer, value: s.SID})
}

// over tells whether the session's time is up.
func (s Session) over(now time.Time) bool { return !now.Before(s.Ends) }

// checkNew refuses what may not be created.
func (s Session) checkNew(now time.Time) error {
	switch {
	case s.Issuer == "" || s.Subject == "":
		return errors.New("a session needs an issuer and a subject")
	case s.over(now):
		return fmt.Errorf("a session that ends at %s is over already", s.Ends.Format(time.RFC3339))
	default:
		return nil
	}
}

// checkUpdate refuses an update that would make the session somebody else's.
func (s Session) checkUpdate(stored Session) error {
	if s.Issuer != stored.Issuer || s.Subject != stored.Subject {
		return errors.New("an update may not change whose session it is")
	}
	return nil
}

// encode returns the session as both stores keep or pass it on.
func encode(s Session) ([]byte, error) {
	text, err := json.Marshal(s) //nolint:gosec // holds secrets on purpose: it is sealed, or stays in memory
	if err != nil {
		return nil, fmt.Errorf("encode the session: %w", err)
	}
	if len(text) > maxRecord {
		return nil, fmt.Errorf("the session takes %d bytes, the most is %d", len(text), maxRecord)
	}
	return text, nil
}

func decode(text []byte) (Session, error) {
	var s Session
	if err := json.Unmarshal(text, &s); err != nil {
		return Session{}, fmt.Errorf("decode the session: %w", err)
	}
	return s, nil
}

// sorted puts sessions in the order of their creation.
func sorted(sessions []Session) []Session {
	slices.SortFunc(sessions, func(a, b Session) int {
		return cmp.Or(a.Created.Compare(b.Created), a.Ends.Compare(b.Ends), cmp.Compare(a.CSRF, b.CSRF))
	})
	return sessions
}
