package tokenreview

import (
	"encoding/json"
	"net/http"

	"github.com/go-logr/logr"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/ekstoken"
)

// record is one review: what is answered and what is logged.
type record struct {
	client  string
	outcome outcome
	reason  string
	// identity is nil if there is none or if it may not be told.
	identity *ekstoken.Identity
	user     authenticationv1.UserInfo
}

func (r *record) identify(id ekstoken.Identity, scrub bool) {
	if !scrub {
		r.identity = &id
	}
}

// admit fills in the user as aws-iam-authenticator does.
func (r *record) admit(username string, groups []string) {
	r.user = authenticationv1.UserInfo{Username: username, Groups: groups, UID: "aws-iam-authenticator:administrative:" + username}
	if r.identity == nil {
		return
	}
	id := r.identity
	r.user.UID = "aws-iam-authenticator:" + id.AccountID + ":" + id.UserID
	r.user.Extra = map[string]authenticationv1.ExtraValue{
		"arn":          {id.ARN},
		"canonicalArn": {id.CanonicalARN},
		"sessionName":  {id.SessionName},
		"accessKeyId":  {id.AccessKeyID},
		"principalId":  {id.UserID},
		"sigs.k8s.io/aws-iam-authenticator/principalId": {id.UserID},
	}
}

func (r *record) log(log logr.Logger) {
	fields := []any{"client", r.client, "result", string(r.outcome)}
	if r.reason != "" {
		fields = append(fields, "reason", r.reason)
	}
	if r.identity != nil {
		fields = append(fields, "arn", r.identity.ARN, "userID", r.identity.UserID, "accessKeyID", r.identity.AccessKeyID)
	}
	if r.outcome == success {
		log.Info("access granted", append(fields, "username", r.user.Username, "groups", r.user.Groups)...)
		return
	}
	log.Info("access denied", fields...)
}

// write answers in the API version that was asked in. A TokenReview has the
// same fields in v1 and v1beta1.
func write(w http.ResponseWriter, apiVersion string, rec record) {
	review := authenticationv1.TokenReview{
		TypeMeta: metav1.TypeMeta{APIVersion: apiVersion, Kind: "TokenReview"},
		Status:   authenticationv1.TokenReviewStatus{Authenticated: rec.outcome == success, User: rec.user},
	}
	body, err := json.Marshal(review)
	if err != nil {
		http.Error(w, http.StatusText(http.StatusServiceUnavailable), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(rec.outcome.status())
	_, _ = w.Write(body)
}
