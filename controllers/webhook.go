package controllers

import (
	"context"
	"encoding/json"
	"maps"
	"reflect"

	corev1 "k8s.io/api/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/accessentry"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// RulesWebhook refuses a bad edit of the rules ConfigMap while it is made, for
// the reasons and with the words that the controller would refuse it with
// afterwards. It is for concurrent use, on every replica.
//
// It stands in nobody's way otherwise: it allows what is not the rules, what it
// cannot read, and an edit that leaves the data as it is.
type RulesWebhook struct {
	options   rules.Options
	namespace string
	names     Names
	target    Target
	state     store
}

// NewRulesWebhook returns the webhook of a controller with this configuration.
func NewRulesWebhook(c Config) *RulesWebhook {
	w := &RulesWebhook{
		options: c.Rules, namespace: c.Namespace, names: c.Names, target: c.Target,
		state: store{configMaps: c.ConfigMaps, names: c.Names},
	}
	if c.Entries == nil {
		w.target = TargetConfigMap
	}
	return w
}

// Handle answers one admission request.
func (w *RulesWebhook) Handle(ctx context.Context, req admission.Request) admission.Response {
	var cm, before corev1.ConfigMap
	if err := json.Unmarshal(req.Object.Raw, &cm); err != nil {
		return admission.Allowed("")
	}
	if req.Namespace != w.namespace || cm.Name != w.names.Rules {
		return admission.Allowed("")
	}
	if len(req.OldObject.Raw) > 0 && json.Unmarshal(req.OldObject.Raw, &before) == nil && sameData(&before, &cm) {
		return admission.Allowed("")
	}
	err := unreadable(&cm)
	if err == nil {
		options := w.options
		options.AccessEntries = w.selectsEntries(ctx)
		_, err = rules.Parse(cm.Data, options)
	}
	if err != nil {
		return admission.Denied(err.Error())
	}
	return admission.Allowed("")
}

// selectsEntries tells whether the rules must do for access entries. What the
// target auto stands for is in the state of the replica that refreshes; while
// it is unknown the rules are read as for aws-auth.
func (w *RulesWebhook) selectsEntries(ctx context.Context) bool {
	switch w.target {
	case TargetAccessEntries, TargetBoth:
		return true
	case TargetAuto:
		state, err := w.state.get(ctx, w.names.State)
		if err == nil {
			var record accessentry.Record
			record, err = readEntries(state)
			if err == nil {
				return record.Mode == accessentry.ModeAPI
			}
		}
		ctrl.LoggerFrom(ctx).Error(err, "the authentication mode is unknown; the rules are read as for aws-auth")
	}
	return false
}

func sameData(a, b *corev1.ConfigMap) bool {
	return maps.Equal(a.Data, b.Data) && (len(a.BinaryData) == 0 && len(b.BinaryData) == 0 || reflect.DeepEqual(a.BinaryData, b.BinaryData))
}
