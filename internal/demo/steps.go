package demo

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	handMadeUser = "tmp-foo-one"
	manyUsers    = 12
)

// handEdit is what somebody writes into aws-auth, with an editor.
const handEdit = `
# break glass; ask the platform team before you touch this
- userarn: arn:aws:iam::123456789012:user/break-glass
  username: break-glass
  groups:   [system:masters]   # yes, all of it
`

func acceptRules(ctx context.Context, w *world) error {
	if err := w.applyRules(ctx, w.rules.Data); err != nil {
		return err
	}
	w.note("ConfigMap kube-system/%s, mapUsers:", rulesName)
	w.quote(w.rules.Data["mapUsers"])
	return nil
}

func vaultIssues(ctx context.Context, w *world) error {
	if err := w.ensureGroup(ctx); err != nil {
		return err
	}
	begun := time.Now()
	w.vault = vaultName("jane")
	w.note("iam: CreateUser %s,\nAttachUserPolicy, AddUserToGroup, CreateAccessKey; signed, over HTTP", w.vault)
	jane, err := w.issue(ctx, w.vault)
	if err != nil {
		return err
	}
	keyed := time.Now()
	cm, err := w.awaitEntries(ctx, true, jane.arn)
	if err != nil {
		return err
	}
	w.jane, w.hops = jane, hops{begun: begun, keyed: keyed, entered: time.Now()}
	_, item, _ := itemOf(cm.Data["mapUsers"], jane.arn)
	w.note("%s after CreateUser kube-system/aws-auth has it:", brief(time.Since(begun)))
	w.quote(item)
	return nil
}

// editByHand has somebody add an entry, and then a user of ours come in beside it.
func editByHand(ctx context.Context, w *world) error {
	err := w.edit(ctx, awsAuthName, func(cm *corev1.ConfigMap) error {
		cm.Data["mapUsers"] += handEdit
		return nil
	})
	if err != nil {
		return err
	}
	w.foreign["mapUsers"] += handEdit
	w.note("kubectl edit adds this to mapUsers:")
	w.quote(strings.TrimPrefix(handEdit, "\n"))
	begun := time.Now()
	arn, err := w.createUser(ctx, handMadeUser)
	if err != nil {
		return err
	}
	cm, err := w.awaitEntries(ctx, true, arn)
	if err != nil {
		return err
	}
	if !strings.Contains(cm.Data["mapUsers"], handEdit) {
		return fmt.Errorf("%w: the edit is gone", errForeign)
	}
	w.note("%s after CreateUser %s is in, too, and not a byte of the edit has changed", brief(time.Since(begun)), handMadeUser)
	return nil
}

func takeOut(ctx context.Context, w *world) error {
	arn := w.made[0]
	begun := time.Now()
	err := w.edit(ctx, awsAuthName, func(cm *corev1.ConfigMap) error {
		before, _, after := itemOf(cm.Data["mapUsers"], arn)
		cm.Data["mapUsers"] = before + after
		return nil
	})
	if err != nil {
		return err
	}
	w.note("kubectl edit deletes the entry of %s", w.vault)
	if _, err := w.awaitEntries(ctx, true, arn); err != nil {
		return err
	}
	w.note("%s later it is there again", brief(time.Since(begun)))
	return nil
}

func misspell(ctx context.Context, w *world) error {
	bad := strings.Replace(w.rules.Data["mapUsers"], "arnRegex:", "arnRegexp:", 1)
	if err := w.writeRules(ctx, map[string]string{"mapUsers": bad}); err != nil {
		return err
	}
	w.note("the first rule now begins with arnRegexp: instead of arnRegex:")
	message, err := w.awaitCondition(ctx, "RulesAccepted", func(c *metav1.Condition) bool {
		return c.Status == metav1.ConditionFalse
	})
	if err != nil {
		return err
	}
	w.note("ConfigMap kube-system/%s, condition RulesAccepted:", statusName)
	w.quote(message)
	if err := w.stillIn(ctx, w.made...); err != nil {
		return err
	}
	w.note("all entries are still in aws-auth; the mistake is taken back")
	return w.applyRules(ctx, w.rules.Data)
}

// stillIn is nil if aws-auth has the entries at this moment.
func (w *world) stillIn(ctx context.Context, arns ...string) error {
	cm, err := w.configMaps().Get(ctx, awsAuthName, metav1.GetOptions{})
	if err != nil {
		return err
	}
	for _, arn := range arns {
		if !hasItem(cm.Data["mapUsers"], arn) {
			return fmt.Errorf("%s has lost its entry", arn)
		}
	}
	return nil
}

func makeMany(ctx context.Context, w *world) error {
	begun := time.Now()
	for i := range manyUsers {
		if _, err := w.createUser(ctx, fmt.Sprintf("tmp-bar-%02d", i+1)); err != nil {
			return err
		}
	}
	if _, err := w.awaitEntries(ctx, true, w.many()...); err != nil {
		return err
	}
	w.note("tmp-bar-01 to tmp-bar-%02d are in, %s after the first CreateUser", manyUsers, brief(time.Since(begun)))
	return nil
}

func (w *world) many() []string { return w.made[len(w.made)-manyUsers:] }

// withoutLastRule is the rules' data less the last rule of mapUsers.
func withoutLastRule(data map[string]string) map[string]string {
	shorter := maps.Clone(data)
	mapUsers := shorter["mapUsers"]
	shorter["mapUsers"] = mapUsers[:strings.LastIndex(mapUsers, "- arnRegex:")]
	return shorter
}

func dropRule(ctx context.Context, w *world) error {
	if err := w.applyRules(ctx, withoutLastRule(w.rules.Data)); err != nil {
		return err
	}
	w.note("the rule for tmp-bar-… is deleted: that would take %d of %d entries out", manyUsers, len(w.made))
	message, err := w.awaitCondition(ctx, "RemovalHeld", isTrue)
	if err != nil {
		return err
	}
	w.note("condition RemovalHeld:")
	w.quote(message)
	return w.stillIn(ctx, w.many()...)
}

func isTrue(c *metav1.Condition) bool { return c.Status == metav1.ConditionTrue }

// approval finds the annotation in the message about held removals.
var approval = regexp.MustCompile(`(\S+/approve-removal)=([0-9a-f]+(?:\.[0-9]+)?)`)

func approve(ctx context.Context, w *world) error {
	message, err := w.awaitCondition(ctx, "RemovalHeld", isTrue)
	if err != nil {
		return err
	}
	found := approval.FindStringSubmatch(message)
	if found == nil {
		return fmt.Errorf("the message does not say how to approve: %s", message)
	}
	begun := time.Now()
	err = w.edit(ctx, rulesName, func(cm *corev1.ConfigMap) error {
		metav1.SetMetaDataAnnotation(&cm.ObjectMeta, found[1], found[2])
		return nil
	})
	if err != nil {
		return err
	}
	w.note("the rules ConfigMap is annotated as the message says")
	if _, err := w.awaitEntries(ctx, false, w.many()...); err != nil {
		return err
	}
	w.note("%s later all %d are out; the others stay", brief(time.Since(begun)), manyUsers)
	return w.stillIn(ctx, w.made[:len(w.made)-manyUsers]...)
}

func vaultRevokes(ctx context.Context, w *world) error {
	begun := time.Now()
	if err := w.revoke(ctx, w.vault); err != nil {
		return err
	}
	for _, name := range []string{handMadeUser, announcedUser} {
		if _, err := w.iam.DeleteUser(ctx, &iam.DeleteUserInput{UserName: &name}); err != nil {
			return err
		}
	}
	w.note("iam: DeleteUser %s, %s and %s", w.vault, handMadeUser, announcedUser)
	w.note("waiting: a user is taken for gone when two listings of IAM, begun 10 s apart or more,\n" +
		"lack it and GetUser says so, too; an empty or wrong listing locks nobody out")
	if _, err := w.awaitEntries(ctx, false, w.made...); err != nil {
		return err
	}
	w.note("%s after DeleteUser all three are out", brief(time.Since(begun)))
	return nil
}

// compareForeign compares the whole of aws-auth, now that nothing of ours is in it.
func compareForeign(ctx context.Context, w *world) error {
	if err := w.checkForeign(ctx); err != nil {
		return err
	}
	cm, err := w.configMaps().Get(ctx, awsAuthName, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if !maps.Equal(cm.Data, w.foreign) {
		return errForeign
	}
	size := 0
	for _, value := range w.foreign {
		size += len(value)
	}
	w.note("all %d bytes of EKS, of an administrator and of the edit are identical:\ncomments, spaces and order included", size)
	return nil
}
