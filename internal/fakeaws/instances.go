package fakeaws

import (
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// instance is a running EC2 instance.
type instance struct {
	id, reservation string
	privateDNSName  string
	launched        time.Time
}

func (i *instance) key() string { return i.id }

func byInstanceID(i *instance, id string) int { return strings.Compare(i.id, id) }

func (a *account) instance(id string) (*instance, bool) {
	at, ok := slices.BinarySearchFunc(a.instances, id, byInstanceID)
	if !ok {
		return nil, false
	}
	return a.instances[at], true
}

// filter is one Filter of a call: the values are alternatives.
type filter struct {
	name   string
	values []string
}

// filters reads Filter.N.Name and Filter.N.Value.M.
func (p params) filters() ([]filter, error) {
	var filters []filter
	for n := 1; ; n++ {
		prefix := fmt.Sprintf("Filter.%d.", n)
		if !p.has(prefix + "Name") {
			return filters, nil
		}
		f := filter{p.get(prefix + "Name"), p.numbered(prefix + "Value")}
		switch {
		case !slices.Contains([]string{"instance-id", "private-dns-name", "instance-state-name"}, f.name):
			return nil, errInvalidParameter("The filter '" + f.name + "' is invalid")
		case len(f.values) == 0:
			return nil, errInvalidParameter("The filter '" + f.name + "' has no values")
		}
		filters = append(filters, f)
	}
}

// passes tells whether the instance meets all filters.
func (i *instance) passes(filters []filter) bool {
	is := map[string]string{"instance-id": i.id, "private-dns-name": i.privateDNSName, "instance-state-name": stateRunning}
	return !slices.ContainsFunc(filters, func(f filter) bool { return !slices.Contains(f.values, is[f.name]) })
}

func errInvalidParameter(message string) error {
	return &Error{Code: "InvalidParameterValue", Message: message, Status: http.StatusBadRequest}
}

// checkInstanceID wants i- and 8 or 17 hexadecimal digits.
func checkInstanceID(id string) error {
	digits, ok := strings.CutPrefix(id, "i-")
	hexadecimal := strings.Trim(digits, "0123456789abcdef") == ""
	if ok && hexadecimal && (len(digits) == 8 || len(digits) == 17) {
		return nil
	}
	return &Error{Code: "InvalidInstanceID.Malformed", Message: fmt.Sprintf("Invalid id: %q", id), Status: http.StatusBadRequest}
}

// Instance is a running EC2 instance. Every region shows all of them.
type Instance struct {
	// ID is i- and 8 or 17 hexadecimal digits. Default: made up.
	ID string
	// PrivateDNSName is such as ip-10-0-0-1.eu-central-1.compute.internal.
	// Empty: it has none, as in a network without DNS host names.
	PrivateDNSName string
}

// AddInstance starts an instance and gives it as it is then.
func (s *Server) AddInstance(i Instance) (Instance, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i.ID == "" {
		i.ID = "i-" + s.ids.hex(17)
	}
	if err := checkInstanceID(i.ID); err != nil {
		return Instance{}, err
	}
	a := s.accounts[s.home]
	at, found := slices.BinarySearchFunc(a.instances, i.ID, byInstanceID)
	if found {
		return Instance{}, errExists("Instance %s already exists.", i.ID)
	}
	a.instances = slices.Insert(a.instances, at, &instance{
		id: i.ID, reservation: "r-" + s.ids.hex(17), privateDNSName: i.PrivateDNSName, launched: s.now().UTC().Truncate(time.Second),
	})
	return i, nil
}

// hex returns n hexadecimal digits.
func (s idSource) hex(n int) string { return hex.EncodeToString(s.bytes(n))[:n] }

// Session is the temporary key of a role's session.
type Session struct {
	ID, Secret, Token string
	Expires           time.Time
}

// CreateSession begins a session of a role without regard to its trust policy,
// as AWS services do: an EC2 instance's session is named by the instance's id,
// one of IAM Identity Center by the user's name.
func (s *Server) CreateSession(roleName, sessionName string, lifetime time.Duration) (Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := checkSessionName(sessionName); err != nil {
		return Session{}, err
	}
	a := s.accounts[s.home]
	r, err := a.role(roleName)
	if err != nil {
		return Session{}, err
	}
	return a.startSession(s.now().UTC(), lifetime, &identity{account: a, role: r, session: sessionName}), nil
}
