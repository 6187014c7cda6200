package mappings

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/arn"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/authnconfig"
)

// CRDConfig says which cluster the backend CRD reads.
type CRDConfig struct {
	Client dynamic.Interface
	Log    logr.Logger
}

// CRD is the backend CRD: objects of the kind IAMIdentityMapping in
// iamauthenticator.k8s.aws/v1alpha1. Of objects with the same ARN the one whose
// name comes last counts.
type CRD struct {
	config  CRDConfig
	content atomic.Pointer[table]
}

// NewCRD returns the backend.
func NewCRD(c CRDConfig) *CRD { return &CRD{config: c} }

// Name is the backend's name in configurations.
func (*CRD) Name() string { return authnconfig.CRD }

// Content is what the objects say, nil before the first listing.
func (b *CRD) Content() Content {
	if t := b.content.Load(); t != nil {
		return t
	}
	return nil
}

// Run lists and watches the objects.
func (b *CRD) Run(ctx context.Context) error {
	resource := schema.GroupVersionResource{Group: "iamauthenticator.k8s.aws", Version: "v1alpha1", Resource: "iamidentitymappings"}
	informer := dynamicinformer.NewFilteredDynamicInformer(b.config.Client, resource, "", 0, cache.Indexers{}, nil).Informer()
	changed := make(chan struct{}, 1)
	change := func() {
		select {
		case changed <- struct{}{}:
		default: // it is known already that something changed
		}
	}
	registration, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { change() }, UpdateFunc: func(any, any) { change() }, DeleteFunc: func(any) { change() },
	})
	if err != nil {
		return err
	}
	go informer.RunWithContext(ctx)
	if !cache.WaitForCacheSync(ctx.Done(), registration.HasSynced) {
		return nil
	}
	for {
		b.set(informer.GetStore().List())
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
	}
}

// identityMapping is the spec of an object.
type identityMapping struct {
	ARN      string   `json:"arn"`
	Username string   `json:"username"`
	Groups   []string `json:"groups"`
}

func (b *CRD) set(objects []any) {
	var all []*unstructured.Unstructured
	for _, o := range objects {
		if object, ok := o.(*unstructured.Unstructured); ok {
			all = append(all, object)
		}
	}
	slices.SortFunc(all, func(x, y *unstructured.Unstructured) int { return cmp.Compare(x.GetName(), y.GetName()) })
	var m authnconfig.Mappings
	for _, object := range all {
		if err := addMapping(&m, object); err != nil {
			b.config.Log.Error(err, "an IAMIdentityMapping lets nobody in", "name", object.GetName())
		}
	}
	b.content.Store(newTable(m, false))
	b.config.Log.Info("mappings read", "backend", b.Name(), "roles", len(m.Roles), "users", len(m.Users))
}

func addMapping(m *authnconfig.Mappings, object *unstructured.Unstructured) error {
	spec, ok := object.Object["spec"].(map[string]any)
	if !ok {
		return errors.New("it has no spec")
	}
	var entry identityMapping
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(spec, &entry); err != nil {
		return err
	}
	a, err := arn.Parse(entry.ARN)
	switch {
	case err != nil:
		return err
	case entry.Username == "":
		return errors.New("it has no username")
	case a.Type == arn.TypeRole && a.Path != "/":
		return fmt.Errorf("tokens do not tell the path of a role; write %s", a.WithoutPath())
	case a.Type == arn.TypeAssumedRole:
		a.Type, a.Session = arn.TypeRole, ""
	}
	if a.Type == arn.TypeRole {
		m.Roles = append(m.Roles, authnconfig.Role{ARN: a.String(), Username: entry.Username, Groups: entry.Groups})
	} else {
		m.Users = append(m.Users, authnconfig.User{ARN: a.String(), Username: entry.Username, Groups: entry.Groups})
	}
	return nil
}
