package loginproxy

import (
	"bufio"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/session"
)

// record is what is logged of one request, and the writer of its answer. The
// handlers fill it; finish writes it once.
type record struct {
	http.ResponseWriter
	p     *Proxy
	r     *http.Request
	peer  peer
	id    string
	begun time.Time
	route string
	body  hurried // nil: none, or one that cannot be hurried

	// who
	key, user, role, sessionName, accessKeyID string

	status   int // 0: none yet; changed under mu by the handler alone
	upstream int // status of the upstream's answer; 0: none
	bytes    int64
	cause    error // of a refusal, for the log only
	alert    bool  // a person should look into the cause

	mu       sync.Mutex
	hijacked net.Conn
	open     bool // something may be on its way to or from the upstream; set by the handler alone
	cut      bool
}

func (p *Proxy) newRecord(w http.ResponseWriter, r *http.Request) *record {
	rec := &record{ResponseWriter: w, p: p, r: r, peer: p.peer(r), begun: p.c.Now()}
	rec.body, _ = r.Body.(hurried)
	if id := r.Header.Get("X-Request-Id"); rec.peer.trusted && isToken(id) {
		rec.id = id
	} else {
		rec.id = p.newRequestID()
	}
	return rec
}

func (p *Proxy) newRequestID() string {
	var b [8]byte
	if _, err := io.ReadFull(p.c.Rand, b[:]); err != nil {
		return "unknown"
	}
	return hex.EncodeToString(b[:])
}

// is notes whose request it is.
func (rec *record) is(key string, s session.Session) {
	rec.key, rec.user, rec.role = key, s.Email, s.Identity
	rec.sessionName, rec.accessKeyID = s.RoleSessionName, s.Credentials.AccessKeyID
}

// WriteHeader notes the first status that is final.
func (rec *record) WriteHeader(status int) {
	if status < http.StatusOK && status != http.StatusSwitchingProtocols {
		rec.Header().Del("Set-Cookie") // of the upstream, unseen by anybody
	} else {
		rec.note(status)
	}
	rec.ResponseWriter.WriteHeader(status)
}

func (rec *record) note(status int) {
	if rec.status != 0 {
		return
	}
	if !rec.open { // the answer is ours, and nobody reads on
		rec.dismiss()
	}
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.status = status
}

// Write counts.
func (rec *record) Write(b []byte) (int, error) {
	rec.note(http.StatusOK)
	n, err := rec.ResponseWriter.Write(b)
	rec.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach what lies beneath.
func (rec *record) Unwrap() http.ResponseWriter { return rec.ResponseWriter }

// Hijack hands over the connection and keeps hold of it, so that it can be
// closed when the session ends, even while the client takes nothing.
func (rec *record) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(rec.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.status = http.StatusSwitchingProtocols
	rec.hijacked = conn
	if rec.cut {
		_ = conn.Close()
	}
	return conn, rw, nil
}

// redirect leads the browser on, to exactly that address.
func (rec *record) redirect(to string, status int) {
	header := rec.Header()
	header.Set("Location", to)
	header.Set("Cache-Control", "no-store")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("X-Request-Id", rec.id)
	rec.WriteHeader(status)
}

// forwarding notes that the upstream comes into play from here on, unless the
// session has ended.
func (rec *record) forwarding() bool {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.open = !rec.cut
	return rec.open
}

// cutOff makes writes to the client fail at once if they carry what comes from
// the upstream. The caller cancels the request's context; that alone does not
// wake a write to a client that takes nothing.
func (rec *record) cutOff() {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.cut = true
	switch {
	case !rec.open:
	case rec.hijacked != nil:
		_ = rec.hijacked.Close()
	case rec.status != 0:
		// Not all writers can; those that cannot have no connection to block on.
		_ = http.NewResponseController(rec.ResponseWriter).SetWriteDeadline(time.Unix(1, 0))
	}
}

func (rec *record) wasCut() bool {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return rec.cut
}

// finish logs and counts the request, also if its handler panicked.
func (rec *record) finish() {
	rec.mu.Lock()
	rec.open = false
	rec.mu.Unlock()
	took := rec.p.c.Now().Sub(rec.begun)
	rec.p.metrics.request(rec, took)
	if !rec.p.c.Log.Enabled() {
		return
	}
	values := []any{
		"request", rec.id, "client", rec.peer.client.String(), "method", rec.r.Method, "path", rec.r.URL.EscapedPath(),
		"route", rec.route, "status", rec.status, "bytes", rec.bytes, "seconds", took.Seconds(),
	}
	if rec.key != "" {
		values = append(values, "session", rec.key[:min(12, len(rec.key))], "user", rec.user, "role", rec.role,
			"sessionName", rec.sessionName, "accessKeyID", rec.accessKeyID)
	}
	if rec.upstream != 0 {
		values = append(values, "upstreamStatus", rec.upstream)
	}
	if rec.alert && rec.cause != nil && rec.r.Context().Err() == nil { // whoever left has nothing to be delivered
		rec.p.c.Log.Error(rec.cause, "Request", values...)
		return
	}
	if rec.cause != nil {
		values = append(values, "cause", rec.cause.Error())
	}
	rec.p.c.Log.Info("Request", values...)
}

// trouble is what ReverseProxy says beside its answers.
type trouble struct{ to logr.Logger }

// Write logs one message.
func (t trouble) Write(message []byte) (int, error) {
	t.to.V(1).Info("Trouble while forwarding", "message", strings.TrimSpace(string(message)))
	return len(message), nil
}
