package controllers

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// changes are what happens to users, rules and aws-auth in any weather.
func (s *soak) changes() []func() {
	return []func(){
		s.describe, s.describe, s.come, s.come, s.come, s.go1, s.go1, s.crowd, s.pause,
		s.rulesEdit, s.rulesEdit, s.slip, s.badRules, s.approve,
		s.write, s.write, s.write, s.write, s.write,
	}
}

func (s *soak) anyName() soakName {
	switch s.rand.IntN(9) {
	case 3:
		return soakName{otherAccount, rules.User, "/", fmt.Sprintf("guest-%02d", s.rand.IntN(s.many(14, 2)))}
	case 4, 5:
		return soakName{accountID, rules.User, "/team/", fmt.Sprintf("t-%02d", s.rand.IntN(s.many(14, 2)))}
	case 0:
		return soakName{accountID, rules.User, "/vault/", fmt.Sprintf("v-%02d", s.rand.IntN(s.many(8, 1)))}
	case 1:
		return soakName{accountID, rules.Role, "/ci/", fmt.Sprintf("deploy-%d", s.rand.IntN(5))}
	case 2:
		return soakName{accountID, rules.User, "/", fmt.Sprintf("other-%d", s.rand.IntN(5))}
	default:
		return fooUser(s.rand.IntN(s.many(30, 4)))
	}
}

func (s *soak) come() { s.create(s.anyName()) }

func (s *soak) go1() {
	if list := s.living(); len(list) > 0 {
		s.remove(list[s.rand.IntN(len(list))])
	}
}

// crowd has many come or go at once.
func (s *soak) crowd() {
	leave := s.odds(2)
	for i := range s.many(30, 4) {
		switch p := s.named(fooUser(i)); {
		case p == nil && !leave && !s.odds(3):
			s.create(fooUser(i))
		case p != nil && leave && !s.odds(3):
			s.remove(p)
		}
	}
}

// write has somebody else write aws-auth.
func (s *soak) write() {
	if s.api.down || s.doc.missing {
		return
	}
	if s.odds(12) {
		s.deleteDoc()
		return
	}
	kind := rules.Kinds()[s.rand.IntN(2)]
	if !s.odds(3) {
		kind = rules.User
	}
	key := kind.DataKey()
	data := s.doc.data.clone()
	text, there := data[key]
	if readable := s.reader.readable(text); !readable {
		return // whoever broke it mends it
	}
	if old, ok := s.doc.before[key]; ok && s.now().Sub(s.doc.last) < rememberAtLeast*3/4 && s.prompt() && s.odds(2) {
		data[key] = old // who read it before we wrote writes it back
		s.writeDoc("terraform", data)
		s.wakeUp(s.leader())
		return
	}
	ways := []struct {
		name string
		do   func(rules.Kind, string) string
	}{
		{"kubectl-edit", s.addByHand}, {"kubectl-edit", s.addByHand}, {"kubectl-edit", s.removeByHand}, {"kubectl-edit", s.removeByHand}, {"kubectl-edit", s.removeByHand},
		{"kubectl-edit", s.comment}, {"kubectl-edit", s.takeOursOut}, {"kubectl-edit", s.takeOver}, {"kubectl-edit", s.lineEnds},
		{"eksctl", s.remarshal}, {"cdk", s.remarshalJSON}, {"terraform", s.replaced}, {"kubectl-edit", s.breakIt},
	}
	way := ways[s.rand.IntN(len(ways))]
	data[key] = way.do(kind, text)
	if there && s.odds(25) {
		delete(data, key)
	}
	s.writeDoc(way.name, data)
}

// prompt reports whether a replica will see at once what is written.
func (s *soak) prompt() bool {
	r := s.leader()
	return r != nil && !s.troubled() && r.failures == 0 && r.dieAt == 0 && r.stallAt == 0 && s.now().After(later(s.calm.process, s.calm.pause))
}

// writeDoc is a write of somebody else's.
func (s *soak) writeDoc(manager string, data soakData) {
	cm, err := s.admin.Get(s.Context(), "aws-auth", metav1.GetOptions{})
	if err == nil {
		cm.Data = data
		cm, err = s.admin.Update(s.Context(), cm, metav1.UpdateOptions{FieldManager: manager})
	} else if apierrors.IsNotFound(err) {
		cm = &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "aws-auth", Labels: map[string]string{"theirs": "yes"}}, Data: data}
		cm, err = s.admin.Create(s.Context(), cm, metav1.CreateOptions{FieldManager: manager})
	}
	if err != nil {
		s.Fatal(err)
	}
	s.note("%s writes aws-auth", manager)
	if s.doc.missing {
		s.docBack()
	}
	for _, kind := range rules.Kinds() {
		key := kind.DataKey()
		if s.doc.data[key] != cm.Data[key] {
			delete(s.doc.original, key)
		}
		was := s.reader.readable(s.doc.data[key])
		if is := s.reader.readable(cm.Data[key]); is && !was {
			s.docCalm(kind, s.now())
		} else if !is {
			s.docCalm(kind, s.now().Add(24*time.Hour))
		}
	}
	s.doc = soakDoc{exists: true, data: soakData(cm.Data).clone(), foreign: s.reader.foreignARNs(cm.Data), original: s.doc.original}
	s.retrack()
	s.poke()
}

func (s *soak) docCalm(kind rules.Kind, t time.Time) {
	if s.calm.doc == nil {
		s.calm.doc = map[rules.Kind]time.Time{}
	}
	s.calm.doc[kind] = t
}

func (s *soak) docBack() {
	for _, kind := range rules.Kinds() {
		s.docCalm(kind, s.now())
	}
}

// deleteDoc is somebody who deletes aws-auth, and most often makes it again.
func (s *soak) deleteDoc() {
	s.summary.fault("aws-auth deleted")
	s.delete("aws-auth")
	old := s.doc.data.clone()
	s.note("aws-auth deleted")
	s.doc = soakDoc{missing: true, deleted: s.now(), data: soakData{}, original: map[string]*string{}}
	// Nobody else may be waited for longer than a minute.
	for _, kind := range rules.Kinds() {
		s.docCalm(kind, s.now().Add(2*time.Minute))
	}
	if s.odds(3) {
		for _, kind := range rules.Kinds() {
			if readable := s.reader.readable(old[kind.DataKey()]); !readable {
				delete(old, kind.DataKey())
			}
		}
		theirs := soakData{}
		for key, text := range old {
			theirs[key] = theirsOf(text)
		}
		old = theirs
	}
	again := s.between(0, 45*time.Second)
	s.after(again, func() { s.recreate(old) })
}

func (s *soak) recreate(data soakData) {
	if s.api.down {
		s.after(10*time.Second, func() { s.recreate(data) })
		return
	}
	if s.doc.missing {
		s.writeDoc("kubectl-create", data)
	}
}

func theirsOf(text string) string {
	if isFlow(text) {
		return flowHead.ReplaceAllString(flowOurs.ReplaceAllString(text, ""), "$1")
	}
	return join(slices.DeleteFunc(chunks(text), chunk.ours))
}

func (s *soak) theirItem(kind rules.Kind, arn string) string {
	return fmt.Sprintf("- %sarn: %s\n  username: theirs-%d\n  groups: [viewers]\n", kind, arn, s.rand.IntN(1000))
}

// addByHand adds an entry at the top or the end.
func (s *soak) addByHand(kind rules.Kind, text string) string {
	if isFlow(text) && strings.TrimSpace(text) != "[]" || strings.Contains(text, "\r") || strings.HasPrefix(text, " ") {
		return s.remarshal(kind, text)
	}
	if strings.TrimSpace(text) == "[]" || strings.TrimSpace(text) == "null" {
		text = ""
	}
	item := s.theirItem(kind, fmt.Sprintf("arn:aws:iam::%s:%s/their-%d", accountID, kind, s.rand.IntN(12)))
	if s.odds(2) || text == "" {
		return item + text
	}
	if !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	if s.odds(3) {
		return text + strings.TrimSuffix(item, "\n")
	}
	return text + item
}

func (s *soak) without(text string, which func(chunk) bool) string {
	if isFlow(text) {
		return text
	}
	list := chunks(text)
	var at []int
	for i, c := range list {
		if c.item && which(c) {
			at = append(at, i)
		}
	}
	if len(at) == 0 {
		return text
	}
	i := at[s.rand.IntN(len(at))]
	return join(slices.Delete(list, i, i+1))
}

func (s *soak) removeByHand(_ rules.Kind, text string) string {
	return s.without(text, func(c chunk) bool { return !c.ours() })
}

// takeOursOut is drift: somebody takes an entry of ours out.
func (s *soak) takeOursOut(_ rules.Kind, text string) string { return s.without(text, chunk.ours) }

func (s *soak) comment(_ rules.Kind, text string) string {
	if isFlow(text) {
		return text
	}
	return fmt.Sprintf("# note %d\n\n", s.rand.IntN(1000)) + text
}

// takeOver is an entry of somebody else's for somebody whom the rules let in.
func (s *soak) takeOver(kind rules.Kind, text string) string {
	list := s.living()
	list = slices.DeleteFunc(list, func(p *soakPrincipal) bool { return p.kind != kind })
	if len(list) == 0 || isFlow(text) || strings.Contains(text, "\r") || strings.TrimSpace(text) == "" {
		return text
	}
	p := list[s.rand.IntN(len(list))]
	if s.doc.foreign[strings.ToLower(p.entryARN())] {
		return text
	}
	return s.theirItem(kind, p.entryARN()) + text
}

func (s *soak) lineEnds(_ rules.Kind, text string) string {
	if strings.Contains(text, "\r\n") {
		return strings.ReplaceAll(text, "\r\n", "\n")
	}
	return strings.ReplaceAll(text, "\n", "\r\n")
}

func (s *soak) remarshal(_ rules.Kind, text string) string {
	return encodedAgain(text, false)
}

func (s *soak) remarshalJSON(_ rules.Kind, text string) string {
	return encodedAgain(text, true)
}

// replaced is the text without anything of ours, as Terraform knows it.
func (s *soak) replaced(_ rules.Kind, text string) string { return theirsOf(text) }

// breakIt makes the list unreadable, until it is mended.
func (s *soak) breakIt(kind rules.Kind, text string) string {
	s.summary.fault("aws-auth unreadable")
	s.after(s.between(time.Second, 2*time.Minute), func() { s.mend(kind, text) })
	return text + "\noops: [\n"
}

func (s *soak) mend(kind rules.Kind, text string) {
	if s.api.down {
		s.after(10*time.Second, func() { s.mend(kind, text) })
		return
	}
	if readable := s.reader.readable(s.doc.data[kind.DataKey()]); readable {
		return
	}
	data := s.doc.data.clone()
	data[kind.DataKey()] = theirsOf(text)
	s.writeDoc("kubectl-edit", data)
}
