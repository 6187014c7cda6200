package fakeaws

import (
	"strings"
	"time"
)

const stsNamespace = "https://sts.amazonaws.com/doc/2011-06-15/"

func stsService(s *Server) *queryService {
	return &queryService{
		server:  s,
		name:    "sts",
		version: "2011-06-15",
		form:    xmlOrJSON{namespace: stsNamespace, json: true},
		actions: map[string]action{
			"GetCallerIdentity": getCallerIdentity,
			"AssumeRole":        assumeRole,
		},
		unsigned: map[string]unsigned{"AssumeRoleWithWebIdentity": s.assumeWithToken},
	}
}

type callerIdentityResult struct {
	ARN     string `xml:"Arn" json:"Arn"`
	UserID  string `xml:"UserId" json:"UserId"`
	Account string
}

func getCallerIdentity(c *call) (any, error) {
	return callerIdentityResult{ARN: c.caller.arn(c.accountID), UserID: c.caller.userID(c.accountID), Account: c.accountID}, nil
}

// assumed is what both ways of assuming a role answer.
type assumed struct {
	Credentials struct {
		AccessKeyID     string `xml:"AccessKeyId" json:"AccessKeyId"`
		SecretAccessKey string
		SessionToken    string
		Expiration      instant
	}
	AssumedRoleUser struct {
		AssumedRoleID string `xml:"AssumedRoleId" json:"AssumedRoleId"`
		ARN           string `xml:"Arn" json:"Arn"`
	}
	PackedPolicySize int    `xml:",omitempty" json:",omitempty"`
	SourceIdentity   string `xml:",omitempty" json:",omitempty"`
}

func assumeRole(c *call) (any, error) {
	if err := checkSessionName(c.params.get("RoleSessionName")); err != nil {
		return nil, err
	}
	from, err := c.origin()
	if err != nil {
		return nil, err
	}
	r, home, err := c.trustingRole(from)
	if err != nil {
		return nil, err
	}
	return c.begin(&identity{account: home, role: r, origin: from})
}

// begin starts the session of a role that trusts the caller.
func (c *call) begin(who *identity) (assumed, error) {
	lifetime, err := c.sessionTime(who.role)
	if err != nil {
		return assumed{}, err
	}
	if who.policy, err = c.sessionPolicy(); err != nil {
		return assumed{}, err
	}
	who.session = c.params.get("RoleSessionName")
	key := who.account.startSession(c.now, lifetime, who)

	var result assumed
	result.Credentials.AccessKeyID = key.ID
	result.Credentials.SecretAccessKey = key.Secret
	result.Credentials.SessionToken = key.Token
	result.Credentials.Expiration = instant(key.Expires)
	result.AssumedRoleUser.AssumedRoleID = who.userID(who.account.id)
	result.AssumedRoleUser.ARN = who.arn(who.account.id)
	result.SourceIdentity = who.origin.source
	result.PackedPolicySize = who.origin.packedSize(c.params.get("Policy"))
	return result, nil
}

// packedSize is how much of the room for policy and tags is taken, in percent.
// How AWS packs is not known; this is near its size for short ones.
func (o origin) packedSize(policy string) int {
	size := len(policy)
	for _, t := range o.tags {
		size += len(t.Key) + len(t.Value)
	}
	return (size*100 + 2*maxSessionPolicy - 1) / (2 * maxSessionPolicy)
}

func checkSessionName(name string) error {
	if len(name) == 1 {
		return errConstraint("roleSessionName", "Member must have length greater than or equal to 2")
	}
	return checkName("roleSessionName", name, 64)
}

// trustingRole finds the role that RoleArn names, in its account, if its trust
// policy lets the caller in. AWS does not tell a missing role from a distrusting one.
func (c *call) trustingRole(from origin) (*role, *account, error) {
	r, home, err := c.namedByARN()
	if err != nil {
		return nil, nil, err
	}
	if c.caller.user == nil && c.caller.role == nil {
		return nil, nil, errDenied("Roles may not be assumed by root accounts.")
	}
	f := facts{}
	f.set("sts:ExternalId", c.params.get("ExternalId"))
	from.describe(f, c.params.get("RoleSessionName"))
	c.caller.describe(f)
	for _, action := range append([]string{"sts:AssumeRole"}, from.needs()...) {
		if r == nil || !r.policy.admits(attempt{action: action, facts: f, is: c.caller.is}) {
			return nil, nil, errDenied("User: %s is not authorized to perform: %s on resource: %s", c.caller.arn(c.account.id), action, c.params.get("RoleArn"))
		}
	}
	return r, home, nil
}

// namedByARN finds the role that RoleArn names, nil if there is none.
func (c *call) namedByARN() (*role, *account, error) {
	arn := c.params.get("RoleArn")
	if len(arn) < 20 {
		return nil, nil, errConstraint("roleArn", "Member must have length greater than or equal to 20")
	}
	resource := strings.SplitN(arn, ":", 6)
	if len(resource) != 6 || !strings.HasPrefix(resource[5], "role/") {
		return nil, nil, errValidation("%s is invalid", arn)
	}
	if home, ok := c.server.accounts[resource[4]]; ok {
		if r, found := home.roles.find(afterSlash(arn)); found && r.arn(home.id) == arn {
			return r, home, nil
		}
	}
	return nil, nil, nil
}

// describe adds what trust policies may ask about the caller.
func (i *identity) describe(f facts) {
	tags := i.origin.tags
	if i.user != nil {
		tags = i.user.tags
	}
	for _, t := range tags {
		f["aws:principaltag/"+strings.ToLower(t.Key)] = []string{t.Value}
	}
	f.set("aws:SourceIdentity", i.origin.source)
}

// sessionTime reads DurationSeconds: up to what the role allows, up to an hour
// if a role's session assumes the role.
func (c *call) sessionTime(r *role) (time.Duration, error) {
	seconds, err := c.params.integer("DurationSeconds", int(defaultSessionTime.Seconds()), 900, int(maxSessionTime.Seconds()))
	switch {
	case err != nil:
		return 0, err
	case seconds > r.sessionSeconds:
		return 0, errValidation("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
	case c.caller != nil && c.caller.role != nil && seconds > int(defaultSessionTime.Seconds()):
		return 0, errValidation("The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.")
	}
	return time.Duration(seconds) * time.Second, nil
}
