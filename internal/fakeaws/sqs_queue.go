package fakeaws

import (
	"crypto/md5" //nolint:gosec // SQS tells the MD5 of each message
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxHidden is the longest visibility timeout.
const maxHidden = 12 * time.Hour

// queue is a standard queue of SQS. Its messages come in the order of their
// becoming visible; retention and size are not enforced.
type queue struct {
	name       string
	created    time.Time
	attributes map[string]string
	messages   []*message
	changed    chan struct{} // closed when a message is added or shown again
}

type message struct {
	id, body  string
	sent      time.Time
	visible   time.Time
	receives  int
	firstSeen time.Time
}

func (a *account) createQueue(name string, attributes map[string]string, now time.Time) *queue {
	q, ok := a.queues[name]
	if !ok {
		if a.queues == nil {
			a.queues = map[string]*queue{}
		}
		q = &queue{name: name, created: now, attributes: attributes, changed: make(chan struct{})}
		a.queues[name] = q
	}
	return q
}

func (q *queue) seconds(attribute string) time.Duration {
	n, err := strconv.Atoi(q.attributes[attribute])
	if err != nil {
		return 0
	}
	return time.Duration(n) * time.Second
}

func (q *queue) send(body string, now time.Time, delay time.Duration, ids idSource) *message {
	m := &message{id: ids.uuid(), body: body, sent: now, visible: now.Add(delay)}
	q.messages = append(q.messages, m)
	q.wake()
	return m
}

// wake has waiting calls look again.
func (q *queue) wake() {
	close(q.changed)
	q.changed = make(chan struct{})
}

func (q *queue) receive(most int, now time.Time, hidden time.Duration) []*message {
	slices.SortStableFunc(q.messages, func(a, b *message) int { return a.visible.Compare(b.visible) })
	var got []*message
	for _, m := range q.messages {
		if len(got) == most || m.visible.After(now) {
			break
		}
		if m.receives++; m.receives == 1 {
			m.firstSeen = now
		}
		got = append(got, m)
	}
	for _, m := range got {
		m.visible = now.Add(hidden)
	}
	return got
}

// next is the time until a message becomes visible, and at most this long.
func (q *queue) next(now time.Time, most time.Duration) time.Duration {
	for _, m := range q.messages {
		if m.visible.After(now) {
			most = min(most, m.visible.Sub(now))
		}
	}
	return most
}

// The states of a message.
const (
	stateWaiting  = "waiting"
	stateInFlight = "in flight"
	stateDelayed  = "delayed"
)

func (m *message) state(now time.Time) string {
	switch {
	case !m.visible.After(now):
		return stateWaiting
	case m.receives == 0:
		return stateDelayed
	default:
		return stateInFlight
	}
}

// receipt is the receipt handle of the last receive.
func (m *message) receipt() string { return m.id + "#" + strconv.Itoa(m.receives) }

func (m *message) digest() string {
	sum := md5.Sum([]byte(m.body)) //nolint:gosec // SQS tells the MD5 of each message
	return hex.EncodeToString(sum[:])
}

func (m *message) attributes(asked []string) map[string]string {
	all := map[string]string{
		"SentTimestamp":                    strconv.FormatInt(m.sent.UnixMilli(), 10),
		"ApproximateReceiveCount":          strconv.Itoa(m.receives),
		"ApproximateFirstReceiveTimestamp": strconv.FormatInt(m.firstSeen.UnixMilli(), 10),
	}
	if slices.Contains(asked, "All") {
		return all
	}
	some := map[string]string{}
	for _, name := range asked {
		if value, ok := all[name]; ok {
			some[name] = value
		}
	}
	return some
}

// received finds a message by a receipt handle; nil if it is deleted, or was
// received again since.
func (q *queue) received(receipt string) (*message, error) {
	id, count, ok := strings.Cut(receipt, "#")
	if n, err := strconv.Atoi(count); !ok || err != nil || n < 1 {
		return nil, &Error{Code: "ReceiptHandleIsInvalid", Message: "The input receipt handle is invalid.", Status: http.StatusBadRequest}
	}
	for _, m := range q.messages {
		if m.id == id && m.receipt() == receipt {
			return m, nil
		}
	}
	return nil, nil //nolint:nilnil // no message is not an error
}

// remove deletes a message; one that is gone or received again is no error,
// and in the second case it stays.
func (q *queue) remove(receipt string) error {
	m, err := q.received(receipt)
	if err != nil || m == nil {
		return err
	}
	q.messages = slices.DeleteFunc(q.messages, func(other *message) bool { return other == m })
	return nil
}

// hide changes when a received message becomes visible.
func (q *queue) hide(e visibilityEntry, now time.Time) error {
	hidden := time.Duration(e.VisibilityTimeout) * time.Second
	if hidden < 0 || hidden > maxHidden {
		return errParameter("Value %d for parameter VisibilityTimeout is invalid. Reason: Must be between 0 and 43200.", e.VisibilityTimeout)
	}
	m, err := q.received(e.ReceiptHandle)
	if err != nil {
		return err
	}
	if m == nil || m.state(now) != stateInFlight {
		return &Error{Code: "MessageNotInflight", Message: "The message is not in flight.", Status: http.StatusBadRequest}
	}
	m.visible = now.Add(hidden)
	q.wake()
	return nil
}
