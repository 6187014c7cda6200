package tokenreview

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"

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
	body, err := h.body(w, r)
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
// each may take a megabyte.
func (h *Handler) body(w http.ResponseWriter, r *http.Request) ([]byte, *requestError) {
	tooLarge := &requestError{http.StatusRequestEntityTooLarge, "the body is larger than 1 MiB"}
	if r.ContentLength > maxBody {
		return nil, tooLarge
	}
	limited := http.MaxBytesReader(w, r.Body, maxBody)
	var buffer bytes.Buffer
	_, err := io.CopyN(&buffer, limited, smallBody)
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
