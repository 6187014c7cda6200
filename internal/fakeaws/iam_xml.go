package fakeaws

import (
	"net/url"
	"strings"
	"time"
)

// The shapes of IAM's answers, as its API reference names them under "Data
// Types". Listings leave out tags and boundaries, as AWS does.

type xmlUser struct {
	Path                string
	UserName            string `xml:",omitempty"`
	UserID              string `xml:"UserId"`
	ARN                 string `xml:"Arn"`
	CreateDate          string
	PermissionsBoundary *xmlBoundary
	Tags                *list[tag]
}

type xmlBoundary struct {
	PermissionsBoundaryType string
	PermissionsBoundaryArn  string
}

type xmlGroup struct {
	Path       string
	GroupName  string
	GroupID    string `xml:"GroupId"`
	ARN        string `xml:"Arn"`
	CreateDate string
}

type xmlRole struct {
	Path                     string
	RoleName                 string
	RoleID                   string `xml:"RoleId"`
	ARN                      string `xml:"Arn"`
	CreateDate               string
	AssumeRolePolicyDocument string
	Description              string `xml:",omitempty"`
	MaxSessionDuration       int
	PermissionsBoundary      *xmlBoundary
	Tags                     *list[tag]
}

type xmlAccessKey struct {
	UserName        string
	AccessKeyID     string `xml:"AccessKeyId"`
	Status          string
	SecretAccessKey string `xml:",omitempty"`
	CreateDate      string
}

type xmlPolicy struct {
	PolicyName     string
	PolicyDocument string
}

type xmlAttachedPolicy struct {
	PolicyName string
	PolicyArn  string
}

// briefUser is a user as listings show it.
func (c *call) briefUser(u *user) xmlUser {
	return xmlUser{Path: u.path, UserName: u.name, UserID: u.id, ARN: u.arn(c.accountID), CreateDate: xmlTime(u.created)}
}

func (c *call) fullUser(u *user) xmlUser {
	x := c.briefUser(u)
	x.PermissionsBoundary, x.Tags = boundaryXML(u.boundary), tagsXML(u.tags)
	return x
}

func (c *call) groupXML(g *group) xmlGroup {
	return xmlGroup{Path: g.path, GroupName: g.name, GroupID: g.id, ARN: g.arn(c.accountID), CreateDate: xmlTime(g.created)}
}

// briefRole is a role as listings show it.
func (c *call) briefRole(r *role) xmlRole {
	return xmlRole{
		Path: r.path, RoleName: r.name, RoleID: r.id, ARN: r.arn(c.accountID), CreateDate: xmlTime(r.created),
		AssumeRolePolicyDocument: escapeDocument(r.trust), Description: r.description, MaxSessionDuration: r.sessionSeconds,
	}
}

func (c *call) fullRole(r *role) xmlRole {
	x := c.briefRole(r)
	x.PermissionsBoundary, x.Tags = boundaryXML(r.boundary), tagsXML(r.tags)
	return x
}

func boundaryXML(arn string) *xmlBoundary {
	if arn == "" {
		return nil
	}
	return &xmlBoundary{PermissionsBoundaryType: "Policy", PermissionsBoundaryArn: arn}
}

// tagsXML is nil without tags: AWS leaves the element out then.
func tagsXML(tags []tag) *list[tag] {
	if len(tags) == 0 {
		return nil
	}
	return listOf(tags, func(t tag) tag { return t })
}

// listOf converts to a list of its own, so that it stays as it is once the lock is gone.
func listOf[T, X any](items []T, convert func(T) X) *list[X] {
	l := list[X]{Members: make([]X, len(items))}
	for i, v := range items {
		l.Members[i] = convert(v)
	}
	return &l
}

// escapeDocument encodes a policy document as answers hold it (RFC 3986).
func escapeDocument(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

func xmlTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }
