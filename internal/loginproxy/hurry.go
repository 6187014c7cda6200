package loginproxy

import "time"

const (
	// formTime is how long a form may take to arrive: whoever sends it is not
	// known yet, and holds one of the server's connections.
	formTime = 10 * time.Second
	// unreadTime is for bodies that nobody wants. The server reads them before it
	// gives the connection up, so that the client can read the answer.
	unreadTime = time.Second
)

// hurried is a body whose rest must arrive within a time from now, or the
// connection ends. Hurry tells whether there is a rest.
type hurried interface {
	Hurry(within time.Duration) (unread bool)
}

func (rec *record) hurry(within time.Duration) (unread bool) {
	return rec.body != nil && rec.body.Hurry(within)
}

// dismiss is for answers that are given whatever the body says. A connection on
// which more of it may come is not used again.
func (rec *record) dismiss() {
	if rec.hurry(unreadTime) && rec.r.ProtoMajor == 1 {
		rec.Header().Set("Connection", "close")
	}
}
