package controllers

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/accessentry"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

func admit(t *testing.T, w *RulesWebhook, before, after *corev1.ConfigMap) admission.Response {
	t.Helper()
	raw := func(cm *corev1.ConfigMap) runtime.RawExtension {
		if cm == nil {
			return runtime.RawExtension{}
		}
		b, err := json.Marshal(cm)
		if err != nil {
			t.Fatal(err)
		}
		return runtime.RawExtension{Raw: b}
	}
	req := admission.Request{AdmissionRequest: admissionv1.AdmissionRequest{Namespace: after.Namespace, Name: after.Name, Object: raw(after), OldObject: raw(before)}}
	return w.Handle(t.Context(), req)
}

func rulesMap(data map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "world", Name: "aws-auth-refresher"}, Data: data}
}

func TestRulesWebhook(t *testing.T) {
	bad := map[string]string{"mapUsers": "- arnRegexp: ^x$\n  username: foo\n"}
	other := rulesMap(bad)
	other.Name = "coredns"
	elsewhere := rulesMap(bad)
	elsewhere.Namespace = "default"
	labeled := rulesMap(bad)
	labeled.Labels = map[string]string{"team": "platform"}
	binary := rulesMap(map[string]string{"mapUsers": fooRule})
	binary.BinaryData = map[string][]byte{"mapRoles": []byte(fooRule)}
	changed := binary.DeepCopy()
	changed.BinaryData["mapRoles"] = []byte("x")
	for _, tt := range []struct {
		reason        string
		before, after *corev1.ConfigMap
		refused       string // what the refusal holds; empty: allowed
	}{
		{"good rules", nil, rulesMap(map[string]string{"mapUsers": fooRule}), ""},
		{"no rules take everything of ours out, which is no mistake of form", rulesMap(map[string]string{"mapUsers": fooRule}), rulesMap(nil), ""},
		{"a misspelled field", nil, rulesMap(bad), `mapUsers rule 1 (line 1): unknown field "arnRegexp"; did you mean "arnRegex"?`},
		{"good rules become bad", rulesMap(map[string]string{"mapUsers": fooRule}), rulesMap(bad), `unknown field "arnRegexp"`},
		{"bad rules become other bad rules", rulesMap(bad), rulesMap(map[string]string{"mapUser": ""}), `mapUser`},
		{"bad rules that were there already can be labeled", rulesMap(bad), labeled, ""},
		{"another ConfigMap", nil, other, ""},
		{"another namespace", nil, elsewhere, ""},
		{"binaryData", nil, binary, errRulesBinary.Error()},
		{"binaryData becomes other binaryData", binary, changed, errRulesBinary.Error()},
		{"too large", nil, rulesMap(map[string]string{"mapUsers": strings.Repeat("#", maxRulesBytes)}), errRulesSize.Error()},
	} {
		w := NewRulesWebhook(Config{Namespace: "world", Names: NamesFor("aws-auth-refresher", "aws-auth")})
		got := admit(t, w, tt.before, tt.after)
		if got.Allowed != (tt.refused == "") || !got.Allowed && !strings.Contains(got.Result.Message, tt.refused) {
			t.Errorf("%s: allowed %v, %+v; want %q", tt.reason, got.Allowed, got.Result, tt.refused)
		}
		if got.Allowed {
			continue
		}
		if rs := choose(tt.after, rules.Record{}, &rulesCache{}, time.Now()); rs.problem == nil || rs.problem.Error() != got.Result.Message {
			t.Errorf("%s: the controller says %q, the webhook %q", tt.reason, rs.problem, got.Result.Message)
		}
	}
}

// TestRulesWebhookLetsThroughWhatItCannotRead: it must not keep anybody from
// anything because of its own trouble.
func TestRulesWebhookLetsThroughWhatItCannotRead(t *testing.T) {
	w := NewRulesWebhook(Config{Namespace: "world", Names: NamesFor("aws-auth-refresher", "aws-auth")})
	for _, object := range []string{"", "{", `{"data": 1}`} {
		req := admission.Request{AdmissionRequest: admissionv1.AdmissionRequest{Object: runtime.RawExtension{Raw: []byte(object)}}}
		if got := w.Handle(t.Context(), req); !got.Allowed {
			t.Errorf("%q is refused", object)
		}
	}
}

// TestRulesWebhookReadsAsTheTargetDoes: what no access entry can say is refused
// where access entries are the target, and with the target auto where the
// cluster was seen to have nothing else.
func TestRulesWebhookReadsAsTheTargetDoes(t *testing.T) {
	reserved := map[string]string{"mapUsers": strings.Replace(fooRule, "system:masters", "system:basic-user", 1)}
	for _, tt := range []struct {
		target  Target
		mode    accessentry.Mode
		refused bool
	}{
		{TargetConfigMap, accessentry.ModeAPI, false},
		{TargetAccessEntries, "", true},
		{TargetBoth, "", true},
		{TargetAuto, "", false},
		{TargetAuto, accessentry.ModeAPI, true},
		{TargetAuto, accessentry.ModeAPIConfigMap, false},
	} {
		world := newWorld(t)
		c := world.config
		c.Target, c.Entries = tt.target, accessentry.New(accessentry.Config{})
		if tt.mode != "" {
			record, err := accessentry.Record{Cluster: "x", Mode: tt.mode}.Encode()
			if err != nil {
				t.Fatal(err)
			}
			state := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: c.Names.State}, BinaryData: map[string][]byte{entriesKey: record}}
			if _, err := world.admin.Create(t.Context(), state, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		cm := rulesMap(reserved)
		cm.Namespace = c.Namespace
		if got := admit(t, NewRulesWebhook(c), nil, cm); got.Allowed == tt.refused {
			t.Errorf("--target %s, mode %q: allowed %v, %+v", tt.target, tt.mode, got.Allowed, got.Result)
		}
	}
}
