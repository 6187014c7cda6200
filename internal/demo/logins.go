package demo

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	rbacclient "k8s.io/client-go/kubernetes/typed/rbac/v1"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakedashboard"
)

const (
	// adminGroup is the group of adminRole in aws-auth.yaml.
	adminGroup = "dashboard-admins"
	// namespaceRole is the ClusterRole of those who see the namespaces.
	namespaceRole = "demo-namespaces"
)

// letPeopleLook lets developers list the namespaces, and administrators do all.
func (w *world) letPeopleLook(ctx context.Context) error {
	client, err := rbacclient.NewForConfig(w.cluster.admin)
	if err != nil {
		return err
	}
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: namespaceRole}, Rules: []rbacv1.PolicyRule{{
		APIGroups: []string{""}, Resources: []string{"namespaces"}, Verbs: []string{"get", "list", "watch"},
	}}}
	if _, err := client.ClusterRoles().Create(ctx, role, metav1.CreateOptions{}); err != nil {
		return err
	}
	for group, name := range map[string]string{iamGroup: namespaceRole, adminGroup: "cluster-admin"} {
		binding := &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: "demo-" + group},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: group}},
		}
		if _, err := client.ClusterRoleBindings().Create(ctx, binding, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	return nil
}

// logIn goes to the dashboard as somebody without a session does, chooses an
// identity and logs in at the provider, if that asks.
func (w *world) logIn(ctx context.Context, v *visitor, identity, username string) error {
	if err := v.open(ctx, w.portal.url+"/"); err != nil {
		return err
	}
	if err := v.sees("Choose a role"); err != nil {
		return err
	}
	if err := v.press(ctx, identity, nil); err != nil {
		return err
	}
	if err := v.sees("Sign in"); err != nil {
		return err
	}
	return v.press(ctx, "Sign in", url.Values{"username": {username}})
}

// arrived is what the dashboard knows of the visitor; it must be the user and in
// the group.
func (w *world) arrived(ctx context.Context, v *visitor, username, group string) (fakedashboard.Facts, error) {
	f, err := v.facts(ctx, w.portal.url)
	switch {
	case err != nil:
		return f, err
	case f.Refused != "" || f.Forbidden != "":
		return f, fmt.Errorf("the cluster refused the dashboard: %s%s", f.Refused, f.Forbidden)
	case f.Username != username || !slices.Contains(f.Groups, group):
		return f, fmt.Errorf("the cluster sees %s %q, not %s of %s", f.Username, f.Groups, username, group)
	case len(f.Received.Cookies) > 0:
		return f, fmt.Errorf("cookies reached the dashboard: %q", f.Received.Cookies)
	}
	return f, nil
}

func logIntoDashboard(ctx context.Context, w *world) error {
	v, err := newVisitor()
	if err != nil {
		return err
	}
	begun := time.Now()
	if err := w.logIn(ctx, v, developerRole, userJane); err != nil {
		return err
	}
	f, err := w.awaitArrival(ctx, v, "developer:"+userJane+"@"+emailDomain, iamGroup)
	if err != nil {
		return err
	}
	w.note("%s: choose a role, log in at the provider, AssumeRoleWithWebIdentity, dashboard: %s", w.portal.url, brief(time.Since(begun)))
	w.note("the dashboard has no rights; with the token of %d bytes that came with the request\n"+
		"the cluster calls her %s, groups %s, and lists %d namespaces",
		f.Received.TokenBytes, f.Username, strings.Join(f.Groups, ", "), len(f.Namespaces))
	if err := w.switchRole(ctx, v); err != nil {
		return err
	}
	conn, greeting, err := v.echo(ctx, w.portal.url)
	if err != nil {
		return fmt.Errorf("opening a WebSocket: %w", err)
	}
	defer conn.CloseNow() //nolint:errcheck // it is over either way
	w.note("a WebSocket through the proxy: the dashboard says %q", greeting)
	ended := time.Now()
	if err := w.logOut(ctx, v); err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, w.patience)
	defer cancel()
	if _, _, err := conn.Read(limited); limited.Err() != nil || err == nil {
		return errors.New("the WebSocket outlived the session")
	}
	w.note("she logs out: the WebSocket closes after %s, and the next request gets 401", brief(time.Since(ended)))
	return w.refuseOthers(ctx)
}

// awaitArrival is arrived, as soon as the API server has noticed the bindings.
func (w *world) awaitArrival(ctx context.Context, v *visitor, username, group string) (f fakedashboard.Facts, err error) {
	_, err = w.retry(ctx, func(ctx context.Context) error {
		f, err = v.facts(ctx, w.portal.url)
		return err
	}, func(err error) bool { return err == nil && f.Forbidden != "" })
	if err != nil {
		return f, err
	}
	return w.arrived(ctx, v, username, group)
}

func (w *world) switchRole(ctx context.Context, v *visitor) error {
	if err := v.open(ctx, w.portal.url+loginPath); err != nil {
		return err
	}
	if err := v.sees("Signed in"); err != nil {
		return err
	}
	if err := v.press(ctx, adminRole, nil); err != nil {
		return err
	}
	f, err := w.arrived(ctx, v, "admin:"+userJane+"@"+emailDomain, adminGroup)
	if err != nil {
		return fmt.Errorf("switching to %s: %w", adminRole, err)
	}
	w.note("she switches to %s: %s, groups %s", adminRole, f.Username, strings.Join(f.Groups, ", "))
	return nil
}

func (w *world) logOut(ctx context.Context, v *visitor) error {
	if err := v.open(ctx, w.portal.url+loginPath); err != nil {
		return err
	}
	if err := v.press(ctx, "ut</button>", nil); err != nil {
		return err
	}
	if _, err := v.facts(ctx, w.portal.url); !errors.Is(err, errSignedOut) {
		return fmt.Errorf("after logging out the answer was to be 401, but it is: %w", orDone(err))
	}
	return nil
}

// refuseOthers tries what the trust policy of a role and --email-domain forbid.
func (w *world) refuseOthers(ctx context.Context) error {
	for _, other := range []struct{ username, role, why string }{
		{userOmar, adminRole, "IAM does not let him take " + adminRole},
		{userEve, developerRole, "hers is no address of " + emailDomain},
	} {
		v, err := newVisitor()
		if err != nil {
			return err
		}
		if err := w.logIn(ctx, v, other.role, other.username); err != nil {
			return err
		}
		if v.status != 403 {
			return fmt.Errorf("%s was to get 403, but it is %d, %s", other.username, v.status, v.title())
		}
		if _, err := v.facts(ctx, w.portal.url); !errors.Is(err, errSignedOut) {
			return fmt.Errorf("%s has got in: %w", other.username, orDone(err))
		}
		w.note("%s gets 403, %q: %s", other.username, v.title(), other.why)
	}
	return nil
}

// logInByVault takes an IAM user that Vault makes at login, and gives it back.
func logInByVault(ctx context.Context, w *world) error {
	v, err := newVisitor()
	if err != nil {
		return err
	}
	before, err := w.vaultUsers(ctx)
	if err != nil {
		return err
	}
	begun := time.Now()
	if err := w.logIn(ctx, v, ownIdentity, userJane); err != nil {
		return err
	}
	after, err := w.vaultUsers(ctx)
	if err != nil {
		return err
	}
	after = slices.DeleteFunc(after, func(u types.User) bool {
		return slices.ContainsFunc(before, func(b types.User) bool { return *b.Arn == *u.Arn })
	})
	if len(after) != 1 {
		return fmt.Errorf("one user was to be made by Vault, but there are %d", len(after))
	}
	user := after[0]
	w.made = append(w.made, *user.Arn)
	w.note("Vault has made %s;\nthe browser shows %q", *user.UserName, v.title())
	_, err = w.retry(ctx, func(ctx context.Context) error { return v.open(ctx, w.portal.url+"/") },
		func(err error) bool { return err == nil && v.title() == "Almost there" })
	if err != nil {
		return err
	}
	f, err := w.arrived(ctx, v, "vault:jwt-jane-dashboard", iamGroup)
	if err != nil {
		return err
	}
	w.note("%s after choosing it she is in, because the controller has let the user in: %s, groups %s",
		brief(time.Since(begun)), f.Username, strings.Join(f.Groups, ", "))
	if err := w.logOut(ctx, v); err != nil {
		return err
	}
	_, err = w.retry(ctx, func(ctx context.Context) error {
		_, err := w.iam.GetUser(ctx, &iam.GetUserInput{UserName: user.UserName})
		return err
	}, func(err error) bool { return err == nil })
	if _, gone := errors.AsType[*types.NoSuchEntityException](err); !gone {
		return fmt.Errorf("the user was to be deleted at logout: %w", orDone(err))
	}
	w.note("she logs out: the lease is revoked, and the IAM user is gone")
	return nil
}

// vaultUsers are the IAM users that Vault has made at a login.
func (w *world) vaultUsers(ctx context.Context) ([]types.User, error) {
	listed, err := w.iam.ListUsers(ctx, &iam.ListUsersInput{})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(listed.Users, func(u types.User) bool { return !strings.HasPrefix(*u.UserName, "vault-jwt-") }), nil
}
