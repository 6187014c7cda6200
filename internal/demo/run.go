package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/controlplane"
)

// endTimeout bounds how long undoing one thing may take.
const endTimeout = 30 * time.Second

const logName = "controller.log"

// demo is one run of the command.
type demo struct {
	Options
	*screen
	logs io.Writer
	ends []func() error
}

// atEnd registers what undoes a step; the last is undone first.
func (d *demo) atEnd(undo func() error) { d.ends = append(d.ends, undo) }

func (d *demo) end() error {
	var errs []error
	for _, undo := range slices.Backward(d.ends) {
		errs = append(errs, undo())
	}
	d.ends = nil
	return errors.Join(errs...)
}

func (d *demo) run(parent context.Context) error {
	ctx, fail := context.WithCancelCause(parent)
	defer fail(nil)
	w, err := d.build(ctx, fail)
	if err != nil {
		return causeOf(ctx, err)
	}
	switch {
	case d.NoScenario:
		d.say("")
		err = acceptRules(ctx, w)
	default:
		err = w.play(ctx, scenario(!w.cluster.given))
	}
	if err != nil {
		return causeOf(ctx, err)
	}
	if d.Once {
		return nil
	}
	if err := d.invite(ctx, w); err != nil {
		return causeOf(ctx, err)
	}
	<-ctx.Done()
	if parent.Err() != nil {
		d.say("\nstopping")
		return nil
	}
	return context.Cause(ctx)
}

// causeOf prefers the reason why everything was stopped to what that led to.
func causeOf(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// build starts all parts. fail is to be called by a part that ends by itself.
func (d *demo) build(ctx context.Context, fail context.CancelCauseFunc) (*world, error) {
	d.say("%s", d.paint(bold, "A small EKS on this machine")+" (Ctrl-C ends it)\n")
	dir, err := filepath.Abs(d.Dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("--dir: %w", err)
	}
	release, err := claim(dir)
	if err != nil {
		return nil, err
	}
	d.atEnd(release)
	// Those of an earlier demo point at what is gone.
	for _, name := range []string{"env", userKubeconfigName} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("--dir: %w", err)
		}
	}
	log, err := d.openLog(dir)
	if err != nil {
		return nil, err
	}
	e, err := d.emulator(ctx)
	if err != nil {
		return nil, err
	}
	c, err := d.cluster(ctx, dir)
	if err != nil {
		return nil, err
	}
	if err := writePrivate(filepath.Join(dir, "env"), []byte(envText(e, c.kubeconfig))); err != nil {
		return nil, fmt.Errorf("writing env: %w", err)
	}
	if err := d.install(ctx, c); err != nil {
		return nil, err
	}
	w, err := newWorld(d.screen, c, e)
	if err != nil {
		return nil, err
	}
	w.patience = 30*time.Second + 4*d.RefreshInterval
	w.log = filepath.Join(dir, logName)
	w.dir = dir
	if err := d.controller(w, log, fail); err != nil {
		return nil, err
	}
	if c.given {
		d.part("authenticator", "none: this API server does not ask the demo's, so the steps with tokens are left out")
		return w, nil
	}
	if err := w.letDevelopersRead(ctx); err != nil {
		return nil, fmt.Errorf("binding the group %s: %w", iamGroup, err)
	}
	d.authenticator(w, log, fail)
	if err := w.letPeopleLook(ctx); err != nil {
		return nil, fmt.Errorf("letting people look at namespaces: %w", err)
	}
	return w, d.loginProxy(ctx, w, log, fail)
}

// openLog also makes the log the one that Kubernetes' libraries write to: what
// they have to say does not belong among the steps.
func (d *demo) openLog(dir string) (logr.Logger, error) {
	var also io.Writer
	if d.Verbose {
		also = d.logs
	}
	log, err := openLog(filepath.Join(dir, logName), also)
	if err != nil {
		return logr.Logger{}, fmt.Errorf("opening the controller's log: %w", err)
	}
	ctrl.SetLogger(log)
	klog.SetLogger(log)
	return log, nil
}

func (d *demo) emulator(ctx context.Context) (*emulator, error) {
	e, err := startEmulator(ctx, d.EmulatorAddress, d.AnyPort)
	if err != nil {
		return nil, err
	}
	d.atEnd(e.stop)
	if e.movedFrom != "" {
		d.say("  %s", d.paint(yellow, e.movedFrom+" is taken by another program; a free port is used instead"))
	}
	d.part("AWS", "emulated IAM, STS, EKS and SQS of account %s at %s", accountID, e.url)
	return e, nil
}

func (d *demo) cluster(ctx context.Context, dir string) (*cluster, error) {
	if d.Kubeconfig != "" {
		c, err := openCluster(d.Kubeconfig)
		if err != nil {
			return nil, err
		}
		d.part("Kubernetes", "the current context of %s, at %s", c.kubeconfig, strings.TrimSuffix(c.admin.Host, "/"))
		return c, nil
	}
	begun := time.Now()
	d.part("Kubernetes", "kube-apiserver %s and etcd: starting", controlplane.Version)
	a, err := prepareAuthenticator(ctx, dir)
	if err != nil {
		return nil, err
	}
	c, err := startCluster(ctx, dir, a)
	if err != nil {
		return nil, err
	}
	d.atEnd(c.stop)
	d.part("", "up after %s at %s", brief(time.Since(begun)), strings.TrimSuffix(c.admin.Host, "/"))
	return c, nil
}

func (d *demo) install(ctx context.Context, c *cluster) error {
	i, err := newInstallation(c.admin)
	if err != nil {
		return fmt.Errorf("asking %s: %w", c.admin.Host, err)
	}
	leftovers, err := i.claim(ctx)
	if err != nil {
		return err
	}
	if leftovers {
		d.say("  %s", d.paint(yellow, "what an earlier demo had left in the cluster was removed"))
	}
	if c.given {
		d.atEnd(func() error {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
			defer cancel()
			return i.remove(ctx)
		})
	}
	if err := i.put(ctx); err != nil {
		return err
	}
	return c.awaitRights(ctx)
}

// invite says what there is to try.
func (d *demo) invite(ctx context.Context, w *world) error {
	if err := w.applyRules(ctx, w.rules.Data); err != nil {
		return err
	}
	if !w.cluster.given {
		if err := w.inviteUser(ctx); err != nil {
			return err
		}
	}
	d.say("\n%s In another terminal:\n", d.paint(bold, "It is up, until Ctrl-C."))
	if !w.cluster.given {
		d.say("  # as an IAM user that Vault has issued; its exec entry is our own command token\n"+
			"  kubectl --kubeconfig %s auth whoami\n", filepath.Join(d.Dir, userKubeconfigName))
		d.say("  # the dashboard, in a browser: log in as %s, %s (who may take one role) or %s (who may not at all)\n"+
			"  %s\n", userJane, userOmar, userEve, w.portal.url)
	}
	d.say(`  source %s
  kubectl -n kube-system get configmap aws-auth -o yaml --watch

  aws iam create-user --user-name vault-jane-1-x      # gets in
  aws iam delete-user --user-name vault-jane-1-x      # leaves, after two looks 10 s apart
  kubectl -n kube-system edit configmap aws-auth-refresher
  kubectl -n kube-system get configmap aws-auth-refresher-status -o yaml
  AWS_ENDPOINT_URL_STS=$AWS_ENDPOINT_URL_IAM bin/aws-auth-refresher plan
  bin/aws-auth-refresher history                      # and then: rollback, resume

  # a Vault server
  vault secrets enable aws
  vault write aws/config/root access_key=$AWS_ACCESS_KEY_ID secret_key=$AWS_SECRET_ACCESS_KEY \
    region=%s iam_endpoint=%s sts_endpoint=%s
  vault write aws/roles/jane credential_type=iam_user policy_arns=arn:aws:iam::aws:policy/ReadOnlyAccess
  vault read aws/creds/jane`, filepath.Join(d.Dir, "env"), region, w.emulator.url, w.emulator.url)
	return nil
}
