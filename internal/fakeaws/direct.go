package fakeaws

import "time"

// User is what CreateUser made.
type User struct {
	ARN, ID, Path, Name string
	CreateDate          time.Time
}

// Role is what CreateRole made.
type Role struct {
	ARN, ID, Path, Name string
	CreateDate          time.Time
}

// AccessKey is a key that signs requests.
type AccessKey struct{ ID, Secret string }

// AddAccount adds another account, with the key and the user that cfg names;
// its other fields are not used. What runs without HTTP stays with the first
// account.
func (s *Server) AddAccount(cfg Config) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addAccount(cfg.AccountID).seed(cfg)
}

// CreateUser does what the action of that name does, without HTTP, like all
// methods here. Errors are of type *Error.
func (s *Server) CreateUser(path, name string) (User, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := checkNamed(path, "userName", name); err != nil {
		return User{}, err
	}
	a := s.accounts[s.home]
	u, err := a.createUser(s.now().UTC(), entity{path: path, name: name})
	if err != nil {
		return User{}, err
	}
	s.recordDirect("CreateUser", params{"Path": {path}, "UserName": {name}})
	return User{ARN: u.arn(a.id), ID: u.id, Path: u.path, Name: u.name, CreateDate: u.created}, nil
}

// DeleteUser deletes the user along with keys, policies and memberships.
func (s *Server) DeleteUser(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.accounts[s.home]
	u, err := a.user(name)
	if err != nil {
		return err
	}
	for len(u.keys) > 0 {
		if err := a.deleteAccessKey(u, u.keys[0].id); err != nil {
			return err
		}
	}
	for _, g := range a.groupsOf(u) {
		g.remove(u)
	}
	u.policies = policies{}
	if err := a.deleteUser(s.now().UTC(), name); err != nil {
		return err
	}
	s.recordDirect("DeleteUser", params{"UserName": {name}})
	return nil
}

// CreateAccessKey makes a key of the user, who may have two.
func (s *Server) CreateAccessKey(userName string) (AccessKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.accounts[s.home]
	u, err := a.user(userName)
	if err != nil {
		return AccessKey{}, err
	}
	k, secret, err := a.createAccessKey(s.now().UTC(), u)
	return AccessKey{ID: k.id, Secret: secret}, err
}

// CreateRole makes a role with a trust policy in JSON. An empty one trusts the
// whole account.
func (s *Server) CreateRole(path, name, trustPolicy string) (Role, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := checkNamed(path, "roleName", name); err != nil {
		return Role{}, err
	}
	a := s.accounts[s.home]
	if trustPolicy == "" {
		trustPolicy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + a.id + `:root"},"Action":"sts:AssumeRole"}]}`
	}
	r, err := a.createRole(s.now().UTC(), role{entity: entity{path: path, name: name}, trust: trustPolicy})
	if err != nil {
		return Role{}, err
	}
	s.recordDirect("CreateRole", params{"Path": {path}, "RoleName": {name}})
	return Role{ARN: r.arn(a.id), ID: r.id, Path: r.path, Name: r.name, CreateDate: r.created}, nil
}

// DeleteRole deletes the role and ends its sessions.
func (s *Server) DeleteRole(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.accounts[s.home].deleteRole(s.now().UTC(), name); err != nil {
		return err
	}
	s.recordDirect("DeleteRole", params{"RoleName": {name}})
	return nil
}

// SetLag makes IAM eventually consistent for what is created and deleted from
// now on.
func (s *Server) SetLag(lag Lag) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.accounts {
		a.lag = lag
	}
}

// recordDirect sends the event of what a method here did, as if by HTTP.
func (s *Server) recordDirect(action string, p params) {
	s.record(iamChange{account: s.accounts[s.home], action: action, params: p, now: s.now().UTC()})
}

func checkNamed(path, field, name string) error {
	if err := checkName(field, name, 64); err != nil {
		return err
	}
	return checkPath(path)
}
