package mappings

import (
	"context"
	"maps"
	"sync"
	"sync/atomic"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/tools/cache"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/authnconfig"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/awsauth"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/ekstoken"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// ConfigMapConfig says which cluster the backend EKSConfigMap reads.
type ConfigMapConfig struct {
	// Core is a REST client for the API group core/v1.
	Core cache.Getter
	Log  logr.Logger
	// Wipe empties a key that cannot be parsed any more, as EKS does.
	// Default: its last good content stays.
	Wipe bool
	// Failed is called whenever the watch fails. Default: nothing.
	Failed func()
}

// ConfigMap is the backend EKSConfigMap: the ConfigMap kube-system/aws-auth.
type ConfigMap struct {
	config  ConfigMapConfig
	content atomic.Pointer[document]

	mu      sync.Mutex // the watch and the end of the first listing may come at once
	reader  awsauth.Reader
	good    map[string]string // the data as it was last readable
	dropped map[string]string // the values whose unreadable items were reported
}

// NewConfigMap returns the backend.
func NewConfigMap(c ConfigMapConfig) *ConfigMap {
	if c.Failed == nil {
		c.Failed = func() {}
	}
	return &ConfigMap{config: c}
}

// Name is the backend's name in configurations.
func (*ConfigMap) Name() string { return authnconfig.EKSConfigMap }

// Content is the content of the ConfigMap, nil before the first listing.
func (b *ConfigMap) Content() Content {
	if d := b.content.Load(); d != nil {
		return d
	}
	return nil
}

// Run lists and watches the ConfigMap.
func (b *ConfigMap) Run(ctx context.Context) error {
	one := cache.NewListWatchFromClient(b.config.Core, "configmaps", "kube-system", fields.OneTermEqualSelector("metadata.name", "aws-auth"))
	informer := cache.NewSharedInformer(one, &corev1.ConfigMap{}, 0)
	err := informer.SetWatchErrorHandlerWithContext(func(_ context.Context, _ *cache.Reflector, err error) {
		b.config.Failed()
		b.config.Log.Error(err, "watching aws-auth; what was read before stays")
	})
	if err != nil {
		return err
	}
	handle := func(object any) {
		if cm, ok := object.(*corev1.ConfigMap); ok {
			b.Set(cm.Data)
		}
	}
	registration, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    handle,
		UpdateFunc: func(_, object any) { handle(object) },
		DeleteFunc: func(any) { b.Set(nil) },
	})
	if err != nil {
		return err
	}
	go func() {
		if cache.WaitForCacheSync(ctx.Done(), registration.HasSynced) {
			b.listed()
		}
	}()
	informer.RunWithContext(ctx)
	return nil
}

// Set takes the data of the ConfigMap, nil if there is none. It is safe for
// concurrent use; the last call counts.
func (b *ConfigMap) Set(data map[string]string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.set(data)
}

// listed says that the first listing is over: a ConfigMap that was not in it is
// not there. One that has come meanwhile stays.
func (b *ConfigMap) listed() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.content.Load() == nil {
		b.set(nil)
	}
}

func (b *ConfigMap) set(data map[string]string) {
	effective := maps.Clone(data)
	for key, value := range data {
		err := unparsable(key, value)
		if err == nil {
			continue
		}
		b.config.Log.Error(err, "a key of aws-auth cannot be read", "key", key, "lastGoodStays", !b.config.Wipe)
		if b.config.Wipe {
			continue
		}
		if last, ok := b.good[key]; ok {
			effective[key] = last
		}
	}
	b.good = effective
	doc := b.reader.Read(effective, 0)
	roles := readItems(effective[rules.Role.DataKey()])
	b.report(rules.Role, effective, roles)
	b.report(rules.User, effective, readItems(effective[rules.User.DataKey()]))
	d := &document{doc: doc, sso: roles.sets(), accounts: map[string]bool{}}
	for _, id := range doc.MapAccounts() {
		d.accounts[id] = true
	}
	b.content.Store(d)
	b.config.Log.Info("mappings read", "backend", b.Name(), "entries", len(doc.Entries()), "sso", len(d.sso), "accounts", len(d.accounts))
}

// unparsable tells why nothing can be read under a key; nil if something can.
func unparsable(key, value string) error {
	for _, kind := range rules.Kinds() {
		if key != kind.DataKey() {
			continue
		}
		return awsauth.Read(kind, value, true).Unparsable()
	}
	var reader awsauth.Reader
	return reader.Read(map[string]string{key: value}, 0).MapAccountsProblem()
}

// document is the content of aws-auth.
type document struct {
	doc      *awsauth.Document
	sso      []permissionSet
	accounts map[string]bool
}

// Find finds the entry of an identity: that of its own ARN, else that of its
// permission set.
func (d *document) Find(id ekstoken.Identity) (Entry, bool) {
	if e, ok := d.doc.Lookup(id.CanonicalARN); ok {
		return Entry{Username: e.Username, Groups: e.Groups}, true
	}
	return findSSO(d.sso, id.CanonicalARN)
}

// Account tells whether a whole account is let in.
func (d *document) Account(id string) bool { return d.accounts[id] }
