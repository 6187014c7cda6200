package tokenreview

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync/atomic"

	authenticationv1 "k8s.io/api/authentication/v1"
)

const (
	apiVersionV1      = "authentication.k8s.io/v1"
	apiVersionV1beta1 = "authentication.k8s.io/v1beta1"
)

// requestError is a request that is no review.
type requestError struct {
	status int
	reason string
}

func (e *requestError) Error() string { return e.reason }

// read reads the review. The error is the client's.
func (h *Handler) read(w http.ResponseWriter, r *http.Request) (authenticationv1.TokenReview, *requestError) {
	var review authenticationv1.TokenReview
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return review, &requestError{http.StatusMethodNotAllowed, "the method is not POST"}
	}
	loan := loan{from: &h.bodies}
	defer loan.end()
	body, err := h.body(w, r, &loan)
	if err != nil {
		return review, err
	}
	if err := json.Unmarshal(body, &review); err != nil {
		return review, &requestError{http.StatusBadRequest, "the body is not a TokenReview"}
	}
	switch {
	case review.APIVersion == "" && review.Kind == "":
		review.APIVersion = apiVersionV1beta1 // as aws-iam-authenticator takes it
	case review.Kind != "TokenReview" || review.APIVersion != apiVersionV1 && review.APIVersion != apiVersionV1beta1:
		return review, &requestError{http.StatusBadRequest, "the body is not a TokenReview of " + apiVersionV1 + " or v1beta1"}
	}
	return review, nil
}

// body reads the whole body. One that is not small waits for its turn, since
// each may take a megabyte. All of them together take no more than the budget.
func (h *Handler) body(w http.ResponseWriter, r *http.Request, loan *loan) ([]byte, *requestError) {
	tooLarge := &requestError{http.StatusRequestEntityTooLarge, "the body is larger than 1 MiB"}
	if r.ContentLength > maxBody {
		return nil, tooLarge
	}
	limited := http.MaxBytesReader(w, r.Body, maxBody)
	var buffer bytes.Buffer
	var err error
	for _, part := range []int64{firstPart, smallBody - firstPart} {
		if !loan.take(part) {
			return nil, &requestError{http.StatusServiceUnavailable, "too many bodies are on their way at once"}
		}
		buffer.Grow(int(part) + bytes.MinRead) // not twice as much
		if _, err = io.CopyN(&buffer, limited, part); err != nil {
			break
		}
	}
	if err == nil {
		select {
		case h.large <- struct{}{}:
			defer func() { <-h.large }()
		case <-r.Context().Done():
			return nil, &requestError{http.StatusBadRequest, "the client left"}
		}
		_, err = buffer.ReadFrom(limited)
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, tooLarge
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, &requestError{http.StatusBadRequest, "the body ended early"}
	}
	return buffer.Bytes(), nil
}

// budget is how many bytes all bodies that are being read may still take.
type budget struct{ left atomic.Int64 }

// loan is what one body has taken of a budget, until end.
type loan struct {
	from  *budget
	taken int64
}

func (l *loan) take(n int64) bool {
	if l.from.left.Add(-n) < 0 {
		l.from.left.Add(n)
		return false
	}
	l.taken += n
	return true
}

func (l *loan) end() { l.from.left.Add(l.taken) }
