package iamevents

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/arn"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// maxBody is the size of the largest message that SQS holds, in bytes.
const maxBody = 1 << 20

// Limits of the IAM API, in characters.
const (
	maxName     = 128  // the type existingUserNameType
	maxTags     = 50   // tags of one principal
	maxTagKey   = 128  // tagKeyType
	maxTagValue = 256  // tagValueType
	maxPath     = 512  // pathType
	maxARN      = 2048 // arnType
)

// record is what is read of an event. Format: "Events from AWS services
// through CloudTrail" in the EventBridge user guide; detail is described by
// "CloudTrail record contents" in the CloudTrail user guide.
type record struct {
	Source  string `json:"source"`
	Type    string `json:"detail-type"`
	Account string `json:"account"`
	Detail  detail `json:"detail"`
}

type detail struct {
	Version   string    `json:"eventVersion"`
	Time      time.Time `json:"eventTime"`
	Source    string    `json:"eventSource"`
	Name      string    `json:"eventName"`
	ErrorCode string    `json:"errorCode"`
	Recipient string    `json:"recipientAccountId"`
	Asked     asked     `json:"requestParameters"`
	Made      struct {
		User made `json:"user"`
		Role made `json:"role"`
	} `json:"responseElements"`
}

type asked struct {
	UserName  string   `json:"userName"`
	RoleName  string   `json:"roleName"`
	GroupName string   `json:"groupName"`
	NewName   string   `json:"newUserName"`
	NewPath   string   `json:"newPath"`
	Boundary  string   `json:"permissionsBoundary"`
	TagKeys   []string `json:"tagKeys"`
	Tags      []struct {
		Key   string `json:"key"`
		Value string `json:"value"`
	} `json:"tags"`
}

type made struct {
	ARN    string `json:"arn"`
	UserID string `json:"userId"`
	RoleID string `json:"roleId"`
}

// reader turns the event of one action into announcements.
type reader func(d *detail, about Announcement) []Announcement

// readers are the actions that announce something, by name.
func readers() map[string]reader {
	return map[string]reader{
		"CreateUser":                    exists,
		"CreateRole":                    exists,
		"DeleteUser":                    gone,
		"DeleteRole":                    gone,
		"UpdateUser":                    moved,
		"TagUser":                       tagged,
		"TagRole":                       tagged,
		"UntagUser":                     untagged,
		"UntagRole":                     untagged,
		"AddUserToGroup":                joined,
		"RemoveUserFromGroup":           left,
		"PutUserPermissionsBoundary":    bounded,
		"PutRolePermissionsBoundary":    bounded,
		"DeleteUserPermissionsBoundary": bounded,
		"DeleteRolePermissionsBoundary": bounded,
	}
}

// EventNames are the IAM actions whose events announce something, sorted: what
// a rule has to forward.
func EventNames() []string { return slices.Sorted(maps.Keys(readers())) }

// Parse reads the body of a message. An event that announces nothing, such as
// one of a refused call or of another action of IAM, gives none. An error means
// that this is no event of IAM at all; its text is short and quotes little.
func Parse(body string) ([]Announcement, error) {
	if len(body) > maxBody {
		return nil, fmt.Errorf("%d bytes are more than a message can have", len(body))
	}
	if !utf8.ValidString(body) {
		return nil, errors.New("not UTF-8")
	}
	var r record
	if err := json.Unmarshal([]byte(body), &r); err != nil {
		return nil, fmt.Errorf("not an event: %s", quote(err.Error()))
	}
	d := &r.Detail
	if r.Source != "aws.iam" || r.Type != "AWS API Call via CloudTrail" || d.Source != "iam.amazonaws.com" {
		return nil, fmt.Errorf("not an event of IAM by CloudTrail: source %s, detail-type %s, eventSource %s",
			quote(r.Source), quote(r.Type), quote(d.Source))
	}
	if major, _, _ := strings.Cut(d.Version, "."); major != "1" {
		return nil, fmt.Errorf("eventVersion is %s; only 1.x is known", quote(d.Version))
	}
	read, known := readers()[d.Name]
	if !known || d.ErrorCode != "" {
		return nil, nil
	}
	about, err := r.about()
	if err != nil {
		return nil, fmt.Errorf("event %s: %w", d.Name, err)
	}
	return read(d, about), nil
}

// about is whom the event is about.
func (r *record) about() (Announcement, error) {
	d := &r.Detail
	a := Announcement{Kind: rules.User, Name: d.Asked.UserName, AccountID: d.Recipient, At: d.Time}
	if strings.Contains(d.Name, "Role") {
		a.Kind, a.Name = rules.Role, d.Asked.RoleName
	}
	if a.AccountID == "" {
		a.AccountID = r.Account
	}
	if len(a.AccountID) != 12 || strings.Trim(a.AccountID, "0123456789") != "" {
		return a, fmt.Errorf("%s is not an account", quote(a.AccountID))
	}
	if d.Time.IsZero() {
		return a, errors.New("it has no eventTime")
	}
	if err := d.Asked.bounded(); err != nil {
		return a, err
	}
	for _, name := range []string{a.Name, d.Asked.NewName, d.Asked.GroupName} {
		if len(name) > maxName || strings.ContainsFunc(name, outsideNames) {
			return a, fmt.Errorf("%s is not a name of IAM", quote(name))
		}
	}
	if a.Name == "" {
		return a, errors.New("it names nobody")
	}
	return a, nil
}

// bounded refuses what IAM would not have taken: what is announced is
// remembered, and whoever can send to the queue could fill the memory with it.
func (k *asked) bounded() error {
	if len(k.Tags) > maxTags || len(k.TagKeys) > maxTags {
		return errors.New("it has more tags than a principal can have")
	}
	for _, key := range k.TagKeys {
		if longer(key, maxTagKey) {
			return fmt.Errorf("the key %s is longer than one of a tag can be", quote(key))
		}
	}
	for _, t := range k.Tags {
		if longer(t.Key, maxTagKey) || longer(t.Value, maxTagValue) {
			return fmt.Errorf("the tag %s is longer than one can be", quote(t.Key))
		}
	}
	if longer(k.Boundary, maxARN) || longer(k.NewPath, maxPath) {
		return errors.New("its permissions boundary or path is longer than one can be")
	}
	return nil
}

func longer(s string, most int) bool { return len(s) > most && utf8.RuneCountInString(s) > most }

// outsideNames: names consist of [\w+=,.@-].
func outsideNames(r rune) bool {
	letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
	return !letter && !strings.ContainsRune("_+=,.@-", r)
}

// quote shows a little of a text.
func quote(s string) string {
	const most = 60
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return strconv.Quote(s)
}

// exists takes ARN and id from what was made, if they belong to it.
func exists(d *detail, a Announcement) []Announcement {
	a.Verb = Exists
	got, id, resource := d.Made.User, d.Made.User.UserID, "user"
	if a.Kind == rules.Role {
		got, id, resource = d.Made.Role, d.Made.Role.RoleID, "role"
	}
	parsed, err := arn.Parse(got.ARN)
	if err == nil && parsed.Type == resource && parsed.AccountID == a.AccountID && rules.SameName(parsed.Name, a.Name) {
		a.ARN = got.ARN
		if len(id) <= maxName && !strings.ContainsFunc(id, outsideNames) {
			a.ID = id
		}
	}
	return []Announcement{a}
}

func gone(_ *detail, a Announcement) []Announcement {
	a.Verb = Gone
	return []Announcement{a}
}

// moved is a new name, a new path or both.
func moved(d *detail, a Announcement) []Announcement {
	to := a
	to.Verb = Exists
	if p := d.Asked.NewPath; strings.HasPrefix(p, "/") && strings.HasSuffix(p, "/") {
		to.Path = p
	}
	if d.Asked.NewName == "" || rules.SameName(d.Asked.NewName, a.Name) {
		return []Announcement{to}
	}
	to.Name = d.Asked.NewName
	a.Verb = Gone
	return []Announcement{to, a}
}

func tagged(d *detail, a Announcement) []Announcement {
	a.Verb, a.Change.Tags = Changed, map[string]string{}
	for _, t := range d.Asked.Tags {
		a.Change.Tags[t.Key] = t.Value
	}
	return []Announcement{a}
}

func untagged(d *detail, a Announcement) []Announcement {
	a.Verb, a.Change.NoTags = Changed, d.Asked.TagKeys
	return []Announcement{a}
}

func joined(d *detail, a Announcement) []Announcement {
	a.Verb, a.Change.Group = Changed, d.Asked.GroupName
	return []Announcement{a}
}

func left(d *detail, a Announcement) []Announcement {
	a.Verb, a.Change.Group, a.Change.Left = Changed, d.Asked.GroupName, true
	return []Announcement{a}
}

// bounded reads the boundary that was put; the event of a deletion has none.
func bounded(d *detail, a Announcement) []Announcement {
	a.Verb, a.Change.Bounded, a.Change.Boundary = Changed, true, d.Asked.Boundary
	return []Announcement{a}
}
