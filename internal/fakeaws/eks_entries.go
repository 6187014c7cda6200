package fakeaws

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// accessEntry is an access entry. pinned is the unique id of the principal that
// it was made for: one made again under the same ARN is not let in by it.
type accessEntry struct {
	principal, id, kind string
	username            string
	groups              []string
	tags                map[string]string
	policies            map[string]*association // by policy ARN
	pinned, token       string
	created, modified   time.Time
}

type accessEntryJSON struct {
	ClusterName      string            `json:"clusterName"`
	PrincipalARN     string            `json:"principalArn"`
	KubernetesGroups []string          `json:"kubernetesGroups"`
	AccessEntryARN   string            `json:"accessEntryArn"`
	CreatedAt        seconds           `json:"createdAt"`
	ModifiedAt       seconds           `json:"modifiedAt"`
	Tags             map[string]string `json:"tags"`
	Username         string            `json:"username"`
	Type             string            `json:"type"`
}

type accessEntryResult struct {
	AccessEntry accessEntryJSON `json:"accessEntry"`
}

// show is the entry as an answer holds it.
func (c *restCall) show(k *cluster, e *accessEntry) accessEntryResult {
	return accessEntryResult{accessEntryJSON{
		ClusterName: k.name, PrincipalARN: e.principal, KubernetesGroups: append([]string{}, e.groups...),
		AccessEntryARN: e.arn(c.region, c.accountID, k.name), CreatedAt: seconds(e.created), ModifiedAt: seconds(e.modified),
		Tags: maps.Clone(e.tags), Username: e.username, Type: e.kind,
	}}
}

func (e *accessEntry) arn(region, account, clusterName string) string {
	parts := strings.SplitN(e.principal, ":", 6)
	kind, _, _ := strings.Cut(parts[5], "/")
	return "arn:aws:eks:" + region + ":" + account + ":access-entry/" + clusterName + "/" + kind + "/" + parts[4] + "/" +
		afterSlash(e.principal) + "/" + e.id
}

func (c *restCall) entry() (*cluster, *accessEntry, error) {
	k, err := c.cluster()
	if err != nil {
		return nil, nil, err
	}
	e, ok := k.entries[c.labels[1]]
	if !ok {
		return nil, nil, errResourceNotFound("The specified principalArn could not be found. You can view your available access entries with 'list-access-entries'.")
	}
	return k, e, nil
}

// principal finds a user or role by its whole ARN, in any account. now leaves
// out those that are too new to be known everywhere; zero leaves out none.
func (s *Server) principal(arn string, now time.Time) (*entity, error) {
	unknown := errInvalidParameterException("The specified principalArn is invalid: invalid principal.")
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) != 6 || s.accounts[parts[4]] == nil {
		return nil, unknown
	}
	home, name := s.accounts[parts[4]], afterSlash(arn)
	var found *entity
	if u, ok := home.users.find(name); ok && u.arn(home.id) == arn {
		found = &u.entity
	}
	if r, ok := home.roles.find(name); ok && r.arn(home.id) == arn {
		found = &r.entity
	}
	if found == nil || !now.IsZero() && now.Before(found.knownFrom) {
		return nil, unknown
	}
	return found, nil
}

type createAccessEntryInput struct {
	PrincipalARN     string            `json:"principalArn"`
	KubernetesGroups []string          `json:"kubernetesGroups"`
	Tags             map[string]string `json:"tags"`
	Token            string            `json:"clientRequestToken"`
	Username         *string           `json:"username"`
	Type             string            `json:"type"`
}

func createAccessEntry(c *restCall) (any, error) {
	k, err := c.cluster()
	if err != nil {
		return nil, err
	}
	var in createAccessEntryInput
	if err := c.read(&in); err != nil {
		return nil, err
	}
	if e, ok := k.entries[in.PrincipalARN]; ok {
		if in.Token != "" && in.Token == e.token {
			return c.show(k, e), nil // the same call again
		}
		return nil, &Error{
			Code: "ResourceInUseException", Message: "The specified access entry resource is already in use on this cluster.",
			Status: http.StatusConflict,
		}
	}
	who, err := in.check(c)
	switch {
	case err != nil:
		return nil, err
	case len(k.entries) >= maxAccessEntries:
		return nil, &Error{
			Code: "ResourceLimitExceededException", Message: fmt.Sprintf("Access entries limit exceeded: %d", maxAccessEntries),
			Status: http.StatusBadRequest,
		}
	}
	e := &accessEntry{
		principal: in.PrincipalARN, id: c.server.ids.uuid(), kind: in.Type, groups: in.KubernetesGroups,
		tags: map[string]string{}, policies: map[string]*association{},
		pinned: who.id, token: in.Token, created: c.now, modified: c.now,
	}
	maps.Copy(e.tags, in.Tags)
	if e.username = defaultUsername(in.PrincipalARN); in.Username != nil {
		e.username = *in.Username
	}
	k.entries[e.principal] = e
	return c.show(k, e), nil
}

func (in *createAccessEntryInput) check(c *restCall) (*entity, error) {
	if in.Type == "" {
		in.Type = "STANDARD"
	}
	switch {
	case !slices.Contains([]string{"STANDARD", "EC2", "EC2_LINUX", "EC2_WINDOWS", "FARGATE_LINUX", "HYBRID_LINUX"}, in.Type):
		return nil, errInvalidParameterException("The type %s is invalid", in.Type)
	case in.Type != "STANDARD" && (len(in.KubernetesGroups) > 0 || in.Username != nil):
		return nil, errInvalidParameterException("The username and kubernetes groups can only be set for access entries with a type of \"STANDARD\".")
	}
	if err := checkSubject(in.Username, in.KubernetesGroups); err != nil {
		return nil, err
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	return c.server.principal(in.PrincipalARN, c.now)
}

func checkTags(tags map[string]string) error {
	if len(tags) > maxTags {
		return errInvalidParameterException("The number of tags exceeds %d", maxTags)
	}
	for key, value := range tags {
		if err := (tag{key, value}).check(); err != nil {
			return err
		}
	}
	return nil
}

// checkSubject wants what "Set a custom username for EKS access entries" and
// "Create access entries" of the EKS user guide say.
func checkSubject(username *string, groups []string) error {
	for _, g := range groups {
		if strings.HasPrefix(g, "system:") {
			return errInvalidParameterException("The kubernetes group name %s is invalid, it cannot start with system:", g)
		}
		if g == "" {
			return errInvalidParameterException("The kubernetes group name must not be empty")
		}
	}
	if username == nil {
		return nil
	}
	for _, prefix := range []string{"system:", "eks:", "aws:", "amazon:", "iam:"} {
		if strings.HasPrefix(*username, prefix) {
			return errInvalidParameterException("The username must not begin with %s", prefix)
		}
	}
	for _, session := range []string{"{{SessionName}}", "{{SessionNameRaw}}"} {
		if before, _, found := strings.Cut(*username, session); found && !strings.Contains(before, ":") {
			return errInvalidParameterException("The username must include a colon before %s", session)
		}
	}
	if *username == "" {
		return errInvalidParameterException("The username must not be empty")
	}
	return nil
}

// defaultUsername is a user's ARN, a role's that of its sessions.
func defaultUsername(principal string) string {
	if parts := strings.SplitN(principal, ":", 6); strings.HasPrefix(parts[5], "role/") {
		return "arn:aws:sts::" + parts[4] + ":assumed-role/" + afterSlash(principal) + "/{{SessionName}}"
	}
	return principal
}

func describeAccessEntry(c *restCall) (any, error) {
	k, e, err := c.entry()
	if err != nil {
		return nil, err
	}
	return c.show(k, e), nil
}

type listAccessEntriesResult struct {
	AccessEntries []string `json:"accessEntries"`
	NextToken     *string  `json:"nextToken,omitempty"`
}

func listAccessEntries(c *restCall) (any, error) {
	k, err := c.cluster()
	if err != nil {
		return nil, err
	}
	arns := slices.Sorted(maps.Keys(k.entries))
	if policy := c.params.get("associatedPolicyArn"); policy != "" {
		arns = slices.DeleteFunc(arns, func(arn string) bool { return k.entries[arn].policies[policy] == nil })
	}
	var result listAccessEntriesResult
	result.AccessEntries, result.NextToken, err = c.page(arns, maxEKSPage)
	return result, err
}

type updateAccessEntryInput struct {
	KubernetesGroups *[]string `json:"kubernetesGroups"`
	Username         *string   `json:"username"`
}

// updateAccessEntry changes what is given and leaves the rest.
func updateAccessEntry(c *restCall) (any, error) {
	k, e, err := c.entry()
	if err != nil {
		return nil, err
	}
	var in updateAccessEntryInput
	if err := c.read(&in); err != nil {
		return nil, err
	}
	groups := e.groups
	if in.KubernetesGroups != nil {
		groups = *in.KubernetesGroups
	}
	if err := checkSubject(in.Username, groups); err != nil {
		return nil, err
	}
	if e.kind != "STANDARD" {
		return nil, errNotStandard()
	}
	if e.groups = groups; in.Username != nil {
		e.username = *in.Username
	}
	e.modified = c.now
	return c.show(k, e), nil
}

func errNotStandard() error {
	return errInvalidParameterException("This operation can only be performed on Access Entries with a type of \"STANDARD\".")
}

func deleteAccessEntry(c *restCall) (any, error) {
	k, e, err := c.entry()
	if err != nil {
		return nil, err
	}
	delete(k.entries, e.principal)
	return struct{}{}, nil
}

// tagResource knows the tags of access entries.
func tagResource(c *restCall) (any, error) {
	var in struct {
		Tags map[string]string `json:"tags"`
	}
	if err := c.read(&in); err != nil {
		return nil, err
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, &Error{Code: "BadRequestException", Message: asError(err).Message, Status: http.StatusBadRequest}
	}
	for _, k := range c.account.clusters {
		for _, e := range k.entries {
			if e.arn(c.region, c.accountID, k.name) == c.labels[0] {
				maps.Copy(e.tags, in.Tags)
				return struct{}{}, nil
			}
		}
	}
	return nil, &Error{Code: "NotFoundException", Message: "Resource not found: " + c.labels[0], Status: http.StatusNotFound}
}
