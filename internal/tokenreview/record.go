package tokenreview

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

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
	// scrubbed is the identity that may not be told.
	scrubbed *ekstoken.Identity
	user     authenticationv1.UserInfo
}

func (r *record) identify(id ekstoken.Identity, scrub bool) {
	if scrub {
		r.scrubbed = &id
	} else {
		r.identity = &id
	}
}

// tells reports whether a text gives the identity away that may not be told, as
// the username does where a whole account is let in: it is the ARN then.
// The session's name is not looked for: see loggable.
func (r *record) tells(text string) bool {
	if r.scrubbed == nil {
		return false
	}
	// The account stands in every ARN.
	for _, part := range []string{r.scrubbed.AccountID, r.scrubbed.UserID, r.scrubbed.AccessKeyID} {
		if part != "" && strings.Contains(text, part) {
			return true
		}
	}
	return false
}

// loggable is the text as it may be logged: also without the name of a session,
// as it is or as {{SessionName}} puts it in, which is mostly a person's.
func (r *record) loggable(text string) string {
	if r.tells(text) || r.namesSession(text) {
		return "(scrubbed)"
	}
	return text
}

func (r *record) namesSession(text string) bool {
	if r.scrubbed == nil || r.scrubbed.SessionName == "" {
		return false
	}
	name := r.scrubbed.SessionName
	return strings.Contains(text, name) || strings.Contains(text, strings.ReplaceAll(name, "@", "-"))
}

// admit fills in the user as aws-iam-authenticator does; but in the place of a
// username that may not be told the unique id holds a digest.
func (r *record) admit(username string, groups []string) {
	id := username
	if r.tells(username) {
		digest := sha256.Sum256([]byte(username))
		id = hex.EncodeToString(digest[:16])
	}
	r.user = authenticationv1.UserInfo{Username: username, Groups: groups, UID: "aws-iam-authenticator:administrative:" + id}
	if r.identity == nil {
		return
	}
	r.user.UID = "aws-iam-authenticator:" + r.identity.AccountID + ":" + r.identity.UserID
	r.user.Extra = map[string]authenticationv1.ExtraValue{
		"arn":          {r.identity.ARN},
		"canonicalArn": {r.identity.CanonicalARN},
		"sessionName":  {r.identity.SessionName},
		"accessKeyId":  {r.identity.AccessKeyID},
		"principalId":  {r.identity.UserID},
		"sigs.k8s.io/aws-iam-authenticator/principalId": {r.identity.UserID},
	}
}

func (r *record) log(log logr.Logger) {
	fields := []any{"client", r.client, "result", string(r.outcome)}
	if r.reason != "" {
		fields = append(fields, "reason", r.loggable(r.reason))
	}
	if r.identity != nil {
		fields = append(fields, "arn", r.identity.ARN, "userID", r.identity.UserID, "accessKeyID", r.identity.AccessKeyID)
	}
	if r.outcome == success {
		groups := slices.Clone(r.user.Groups)
		for i := range groups {
			groups[i] = r.loggable(groups[i])
		}
		log.Info("access granted", append(fields, "username", r.loggable(r.user.Username), "groups", groups)...)
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
