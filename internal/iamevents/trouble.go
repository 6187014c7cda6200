package iamevents

import (
	"context"
	"errors"
	"iter"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"
)

// Causes of trouble with the queue.
const (
	QueueMissing = "QueueMissing"
	Denied       = "Denied"
	Throttled    = "Throttled"
	Unreachable  = "Unreachable"
)

// Health is what the last call to the queue said. The zero value: none has
// ended yet.
type Health struct {
	Known bool
	// Cause is one of the causes above; empty: all is well.
	Cause string
}

// Message says in one sentence what is wrong; it is the same for the same cause.
func (h Health) Message() string {
	switch h.Cause {
	case "":
		return ""
	case QueueMissing:
		return "the queue of --events-queue-url does not exist; IAM is still listed every interval"
	case Denied:
		return "the queue may not be used: the controller needs sqs:ReceiveMessage, sqs:DeleteMessage and " +
			"sqs:ChangeMessageVisibility on it; IAM is still listed every interval"
	case Throttled:
		return "SQS throttles the controller; IAM is still listed every interval"
	default:
		return "the queue cannot be read (the log says why); IAM is still listed every interval"
	}
}

// What is done with the queue, the most telling first.
const (
	receiving  = "receiving"
	deleting   = "deleting"
	prolonging = "prolonging"
)

type healthState struct {
	mu     sync.Mutex
	known  bool
	causes map[string]string // by what was done
}

func (h *healthState) get() Health {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := Health{Known: h.known}
	for _, doing := range []string{prolonging, deleting, receiving} {
		if cause := h.causes[doing]; cause != "" {
			now.Cause = cause
		}
	}
	return now
}

// set reports whether this goes another way than the last time.
func (h *healthState) set(doing, cause string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.causes == nil {
		h.causes = map[string]string{}
	}
	first := !h.known && doing == receiving
	h.known = h.known || first
	was := h.causes[doing]
	h.causes[doing] = cause
	return first || was != cause
}

// trouble notes how a call ended, and logs it if that is news.
func (s *Source) trouble(doing string, err error) {
	why := cause(err)
	if err != nil {
		s.Meter.EventTrouble(why)
	}
	if !s.health.set(doing, why) {
		return
	}
	signal(s.wake)
	if err != nil {
		s.Log.Info("trouble with the queue of IAM events; it is tried again, and IAM is still listed every interval",
			"doing", doing, "cause", why, "error", clip(err.Error()))
		return
	}
	s.Log.Info("the queue of IAM events answers", "doing", doing, "queue", s.URL)
}

func clip(s string) string {
	const most = 300
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// cause sorts an error by who can help. Codes: "Common errors" and the errors
// of ReceiveMessage in the Amazon SQS API reference.
func cause(err error) string {
	if err == nil {
		return ""
	}
	if _, ok := errors.AsType[*types.QueueDoesNotExist](err); ok {
		return QueueMissing
	}
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok || errors.Is(err, context.DeadlineExceeded) {
		return Unreachable
	}
	code := strings.TrimSuffix(api.ErrorCode(), "Exception")
	switch {
	case strings.Contains(code, "Throttl"), code == "OverLimit":
		return Throttled
	case slices.Contains([]string{"QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue", "InvalidAddress"}, code):
		return QueueMissing
	case slices.Contains([]string{
		"AccessDenied", "UnrecognizedClient", "InvalidClientTokenId", "InvalidSignature", "SignatureDoesNotMatch", "ExpiredToken",
		"InvalidSecurity", "MissingAuthenticationToken", "OptInRequired", "NotAuthorized", "KmsAccessDenied", "KMS.AccessDenied",
	}, code):
		return Denied
	default:
		return Unreachable
	}
}

// window lets a few through a minute. It is for one goroutine.
type window struct {
	began time.Time
	n     int
}

func (w *window) open(now time.Time) bool {
	const most = 5
	if since := now.Sub(w.began); since < 0 || since > time.Minute {
		w.began, w.n = now, 0
	}
	w.n++
	return w.n <= most
}

// chunks gives batches that SQS takes.
func chunks(receipts []string) iter.Seq[[]string] { return slices.Chunk(receipts, batch) }

func entryID(i int) *string { return new("m" + strconv.Itoa(i)) }

// Region is the region of a queue's URL; empty if it does not tell. It may be
// another one than that of the cluster: IAM's events appear in one region of a
// partition.
func Region(queueURL string) (string, error) {
	u, err := url.Parse(queueURL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", errors.New("not the URL of a queue, as in https://sqs.us-east-1.amazonaws.com/123456789012/aws-auth-refresher")
	}
	path := strings.Split(strings.Trim(u.Path, "/"), "/")
	if len(path) != 2 || len(path[0]) != 12 || strings.Trim(path[0], "0123456789") != "" || path[1] == "" {
		return "", errors.New("not the URL of a queue: its path must be /ACCOUNT/NAME")
	}
	if strings.HasSuffix(path[1], ".fifo") {
		return "", errors.New("a FIFO queue; EventBridge needs a standard one here")
	}
	labels := strings.Split(u.Hostname(), ".")
	for i, label := range labels {
		switch {
		case label == "sqs" && i+1 < len(labels):
			return labels[i+1], nil // sqs.REGION.amazonaws.com, ID.sqs.REGION.vpce.amazonaws.com
		case label == "queue" && i == 1:
			return labels[0], nil // REGION.queue.amazonaws.com
		}
	}
	return "", nil
}
