package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	authenticationclient "k8s.io/client-go/kubernetes/typed/authentication/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	rbacclient "k8s.io/client-go/kubernetes/typed/rbac/v1"
	"k8s.io/client-go/rest"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/ekstoken"
)

// readRole is the ClusterRole of the developers.
const readRole = "demo-read"

// firstOfMany is the first user of makeMany.
const firstOfMany = "tmp-bar-01"

// bearer is an IAM user with an access key, and the last token made with it.
type bearer struct {
	name, arn string
	key       ekstoken.Credentials
	token     string
}

// hops are the moments on the way from CreateUser to the first request.
type hops struct{ begun, keyed, entered time.Time }

// letDevelopersRead lets the group developers look around in the namespace
// default.
func (w *world) letDevelopersRead(ctx context.Context) error {
	client, err := rbacclient.NewForConfig(w.cluster.admin)
	if err != nil {
		return err
	}
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: readRole}, Rules: []rbacv1.PolicyRule{{
		APIGroups: []string{""}, Resources: []string{"configmaps", "pods", "services"}, Verbs: []string{"get", "list", "watch"},
	}}}
	if _, err := client.ClusterRoles().Create(ctx, role, metav1.CreateOptions{}); err != nil {
		return err
	}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: readRole},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: readRole},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: iamGroup}},
	}
	_, err = client.RoleBindings(metav1.NamespaceDefault).Create(ctx, binding, metav1.CreateOptions{})
	return err
}

// mint makes a token as the user does, with nothing but the key.
func (b *bearer) mint() error {
	token, err := ekstoken.Mint(ekstoken.MintConfig{ClusterID: clusterID, Region: region, Credentials: b.key})
	b.token = token.Value
	return err
}

// withToken reaches the API server with a token and nothing else.
func (c *cluster) withToken(token string) *rest.Config {
	cfg := rest.AnonymousClientConfig(c.admin)
	cfg.BearerToken = token
	return cfg
}

// whoAmI is as whom the API server takes the token.
func (c *cluster) whoAmI(ctx context.Context, token string) (authenticationv1.UserInfo, error) {
	client, err := authenticationclient.NewForConfig(c.withToken(token))
	if err != nil {
		return authenticationv1.UserInfo{}, err
	}
	review, err := client.SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return authenticationv1.UserInfo{}, err
	}
	return review.Status.UserInfo, nil
}

// retry tries until try's error is none that passes. It returns how often it
// tried before that, and the last error.
func (w *world) retry(ctx context.Context, try func(context.Context) error, passes func(error) bool) (before int, err error) {
	waited := wait.PollUntilContextTimeout(ctx, 5*time.Millisecond, w.patience, true, func(ctx context.Context) (bool, error) {
		if err = try(ctx); passes(err) {
			before++
			return false, nil
		}
		return true, nil
	})
	return before, errors.Join(err, waited)
}

// accepted waits until the API server takes the bearer's token, and compares the
// user that it sees.
func (w *world) accepted(ctx context.Context, b bearer, username string) (refused int, err error) {
	var user authenticationv1.UserInfo
	refused, err = w.retry(ctx, func(ctx context.Context) error {
		user, err = w.cluster.whoAmI(ctx, b.token)
		return err
	}, apierrors.IsUnauthorized)
	if err != nil {
		return refused, fmt.Errorf("the token of %s: %w", b.name, err)
	}
	if want := []string{iamGroup, "system:authenticated"}; user.Username != username || !slices.Equal(user.Groups, want) {
		return refused, fmt.Errorf("the API server sees %s %q, not %s %q", user.Username, user.Groups, username, want)
	}
	return refused, nil
}

func openByToken(ctx context.Context, w *world) error {
	if err := w.jane.mint(); err != nil {
		return err
	}
	minted := time.Now()
	refused, err := w.accepted(ctx, w.jane, "vault:jane")
	if err != nil {
		return err
	}
	accepted := time.Now()
	w.note("a token made with its own access key, sent to the API server: SelfSubjectReview says\n"+
		"username vault:jane, groups %s, system:authenticated", iamGroup)
	if err := w.tryRights(ctx, w.jane); err != nil {
		return err
	}
	h := w.hops
	w.note("CreateUser -> first accepted request: %s", brief(accepted.Sub(h.begun)))
	w.note("  %6s  CreateUser to CreateAccessKey", brief(h.keyed.Sub(h.begun)))
	w.note("  %6s  until its entry stood in aws-auth", brief(h.entered.Sub(h.keyed)))
	w.note("  %6s  until it had a token", brief(minted.Sub(h.entered)))
	w.note("  %6s  until the API server accepted it, having refused it %d times", brief(accepted.Sub(minted)), refused)
	path, err := w.writeUserKubeconfig(w.jane)
	if err != nil {
		return err
	}
	w.note("a kubeconfig that makes such tokens by itself: %s", path)
	return nil
}

// tryRights does what RBAC allows to developers, and what it does not.
func (w *world) tryRights(ctx context.Context, b bearer) error {
	core, err := corev1client.NewForConfig(w.cluster.withToken(b.token))
	if err != nil {
		return err
	}
	configMaps := core.ConfigMaps(metav1.NamespaceDefault)
	_, err = w.retry(ctx, func(ctx context.Context) error { // the API server takes a moment to notice a binding
		_, err := configMaps.List(ctx, metav1.ListOptions{})
		return err
	}, apierrors.IsForbidden)
	if err != nil {
		return fmt.Errorf("listing ConfigMaps: %w", err)
	}
	w.note("list configmaps in default: allowed, by the ClusterRole %s", readRole)
	made := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "made-by-jane"}}
	_, err = configMaps.Create(ctx, made, metav1.CreateOptions{})
	if !apierrors.IsForbidden(err) {
		return fmt.Errorf("creating a ConfigMap was to be forbidden, but the answer is: %w", orDone(err))
	}
	w.note("create one: 403, the API server says")
	w.quote(err.Error())
	return nil
}

// orDone makes an error of what should have failed.
func orDone(err error) error {
	if err == nil {
		return errors.New("done")
	}
	return err
}

func openForBar(ctx context.Context, w *world) (err error) {
	if w.bar, err = w.createKey(ctx, firstOfMany); err != nil {
		return err
	}
	if err := w.bar.mint(); err != nil {
		return err
	}
	if _, err := w.accepted(ctx, w.bar, "bar"); err != nil {
		return err
	}
	w.note("iam: CreateAccessKey %s; its token is accepted: username bar, groups %s", w.bar.name, iamGroup)
	return nil
}

// refuseTokens tries the tokens that were accepted, and new ones.
func refuseTokens(ctx context.Context, w *world) error {
	if _, err := w.whoIs(ctx, w.jane); err == nil {
		return fmt.Errorf("STS still knows the key of %s", w.jane.name)
	}
	if err := w.refused(ctx, w.jane); err != nil {
		return err
	}
	w.note("%s: 401, for the token from before and for a new one; STS does not know the key any more", w.jane.name)
	if _, err := w.whoIs(ctx, w.bar); err != nil {
		return fmt.Errorf("the key of %s was to live on: %w", w.bar.name, err)
	}
	if err := w.refused(ctx, w.bar); err != nil {
		return err
	}
	w.note("%s: 401, too; its key lives and STS knows it, but no rule lets it in any more", w.bar.name)
	return nil
}

// refused is nil if neither the bearer's token nor a new one is accepted.
func (w *world) refused(ctx context.Context, b bearer) error {
	old := b.token
	if err := b.mint(); err != nil {
		return err
	}
	for _, token := range []string{old, b.token} {
		_, err := w.retry(ctx, func(ctx context.Context) error {
			_, err := w.cluster.whoAmI(ctx, token)
			return err
		}, func(err error) bool { return err == nil }) // the API server remembers an answer for a second
		if !apierrors.IsUnauthorized(err) {
			return fmt.Errorf("a token of %s was to be refused with 401, but the answer is: %w", b.name, orDone(err))
		}
	}
	return nil
}

// inviteUser issues a user for people to be.
func (w *world) inviteUser(ctx context.Context) error {
	if err := w.ensureGroup(ctx); err != nil {
		return err
	}
	b, err := w.issue(ctx, vaultName("guest"))
	if err != nil {
		return err
	}
	if _, err := w.awaitEntries(ctx, true, b.arn); err != nil {
		return err
	}
	_, err = w.writeUserKubeconfig(b)
	return err
}
