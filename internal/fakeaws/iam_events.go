package fakeaws

import (
	"encoding/json"
	"net/url"
	"strings"
	"time"
)

// EventRule sends what CloudTrail records of IAM's changes into a queue, as an
// EventBridge rule does.
type EventRule struct {
	// Queue is the queue's name in the account that is changed. It is made if
	// it is not there. Empty: no events.
	Queue string
	// Delay is how long after a change its event arrives.
	Delay time.Duration
}

// recordedActions are those whose events are sent, of the changes to users and
// roles, with the kind of what they change.
func recordedActions() map[string]string {
	return map[string]string{
		"CreateUser": "user", "DeleteUser": "user", "TagUser": "user", "UntagUser": "user",
		"AddUserToGroup": "user", "RemoveUserFromGroup": "user",
		"PutUserPermissionsBoundary": "user", "DeleteUserPermissionsBoundary": "user",
		"CreateRole": "role", "DeleteRole": "role",
		// Of no concern to who may come in, but they change IAM too.
		"CreateAccessKey": "", "DeleteAccessKey": "", "AttachUserPolicy": "", "AttachRolePolicy": "",
	}
}

// SendEvents begins to send events, or ends it if the rule names no queue.
func (s *Server) SendEvents(rule EventRule) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = rule
	if rule.Queue != "" {
		s.accounts[s.home].createQueue(rule.Queue, queueAttributes(), s.now().UTC())
	}
}

// SendMessage puts a message into a queue of the account.
func (s *Server) SendMessage(queueName, body string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.accounts[s.home]
	q, ok := a.queues[queueName]
	if !ok {
		return errNoQueue()
	}
	q.send(body, s.now().UTC(), 0, s.ids)
	return nil
}

// QueuePath is the path of a queue's URL on this server.
func (s *Server) QueuePath(queueName string) string { return "/" + s.home + "/" + queueName }

// QueueLength counts the messages of a queue that are visible, and those that
// are not because somebody received them or because they are delayed.
func (s *Server) QueueLength(queueName string) (visible, hidden int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, ok := s.accounts[s.home].queues[queueName]
	if !ok {
		return 0, 0
	}
	for _, m := range q.messages {
		if m.state(s.now().UTC()) == stateWaiting {
			visible++
		} else {
			hidden++
		}
	}
	return visible, hidden
}

// iamChange is one call that changed something.
type iamChange struct {
	account *account
	caller  *identity
	action  string
	params  params
	now     time.Time
}

// record sends the event of a change. The lock is held.
func (s *Server) record(c iamChange) {
	kind, recorded := recordedActions()[c.action]
	if !recorded || s.events.Queue == "" || c.account.id != s.home {
		return
	}
	q := c.account.createQueue(s.events.Queue, queueAttributes(), c.now)
	body, err := json.Marshal(s.event(c, kind))
	if err != nil {
		return
	}
	q.send(string(body), c.now, s.events.Delay, s.ids)
}

// event has the form of "Events from AWS services through CloudTrail" in the
// EventBridge guide, and "CloudTrail record contents" within.
func (s *Server) event(c iamChange, kind string) map[string]any {
	id, requestID := s.ids.uuid(), s.ids.uuid()
	at := c.now.Format(time.RFC3339)
	return map[string]any{
		"version": "0", "id": id, "detail-type": "AWS API Call via CloudTrail", "source": "aws.iam",
		"account": c.account.id, "time": at, "region": "us-east-1", "resources": []string{},
		"detail": map[string]any{
			"eventVersion": "1.11", "eventTime": at, "eventSource": "iam.amazonaws.com", "eventName": c.action,
			"userIdentity": c.caller.recorded(), "awsRegion": "us-east-1", "sourceIPAddress": "127.0.0.1", "userAgent": "fakeaws",
			"requestParameters": c.params.recorded(), "responseElements": c.response(kind),
			"requestID": requestID, "eventID": s.ids.uuid(), "readOnly": false, "eventType": "AwsApiCall",
			"managementEvent": true, "recipientAccountId": c.account.id, "eventCategory": "Management",
		},
	}
}

// recorded is the userIdentity of a caller; nil is the account's root.
func (i *identity) recorded() map[string]any {
	if i == nil {
		return map[string]any{"type": "Root"}
	}
	id := i.account.id
	said := map[string]any{"type": "Root", "principalId": i.userID(id), "arn": i.arn(id), "accountId": id}
	switch {
	case i.user != nil:
		said["type"], said["userName"] = "IAMUser", i.user.name
	case i.role != nil:
		said["type"] = "AssumedRole"
	}
	return said
}

// recorded are the requestParameters.
func (p params) recorded() map[string]any {
	said := map[string]any{}
	for name := range url.Values(p) {
		if name != "Action" && name != "Version" && !strings.Contains(name, ".") {
			said[lowerFirst(name)] = p.get(name)
		}
	}
	if keys := p.members("TagKeys"); len(keys) > 0 {
		said["tagKeys"] = keys
	}
	if tags, err := p.tags(); err == nil && len(tags) > 0 {
		var list []map[string]string
		for _, t := range tags {
			list = append(list, map[string]string{"key": t.Key, "value": t.Value})
		}
		said["tags"] = list
	}
	return said
}

// response are the responseElements: what was made, else null.
func (c iamChange) response(kind string) any {
	const dateForm = "Jan 2, 2006 3:04:05 PM"
	if !strings.HasPrefix(c.action, "Create") {
		return nil
	}
	switch kind {
	case "user":
		u, err := c.account.user(c.params.get("UserName"))
		if err != nil {
			return nil
		}
		return map[string]any{"user": map[string]any{
			"path": u.path, "userName": u.name, "userId": u.id, "arn": u.arn(c.account.id), "createDate": u.created.Format(dateForm),
		}}
	case "role":
		r, err := c.account.role(c.params.get("RoleName"))
		if err != nil {
			return nil
		}
		return map[string]any{"role": map[string]any{
			"path": r.path, "roleName": r.name, "roleId": r.id, "arn": r.arn(c.account.id), "createDate": r.created.Format(dateForm),
			"assumeRolePolicyDocument": escapeDocument(r.trust),
		}}
	default:
		return nil
	}
}
