package page

import (
	"fmt"
	"net/http"
	"time"
)

// Role is one identity that somebody may sign in with.
type Role struct {
	Value string // what the form posts as FieldRole
	Name  string // without its path
	// Account is the number of the AWS account, "" if not known beforehand.
	Account string
	// ARN is shown in small; "" for an identity that is only made at sign-in.
	ARN string
	// Note is a sentence about it, "" for none.
	Note string
}

// PickerView is what Picker shows. All but Roles and Action may be empty.
type PickerView struct {
	Cluster  string // what is being signed in to
	Action   string // path that the form posts to
	CSRF     string
	ReturnTo string
	// LeadsTo is a URL of the login provider that Action's answer redirects to,
	// for the Content-Security-Policy.
	LeadsTo string
	Email   string // who chooses, if known already
	Roles   []Role
}

// Picker lets people choose a role; each is a button of one form.
func Picker(v PickerView) Page {
	return Page{file: "picker.html", view: v, leadsTo: v.LeadsTo}
}

// SignedInView is what SignedIn shows.
type SignedInView struct {
	Cluster string
	Email   string
	Role    Role      // the present one
	Ends    time.Time // of the session; zero: not shown
	Now     time.Time // what Ends is compared to; zero: it is not
	// Continue is the path of the upstream; default "/".
	Continue string
	// Others are the roles that can be switched to, by a post to SwitchAction.
	Others       []Role
	SwitchAction string
	LogoutAction string
	CSRF         string
	ReturnTo     string
	LeadsTo      string // as in PickerView, for both actions
	// Lapsed says that the present role's credentials have ended. It is among
	// Others then, which are roles to sign in with again.
	Lapsed bool
}

// SignedIn says who somebody is, and offers to go on, to switch the role and to
// log out.
func SignedIn(v SignedInView) Page {
	if v.Continue == "" {
		v.Continue = "/"
	}
	return Page{file: "signedin.html", view: v, leadsTo: v.LeadsTo}
}

// Left is the time until the session ends, in words; "" if it is not known.
func (v SignedInView) Left() string {
	if v.Now.IsZero() || !v.Ends.After(v.Now) {
		return ""
	}
	minutes := int(v.Ends.Sub(v.Now).Round(time.Minute).Minutes())
	switch hours := minutes / 60; {
	case hours == 0:
		return plural(max(minutes, 1), "minute")
	case minutes%60 == 0:
		return plural(hours, "hour")
	default:
		return plural(hours, "hour") + " " + plural(minutes%60, "minute")
	}
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// SignedOutView is what SignedOut shows.
type SignedOutView struct {
	Cluster string
	Login   string // path of the login page
	// ProviderStays says that the provider has not been told: signing in again
	// may ask for no password.
	ProviderStays bool
}

// SignedOut says that the session is over.
func SignedOut(v SignedOutView) Page { return Page{file: "signedout.html", view: v} }

// Problem is what Refused shows.
type Problem struct {
	Cluster string
	Status  int    // HTTP status; 0: not shown
	Title   string // a few words; default: what the status is called
	Message string // what is wrong, in a sentence
	Next    string // what to do about it, in a sentence
	// Link, with its text, leads to where one can go on; none if either is empty.
	Link, LinkText string
	RequestID      string // for the administrator; "" for none
}

// Refused says what went wrong, what to do about it, and what to tell the
// administrator.
func Refused(v Problem) Page {
	if v.Title == "" {
		v.Title = http.StatusText(v.Status)
	}
	if v.Title == "" {
		v.Title = "That did not work"
	}
	return Page{file: "refused.html", view: v}
}

// WaitingView is what Waiting shows.
type WaitingView struct {
	Cluster string
	Email   string
	Role    Role          // the identity that has been made
	Since   time.Duration // how long it has been waited for; 0: not shown
	// Refresh is after how long the page loads itself again, in whole seconds;
	// default 3 s.
	Refresh      time.Duration
	LogoutAction string
	CSRF         string
	LeadsTo      string // as in PickerView, for LogoutAction
}

// Waiting says that the cluster does not know the identity yet. It loads itself
// again, so that the answer to a later request takes its place.
func Waiting(v WaitingView) Page {
	if v.Refresh < time.Second {
		v.Refresh = 3 * time.Second
	}
	return Page{file: "waiting.html", view: v, leadsTo: v.LeadsTo}
}

// Seconds is Refresh as HTML wants it.
func (v WaitingView) Seconds() int { return int(v.Refresh.Seconds()) }

// Waited is Since in whole seconds, in words; "" if less than one.
func (v WaitingView) Waited() string {
	if v.Since < time.Second {
		return ""
	}
	return plural(int(v.Since.Seconds()), "second")
}
