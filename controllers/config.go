package controllers

import (
	"context"
	"time"

	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/principals"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/removal"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// Lister tells which IAM principals exist. List never fails as a whole: each
// kind's scope says whether it is complete. Exists asks about one principal in
// its own account; an error means that nothing is known. RollCall lists a kind of
// an account by another call of AWS than List makes for these needs.
type Lister interface {
	List(ctx context.Context, needs rules.Needs) principals.Listing
	Exists(ctx context.Context, kind rules.Kind, principalARN string) (bool, error)
	RollCall(ctx context.Context, kind rules.Kind, accountID string, needs rules.Needs) principals.Listing
}

// Config configures an AWSAuthReconciler.
type Config struct {
	// ConfigMaps is the client for the namespace of all ConfigMaps, normally
	// kube-system.
	ConfigMaps corev1client.ConfigMapInterface
	// Watch is the client for the core API group that a manager has the
	// ConfigMaps watched with; only SetupWithManager needs it.
	Watch rest.Interface
	// Namespace is that namespace.
	Namespace string
	// Names are the ConfigMaps' names; see NamesFor.
	Names  Names
	Lister Lister
	// Announcements tell of changes of IAM; nil: it is only listed on time.
	Announcements Announcements
	// Events receives what people should hear of; it goes to the rules ConfigMap.
	Events  events.EventRecorder
	Metrics *Metrics
	Clock   clock.PassiveClock
	// RefreshInterval is the time between listings; default 15s, jittered by
	// up to a tenth.
	RefreshInterval time.Duration
	// Removal sets the breaker.
	Removal removal.Settings
	// Adopt takes entries that are exactly what the rules produce for ours.
	Adopt bool
	// Rules says how rules are read.
	Rules rules.Options
	// History is how many versions of aws-auth are kept; 0: none.
	History int
	// Limit is the size that aws-auth must not exceed; default awsauth.MaxBytes.
	Limit int
	// Target says where grants are written; default TargetConfigMap.
	Target Target
	// Entries is the access entries of the cluster of this name; nil: they are
	// left alone, which TargetConfigMap only can do with.
	Entries EntryTarget
	Cluster string
}
