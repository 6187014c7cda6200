package fakeaws

import "net/http"

// Effect is what an injected Fault does to a call.
type Effect string

// The effects. Those of listings act on every action that pages.
const (
	// Throttled answers 400 Throttling, as IAM does.
	Throttled Effect = "throttled"
	// Failing answers 500 ServiceFailure.
	Failing Effect = "failing"
	// Unavailable answers 503 ServiceUnavailable.
	Unavailable Effect = "unavailable"
	// Denied answers 403 AccessDenied.
	Denied Effect = "denied"
	// Hanging answers nothing until the client gives up.
	Hanging Effect = "hanging"
	// Dropped closes the connection without an answer.
	Dropped Effect = "dropped"
	// EmptyListing lists nothing, successfully.
	EmptyListing Effect = "empty listing"
	// TruncatedWithoutMarker says IsTruncated and gives no Marker.
	TruncatedWithoutMarker Effect = "truncated without marker"
	// RepeatedMarker says IsTruncated and gives the Marker that was asked for.
	RepeatedMarker Effect = "repeated marker"
	// OtherAccount puts another account into every ARN of the answer, and into
	// the Account of GetCallerIdentity.
	OtherAccount Effect = "other account"
)

// Fault is trouble with AWS, to be injected.
type Fault struct {
	// Action is the action to strike, such as ListUsers. Empty: every action.
	Action string
	// After is how many matching calls pass unharmed first.
	After int
	// Times is how many calls it then strikes. 0: all, until ClearFaults.
	Times int
	// Effect is what happens to them.
	Effect Effect
	// AccountID is the account that OtherAccount shows. Default 999999999999.
	AccountID string
}

type activeFault struct {
	Fault
	passed, struck int
}

func (f *activeFault) accountID() string {
	if f.AccountID == "" {
		return "999999999999"
	}
	return f.AccountID
}

// Inject adds a fault. Of several that match a call the first that was
// injected and is not used up strikes.
func (s *Server) Inject(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &activeFault{Fault: f})
}

// ClearFaults takes all faults away.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// Calls tells how many requests have named the action so far, refused ones and
// those that a fault struck included.
func (s *Server) Calls(action string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[action]
}

// strike returns the fault that hits a call of the action, nil if none does.
func (s *Server) strike(action string) *activeFault {
	for _, f := range s.faults {
		switch {
		case f.Action != "" && f.Action != action:
		case f.passed < f.After:
			f.passed++
		case f.Times == 0 || f.struck < f.Times:
			f.struck++
			return f
		}
	}
	return nil
}

// refusal is the error that the effect answers with, nil for other effects.
func (e Effect) refusal() error {
	switch e {
	case Throttled:
		return &Error{Code: "Throttling", Message: "Rate exceeded", Status: http.StatusBadRequest}
	case Failing:
		return &Error{Code: "ServiceFailure", Message: "The request processing has failed because of an unknown error, exception or failure.", Status: http.StatusInternalServerError}
	case Unavailable:
		return &Error{Code: "ServiceUnavailable", Message: "The request has failed due to a temporary failure of the server.", Status: http.StatusServiceUnavailable}
	case Denied:
		return errDenied("An injected fault says that the caller is not authorized to perform this operation")
	default:
		return nil
	}
}

func (e Effect) interrupts() bool { return e == Hanging || e == Dropped }

// interrupt ends the request without an answer if that is the effect.
func (e Effect) interrupt(req *request) bool {
	switch e {
	case Hanging:
		<-req.Context().Done()
		return true
	case Dropped:
		panic(http.ErrAbortHandler)
	default:
		return false
	}
}
