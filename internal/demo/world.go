package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/yaml"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// world is what the steps work with: the API server and AWS, as anybody else
// would use them, and what is known about them.
type world struct {
	*screen
	cluster  *cluster
	emulator *emulator
	core     corev1client.CoreV1Interface
	iam      *iam.Client
	eks      *eks.Client
	// refresher is the controller.
	refresher *refresher
	log       string        // path of the controller's log
	patience  time.Duration // how long something may take before it counts as failed

	rules *corev1.ConfigMap // those of the README
	// foreign is what others wrote into aws-auth, by key.
	foreign map[string]string
	// made are the ARNs of the IAM users made here, in order.
	made []string
	// vault is the user that Vault issues.
	vault string
	dir   string // absolute; for what the demo writes
	// jane is whom Vault issued, bar another user with a key; set where the
	// API server takes their tokens.
	jane, bar bearer
	hops      hops
	portal    portal // set where the API server takes tokens
}

func newWorld(s *screen, c *cluster, e *emulator) (*world, error) {
	core, err := corev1client.NewForConfig(c.admin)
	if err != nil {
		return nil, err
	}
	written, err := readConfigMap(rulesManifest)
	if err != nil {
		return nil, fmt.Errorf("reading the demo's rules: %w", err)
	}
	awsAuth, err := readConfigMap(awsAuthManifest)
	if err != nil {
		return nil, fmt.Errorf("reading the demo's aws-auth: %w", err)
	}
	return &world{
		screen: s, cluster: c, emulator: e, core: core, iam: iam.NewFromConfig(e.config()), eks: eks.NewFromConfig(e.config()),
		rules: written, foreign: awsAuth.Data,
	}, nil
}

func (w *world) configMaps() corev1client.ConfigMapInterface { return w.core.ConfigMaps(namespace) }

// await watches a ConfigMap through the API server until it is as wanted.
func (w *world) await(ctx context.Context, name string, wanted func(*corev1.ConfigMap) bool) (*corev1.ConfigMap, error) {
	limited, cancel := context.WithTimeout(ctx, w.patience)
	defer cancel()
	one := cache.NewListWatchFromClient(w.core.RESTClient(), "configmaps", namespace,
		fields.OneTermEqualSelector("metadata.name", name))
	var found *corev1.ConfigMap
	_, err := watchtools.UntilWithSync(limited, one, &corev1.ConfigMap{}, nil, func(e watch.Event) (bool, error) {
		cm, ok := e.Object.(*corev1.ConfigMap)
		if ok && e.Type != watch.Deleted && wanted(cm) {
			found = cm
		}
		return found != nil, nil
	})
	switch {
	case err == nil:
		return found, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case limited.Err() != nil:
		return nil, fmt.Errorf("kube-system/%s did not get there within %s", name, w.patience)
	default:
		return nil, fmt.Errorf("watching kube-system/%s: %w", name, err)
	}
}

// edit changes a ConfigMap as kubectl edit does.
func (w *world) edit(ctx context.Context, name string, change func(*corev1.ConfigMap) error) error {
	return retry.RetryOnConflict(retry.DefaultRetry, func() error {
		cm, err := w.configMaps().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if err := change(cm); err != nil {
			return err
		}
		_, err = w.configMaps().Update(ctx, cm, metav1.UpdateOptions{FieldManager: "kubectl-edit"})
		return err
	})
}

// applyRules makes data the rules and waits until the controller says that they
// are in force.
func (w *world) applyRules(ctx context.Context, data map[string]string) error {
	if err := w.writeRules(ctx, data); err != nil {
		return err
	}
	_, err := w.awaitCondition(ctx, "RulesAccepted", func(c *metav1.Condition) bool {
		return c.Status == metav1.ConditionTrue && strings.Contains(c.Message, rules.DataDigest(data))
	})
	return err
}

func (w *world) writeRules(ctx context.Context, data map[string]string) error {
	made := w.rules.DeepCopy()
	made.Data = data
	setMark(made, markMade)
	_, err := w.configMaps().Create(ctx, made, metav1.CreateOptions{FieldManager: "kubectl-create"})
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	return w.edit(ctx, rulesName, func(cm *corev1.ConfigMap) error {
		cm.Data = data
		return nil
	})
}

// awaitCondition waits for a condition of the status ConfigMap and returns its
// message.
func (w *world) awaitCondition(ctx context.Context, name string, wanted func(*metav1.Condition) bool) (string, error) {
	var message string
	_, err := w.await(ctx, statusName, func(cm *corev1.ConfigMap) bool {
		c := meta.FindStatusCondition(conditionsOf(cm), name)
		if c == nil || !wanted(c) {
			return false
		}
		message = c.Message
		return true
	})
	if err != nil {
		return "", fmt.Errorf("waiting for the condition %s: %w", name, err)
	}
	return message, nil
}

func conditionsOf(status *corev1.ConfigMap) []metav1.Condition {
	var conditions []metav1.Condition
	if err := yaml.Unmarshal([]byte(status.Data["conditions"]), &conditions); err != nil {
		return nil
	}
	return conditions
}

// awaitEntries waits until aws-auth has an entry for each ARN, or for none.
func (w *world) awaitEntries(ctx context.Context, there bool, arns ...string) (*corev1.ConfigMap, error) {
	cm, err := w.await(ctx, awsAuthName, func(cm *corev1.ConfigMap) bool {
		return !slices.ContainsFunc(arns, func(arn string) bool { return hasItem(cm.Data["mapUsers"], arn) != there })
	})
	if err != nil && ctx.Err() == nil {
		verb := "get into"
		if !there {
			verb = "leave"
		}
		err = fmt.Errorf("%s shall %s aws-auth: %w", strings.Join(arns, ", "), verb, err)
	}
	return cm, err
}

var errForeign = errors.New("aws-auth without our entries is not, byte for byte, what others wrote")

// checkForeign compares aws-auth, less the entries of the users made here, with
// what others wrote.
func (w *world) checkForeign(ctx context.Context) error {
	cm, err := w.configMaps().Get(ctx, awsAuthName, metav1.GetOptions{})
	if err != nil {
		return err
	}
	for key, want := range w.foreign {
		if rest := withoutItems(cm.Data[key], w.made); rest != want {
			w.note("%s is, less our entries:", key)
			w.quote(rest)
			w.note("others wrote:")
			w.quote(want)
			return fmt.Errorf("%w: %s", errForeign, key)
		}
	}
	if len(cm.Data) != len(w.foreign) {
		return fmt.Errorf("%w: it has other keys", errForeign)
	}
	return nil
}
