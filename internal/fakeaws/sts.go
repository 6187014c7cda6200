package fakeaws

import (
	"strings"
	"time"
)

const stsNamespace = "https://sts.amazonaws.com/doc/2011-06-15/"

func stsService(s *Server) *queryService {
	return &queryService{
		server:  s,
		version: "2011-06-15",
		form:    xmlOrJSON{namespace: stsNamespace, json: true},
		actions: map[string]action{
			"GetCallerIdentity": getCallerIdentity,
			"AssumeRole":        assumeRole,
		},
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

type assumeRoleResult struct {
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
}

func assumeRole(c *call) (any, error) {
	session := c.params.get("RoleSessionName")
	if err := checkSessionName(session); err != nil {
		return nil, err
	}
	r, home, err := c.trustingRole()
	if err != nil {
		return nil, err
	}
	lifetime, err := c.sessionTime(r)
	if err != nil {
		return nil, err
	}

	who := &identity{account: home, role: r, session: session}
	key := home.startSession(c.now, lifetime, who)

	var result assumeRoleResult
	result.Credentials.AccessKeyID = key.ID
	result.Credentials.SecretAccessKey = key.Secret
	result.Credentials.SessionToken = key.Token
	result.Credentials.Expiration = instant(key.Expires)
	result.AssumedRoleUser.AssumedRoleID = who.userID(home.id)
	result.AssumedRoleUser.ARN = who.arn(home.id)
	return result, nil
}

func checkSessionName(name string) error {
	if len(name) == 1 {
		return errConstraint("roleSessionName", "Member must have length greater than or equal to 2")
	}
	return checkName("roleSessionName", name, 64)
}

// trustingRole finds the role that RoleArn names, in its account, if its trust
// policy lets the caller in. AWS does not tell a missing role from a distrusting one.
func (c *call) trustingRole() (*role, *account, error) {
	arn := c.params.get("RoleArn")
	if len(arn) < 20 {
		return nil, nil, errConstraint("roleArn", "Member must have length greater than or equal to 20")
	}
	if c.caller.user == nil && c.caller.role == nil {
		return nil, nil, errDenied("Roles may not be assumed by root accounts.")
	}
	resource := strings.SplitN(arn, ":", 6)
	if len(resource) != 6 || !strings.HasPrefix(resource[5], "role/") {
		return nil, nil, errValidation("%s is invalid", arn)
	}
	if home, ok := c.server.accounts[resource[4]]; ok {
		r, found := home.roles.find(afterSlash(arn))
		if found && r.arn(home.id) == arn && r.policy.admits(c.caller, c.params.get("ExternalId")) {
			return r, home, nil
		}
	}
	return nil, nil, errDenied("User: %s is not authorized to perform: sts:AssumeRole on resource: %s", c.caller.arn(c.account.id), arn)
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
	case c.caller.role != nil && seconds > int(defaultSessionTime.Seconds()):
		return 0, errValidation("The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.")
	}
	return time.Duration(seconds) * time.Second, nil
}
