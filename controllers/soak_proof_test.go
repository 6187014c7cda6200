package controllers

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// soakProof is what keeps a replica from asking who is deleted.
type soakProof struct {
	some, all bool // GetUser and GetRole are denied, for half of the names or for all
	rollCall  bool // and so is GetAccountAuthorizationDetails, where no rule needs it
	until     time.Time
}

// denyProof denies the questions for long.
func (s *soak) denyProof() {
	if s.proof.until.After(s.now()) {
		return
	}
	s.summary.fault("GetUser denied")
	long := s.between(5*time.Minute, 90*time.Minute)
	s.proof = soakProof{some: true, all: s.odds(2), rollCall: s.odds(2), until: s.now().Add(long)}
	s.note("IAM may not be asked for %s: %+v", long, s.proof)
}

// denied reports whether a name must not be asked for.
func (p soakProof) denied(name string, now time.Time) bool {
	return p.until.After(now) && (p.all || p.some && (name[len(name)-1]-'0')%2 == 1)
}

// refuse answers a question that is denied, or gives nil.
func (s *soak) refuse(req *http.Request) (*http.Response, error) {
	body, err := whole(req.Body)
	if err != nil {
		return nil, err
	}
	req.Body = io.NopCloser(bytes.NewReader(body))
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, err
	}
	denied := false
	switch form.Get("Action") {
	case "GetUser", "GetRole":
		denied = s.proof.denied(form.Get("UserName")+form.Get("RoleName"), s.now())
	case "GetAccountAuthorizationDetails":
		// A rule that looks at tags or groups would make listings fail.
		denied = s.proof.rollCall && s.proof.until.After(s.now()) && !s.given.choice.team && !s.given.choice.ops
	}
	if !denied {
		return nil, nil //nolint:nilnil // it is let pass
	}
	const answer = `<ErrorResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><Error><Type>Sender</Type>` +
		`<Code>AccessDenied</Code><Message>not authorized</Message></Error><RequestId>1</RequestId></ErrorResponse>`
	return &http.Response{
		StatusCode: http.StatusForbidden, Header: http.Header{"Content-Type": {"text/xml"}}, Body: io.NopCloser(strings.NewReader(answer)),
	}, nil
}

// hidden reports whether nobody can find out that somebody is gone: a roll call of
// nobody is not believed.
func (s *soak) hidden(p *soakPrincipal) bool {
	others := slices.ContainsFunc(s.living(), func(o *soakPrincipal) bool { return o.account == p.account && o.kind == p.kind })
	return s.proof.denied(p.name, s.now()) && (s.proof.rollCall || !others)
}

// checkUnproven: whoever cannot be proven to be gone stays, and that is said.
func (s *soak) checkUnproven(key string) {
	s.summary.Checks++
	if c := s.condition(ConditionDeletionsProven); c.Status != metav1.ConditionFalse || c.Message == "" {
		s.violation("%s is gone and stays, and the condition says %+v", key, c)
	}
}

// loseRecord deletes the state ConfigMap; people follow the way out that the
// condition tells, after a while.
func (s *soak) loseRecord() {
	if s.lost || s.entries || s.doc.missing || !s.paused.IsZero() || !s.given.there || !s.settled() {
		return
	}
	s.summary.fault("record lost")
	s.note("the record is lost")
	s.delete(s.config.Names.State)
	s.lost, s.lostAt, s.backups = true, s.now(), nil
	s.forgetRecords()
	s.calm.process = s.now().Add(24 * time.Hour)
	s.after(s.between(time.Minute, 20*time.Minute), s.findRecord)
}

func (s *soak) forgetRecords() {
	s.check.record, s.check.entries = nil, nil
	s.check.given = map[string]map[string]bool{}
}

// findRecord has the refresher adopt what the rules grant, and takes out by hand
// what nobody needs.
func (s *soak) findRecord() {
	r := s.leader()
	if r == nil || s.other(r).active || s.troubled() || s.doc.missing || !s.readableDoc() || !s.settled() || !s.paused.IsZero() || s.calm.aws.After(s.now()) {
		s.after(20*time.Second, s.findRecord)
		return
	}
	if s.now().Sub(s.lostAt) > 3*time.Hour {
		s.violation("the way out after a lost record does not work: %+v", s.condition(ConditionRecordKept))
		return
	}
	s.note("the refresher starts with --adopt")
	s.config.Adopt = true
	r.start()
	s.after(3*s.bound(), s.tidy)
}

func (s *soak) readableDoc() bool {
	for _, kind := range rules.Kinds() {
		if ok := s.reader.readable(s.doc.data[kind.DataKey()]); !ok {
			return false
		}
	}
	return true
}

// tidy takes out of aws-auth what the record does not name.
func (s *soak) tidy() {
	s.config.Adopt = false
	if r := s.leader(); r != nil {
		r.start()
	}
	if s.api.down || s.doc.missing || !s.readableDoc() || s.depth > 0 {
		s.after(20*time.Second, s.findRecord)
		return
	}
	s.forgetRecords()
	named := map[string]bool{}
	for _, o := range s.recorded().Entries {
		if o.Forget.IsZero() {
			named[ownedTrack(o)+" "+o.Digest] = true
		}
	}
	data, over := s.doc.data.clone(), false
	for _, kind := range rules.Kinds() {
		for key, g := range s.reader.ours(s.doc.data, kind) {
			if !named[key+" "+digestOf(g)] {
				over = true
				data[kind.DataKey()] = theirsOf(data[kind.DataKey()]) // all of ours come back by themselves
			}
		}
	}
	if over {
		s.note("what nobody answers for is taken out")
		s.writeDoc("kubectl-edit", data)
	} else if _, at, told := strings.Cut(s.condition(ConditionRecordKept).Message, LossSeenAnnotation+"="); told {
		s.note("the rest is somebody's: %s", at)
		if cm, err := s.admin.Get(s.Context(), s.config.Names.Rules, metav1.GetOptions{}); err == nil {
			metav1.SetMetaDataAnnotation(&cm.ObjectMeta, LossSeenAnnotation, at)
			if _, err := s.admin.Update(s.Context(), cm, metav1.UpdateOptions{}); err != nil {
				s.Fatal(err)
			}
			s.poke()
		}
	}
	s.after(4*s.bound(), s.found)
}

// found: the record is whole again, and so the condition says.
func (s *soak) found() {
	r := s.leader()
	if s.api.down || s.depth > 0 || s.doc.missing || r == nil || r.failures > 0 || s.condition(ConditionRecordKept).Status != metav1.ConditionTrue {
		s.after(20*time.Second, s.findRecord)
		return
	}
	s.note("the record is whole again")
	s.forgetRecords()
	s.lost = false
	s.doc.original = map[string]*string{}
	s.calm.process = s.now().Add(2 * s.bound())
}

// backUp keeps a copy of aws-auth.
func (s *soak) backUp() {
	if !s.lost && !s.doc.missing && s.readableDoc() {
		s.backups = append(s.backups, s.doc.data.clone())
	}
}

// restore writes a backup of aws-auth back.
func (s *soak) restore() {
	if s.api.down || s.lost || s.doc.missing || len(s.backups) == 0 || !s.readableDoc() {
		return
	}
	s.summary.fault("backup written back")
	s.restored = s.now()
	s.writeDoc("velero", s.backups[s.rand.IntN(len(s.backups))].clone())
}

// judgeGroups: no frozen rule gives anybody a group that they had not.
func (s *soak) judgeGroups(r *replica, key string, g grantedTo) {
	s.summary.Checks++
	t, name := s.iam.tracks[key], strings.TrimPrefix(key, "entry ")
	had := s.check.given[name]
	if had == nil {
		had = map[string]bool{}
		s.check.given[name] = had
	}
	if t != nil && s.given.at.Before(r.began) && !s.lost {
		for group := range strings.SplitSeq(g.groups, ",") {
			if group != "" && !had[group] && !s.mayGive(r, t.by, group) {
				s.violation("%s gives %s the group %s, which only a frozen rule has", r.name, key, group)
			}
		}
	}
	for group := range strings.SplitSeq(g.groups, ",") {
		had[group] = true
	}
}

// mayGive reports whether a rule may give somebody a group.
func (s *soak) mayGive(r *replica, p *soakPrincipal, group string) bool {
	for _, rule := range s.given.list {
		if rule.groups == group && rule.could(p.soakName) && !s.frozen(r, rule) {
			return true
		}
	}
	return false
}

// frozen reports whether a rule matches too many for sure.
func (s *soak) frozen(r *replica, rule soakRule) bool {
	if rule.maxMatches == 0 {
		return false
	}
	n, long := 0, r.listed.Add(-3*time.Minute)
	for _, p := range s.iam.all {
		if p.exists && rule.could(p.soakName) && p.made.Before(long) && p.listed.Before(long) {
			n++
		}
	}
	return n > rule.maxMatches
}
