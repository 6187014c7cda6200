package controllers

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// soakFrozen is the way to the other account, which at times cannot be listed.
type soakFrozen struct {
	soakWire
	*soak
}

// Do is what an aws.HTTPClient does.
func (w soakFrozen) Do(r *http.Request) (*http.Response, error) {
	if w.calm.other.After(w.now()) {
		return nil, &url.Error{Op: r.Method, URL: r.URL.String(), Err: io.EOF}
	}
	if answer, err := w.refuse(r); answer != nil || err != nil {
		return answer, err
	}
	return w.soakWire.Do(r)
}

// beginIAM makes the other account, and the group that rules look at.
func (s *soak) beginIAM() {
	s.aws.AddAccount(fakeaws.Config{AccountID: otherAccount, AccessKeyID: "AKIAOTHER", SecretAccessKey: "other", AdminUser: "admin"})
	s.asAdmin(accountID, func(c *iam.Client) error {
		_, err := c.CreateGroup(s.Context(), &iam.CreateGroupInput{GroupName: aws.String("ops")})
		return err
	})
}

// asAdmin calls IAM in calm weather.
func (s *soak) asAdmin(account string, call func(*iam.Client) error) {
	s.aws.ClearFaults()
	config := s.awsConfig(soakWire{s.aws})
	if account == otherAccount {
		config.Credentials = otherCredentials()
	}
	if err := call(s.iamOf(config)); err != nil {
		s.Fatal(err)
	}
	s.setFaults()
}

func (s *soak) createInAWS(n soakName) (err error) {
	switch {
	case n.account == otherAccount:
		s.asAdmin(n.account, func(c *iam.Client) error {
			_, err := c.CreateUser(s.Context(), &iam.CreateUserInput{UserName: &n.name, Path: &n.path})
			return err
		})
	case n.kind == rules.Role:
		_, err = s.aws.CreateRole(n.path, n.name, "")
	default:
		_, err = s.aws.CreateUser(n.path, n.name)
	}
	return err
}

func (s *soak) deleteInAWS(p *soakPrincipal) (err error) {
	switch {
	case p.account == otherAccount:
		s.asAdmin(p.account, func(c *iam.Client) error {
			_, err := c.DeleteUser(s.Context(), &iam.DeleteUserInput{UserName: &p.name})
			return err
		})
	case p.kind == rules.Role:
		err = s.aws.DeleteRole(p.name)
	default:
		err = s.aws.DeleteUser(p.name)
	}
	return err
}

// describe changes what rules may look at.
func (s *soak) describe() {
	for _, p := range s.living() {
		if p.path == "/team/" && s.odds(3) {
			s.change(p, s.odds(2))
		}
	}
}

func (s *soak) change(p *soakPrincipal, tag bool) {
	s.asAdmin(p.account, func(c *iam.Client) (err error) {
		switch {
		case tag && p.tagged:
			_, err = c.UntagUser(s.Context(), &iam.UntagUserInput{UserName: &p.name, TagKeys: []string{"team"}})
		case tag:
			_, err = c.TagUser(s.Context(), &iam.TagUserInput{UserName: &p.name, Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("dev")}}})
		case p.member:
			_, err = c.RemoveUserFromGroup(s.Context(), &iam.RemoveUserFromGroupInput{UserName: &p.name, GroupName: aws.String("ops")})
		default:
			_, err = c.AddUserToGroup(s.Context(), &iam.AddUserToGroupInput{UserName: &p.name, GroupName: aws.String("ops")})
		}
		return err
	})
	if tag {
		p.tagged = !p.tagged
	} else {
		p.member = !p.member
	}
	p.touched = s.now()
	s.note("%s: tagged %v, member %v", p.arn(), p.tagged, p.member)
	s.tell()
	s.retrack()
}

// freeze has the other account unlistable, for hours at times.
func (s *soak) freeze() {
	if s.calm.other.After(s.now()) {
		return
	}
	s.summary.fault("account frozen")
	long := s.between(time.Minute, 20*time.Minute)
	if s.odds(3) {
		long = s.between(time.Hour, 3*time.Hour)
	}
	s.calm.other = s.now().Add(long)
	s.note("account %s cannot be listed for %s", otherAccount, long)
}

// awsCalm is until when, or since when, what AWS tells about somebody is worth
// nothing.
func (s *soak) awsCalm(p *soakPrincipal) time.Time {
	if p.account == otherAccount {
		return later(s.calm.aws, s.calm.other)
	}
	return s.calm.aws
}

// informed reports whether a replica has listed what rules look at of somebody
// as it is.
func (s *soak) informed(r *replica, p *soakPrincipal) bool {
	if s.given.choice.aged && s.calm.clock.After(s.now()) && p.path == "/vault/" {
		return false // by whose clock?
	}
	lag := s.iam.lag.List
	return p.touched.Add(lag).Before(r.listed) && p.listed.Before(r.listed) && p.made.Before(r.listed) && (p.touched.IsZero() || s.now().After(s.awsCalm(p).Add(2*s.bound())))
}

// accountIn is the account of an ARN, or of the key of a track.
func accountIn(key string) string {
	if parts := strings.SplitN(key, ":", 6); len(parts) == 6 {
		return parts[4]
	}
	return ""
}
