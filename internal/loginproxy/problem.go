package loginproxy

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/oidclogin"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/page"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/session"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/webidentity"
)

// problem is an answer other than what was asked for. Everything but cause is
// shown to whoever asked.
type problem struct {
	status  int
	title   string
	message string // a sentence
	next    string // what to do about it, a sentence
	// retry is after how long asking again may help; 0: not by itself.
	retry time.Duration
	// again offers the way to the sign-in page.
	again bool
	// alert says that a person should look into it, besides every status from 500.
	alert bool
	cause error
}

// refuse is the one door from a problem to an answer: a page for people, a
// Status of Kubernetes for programs.
func (p *Proxy) refuse(rec *record, r *http.Request, pr problem) {
	rec.cause = pr.cause
	rec.alert = pr.alert || pr.status >= http.StatusInternalServerError && !errors.Is(pr.cause, errPending)
	header := rec.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("X-Request-Id", rec.id)
	if pr.retry > 0 {
		header.Set("Retry-After", strconv.Itoa(max(1, seconds(pr.retry))))
	}
	if isNavigation(r) || rec.route == "callback" || rec.route == "start" || rec.route == "logout" {
		view := page.Problem{
			Cluster: p.c.ClusterName, Status: pr.status, Title: pr.title, Message: pr.message, Next: pr.next, RequestID: rec.id,
		}
		if pr.again {
			view.Link, view.LinkText = p.c.LoginURL, "Sign in"
		}
		page.Refused(view).Write(rec, pr.status)
		return
	}
	header.Set("Content-Type", "application/json")
	header.Set("X-Content-Type-Options", "nosniff")
	body, err := json.Marshal(metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
		Status:   metav1.StatusFailure, Code: int32(pr.status), Reason: reason(pr.status),
		Message: strings.TrimSpace(pr.message + " " + pr.next),
	})
	if err != nil {
		panic(err) // a Status always encodes
	}
	header.Set("Content-Length", strconv.Itoa(len(body)))
	rec.WriteHeader(pr.status)
	if r.Method != http.MethodHead {
		_, _ = rec.Write(body)
	}
}

// reason is what Kubernetes calls a status.
func reason(status int) metav1.StatusReason {
	switch status {
	case http.StatusUnauthorized:
		return metav1.StatusReasonUnauthorized
	case http.StatusForbidden:
		return metav1.StatusReasonForbidden
	case http.StatusBadRequest:
		return metav1.StatusReasonBadRequest
	case http.StatusMethodNotAllowed:
		return metav1.StatusReasonMethodNotAllowed
	case http.StatusServiceUnavailable:
		return metav1.StatusReasonServiceUnavailable
	case http.StatusGatewayTimeout:
		return metav1.StatusReasonTimeout
	}
	return metav1.StatusReasonUnknown
}

// isNavigation tells a person's browser that loads a page from everything else.
func isNavigation(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead || r.Header.Get("Upgrade") != "" {
		return false
	}
	if mode := r.Header.Get("Sec-Fetch-Mode"); mode != "" {
		return mode == "navigate"
	}
	return strings.Contains(strings.ToLower(r.Header.Get("Accept")), "text/html")
}

func badRequest(message string) problem {
	return problem{status: http.StatusBadRequest, title: "That request is not understood", message: message, next: "Begin again from the sign-in page.", again: true}
}

// describe says what an error of a part means for the person who asked.
func describe(err error) problem {
	if refused, ok := errors.AsType[*oidclogin.Refused](err); ok {
		return problem{
			status: http.StatusForbidden, title: "Your login was not accepted", message: refused.Message, again: true, alert: refused.Operator, cause: err,
		}
	}
	if denied, ok := errors.AsType[*webidentity.Denied](err); ok {
		return deniedByAWS(denied, err)
	}
	unavailable := problem{status: http.StatusServiceUnavailable, retry: retrySoon, next: "Try again in a moment.", again: true, cause: err}
	switch {
	case errors.Is(err, session.ErrLoggedOut), errors.Is(err, session.ErrNotFound):
		return problem{
			status: http.StatusUnauthorized, title: "You were signed out", message: "Your login ended before it could be used.",
			next: "Sign in again.", again: true, cause: err,
		}
	case errors.Is(err, webidentity.ErrExpiredLogin):
		return problem{
			status: http.StatusUnauthorized, title: "That took too long", message: "Your login has expired before it could be used.",
			next: "Sign in again.", again: true, cause: err,
		}
	case errors.Is(err, errElsewhere):
		unavailable.title, unavailable.message = "Your session is being renewed", "New AWS credentials for your session take longer than usual."
	case errors.Is(err, oidclogin.ErrUnavailable):
		unavailable.title, unavailable.message = "The login provider does not answer", "Nobody can sign in until the login provider answers again."
	case errors.Is(err, webidentity.ErrThrottled), errors.Is(err, webidentity.ErrUnavailable):
		unavailable.title, unavailable.message = "AWS does not answer", "Your login was accepted, but AWS gave no credentials for it."
	case errors.Is(err, session.ErrUnavailable):
		unavailable.title, unavailable.message = "Sessions cannot be read", "The store of the sessions does not answer, so that nobody can be let in."
		unavailable.again = false
	default:
		return problem{
			status: http.StatusInternalServerError, title: "Something went wrong here", message: "The request could not be handled.",
			next: "Try again; if it happens again, tell your administrator the number of the request.", again: true, cause: err,
		}
	}
	return unavailable
}

func deniedByAWS(denied *webidentity.Denied, cause error) problem {
	pr := problem{
		status: http.StatusForbidden, title: "AWS does not let you take this role",
		message: "AWS refused the role that was chosen (" + denied.Code + ").",
		next:    "Choose another role, or ask whoever manages the role to trust your login.", again: true, cause: cause,
	}
	// "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
	if denied.Code == "ValidationError" && strings.Contains(denied.Message, "MaxSessionDuration") {
		pr.message = "The role that was chosen does not allow sessions as long as this site asks for (" + denied.Code + ")."
		pr.next = "Choose another role, or ask your administrator to raise the role's maximum session duration or to lower --iam-session-duration."
		pr.alert = true
	}
	return pr
}

const retrySoon = 5 * time.Second
