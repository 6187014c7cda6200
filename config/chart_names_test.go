package config_test

import (
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/aws-auth-refresher/aws-auth-refresher/api/v1alpha1"
)

// TestChartKnowsTheFlags: those of the controller, and which of them the rest of
// the chart depends on; a wrong one would only show in a pod that does not start.
func TestChartKnowsTheFlags(t *testing.T) {
	_, section, found := strings.Cut(readFile(t, "../docs/flags.md"), "\n## controller\n")
	if !found {
		t.Fatal("docs/flags.md does not list the controller's flags")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var all []string
	for _, match := range regexp.MustCompile("(?m)^\\| `(?:-[a-z], )?--([a-z0-9-]+)").FindAllStringSubmatch(section, -1) {
		all = append(all, match[1])
	}
	h := newHelm(t)
	output, err := h.run(t, "template", "release", chart, "--set", "flags.wrong=1")
	if err == nil {
		t.Fatal("flags.wrong is not refused")
	}
	_, known, found := strings.Cut(output, "flags.wrong is not a flag of the controller; write one of ")
	if !found {
		t.Fatalf("no word of the flags that there are:\n%s", output)
	}
	known, _, _ = strings.Cut(known, "\n")
	settable := strings.Split(known, ", ")
	for _, flag := range settable {
		if !slices.Contains(all, flag) {
			t.Errorf("the controller has no flag --%s", flag)
		}
	}
	if len(settable) < 10 {
		t.Errorf("only %q can be set", settable)
	}
	for _, flag := range all {
		if slices.Contains(settable, flag) || flag == "help" {
			continue
		}
		output, err := h.run(t, "template", "release", chart, "--set", "flags."+flag+"=1")
		if want := "flags." + flag + " cannot be set: "; err == nil || !strings.Contains(output, want) {
			t.Errorf("%v, want %q; or is it one that can be set?\n%s", err, want, output)
		}
	}
}

// TestChartSaysWhichNameIsWrong, and what to write instead: in one sentence,
// which is not the validator's, because that one names a place at random for the
// name of a property (it keeps a slice that it goes on writing to).
func TestChartSaysWhichNameIsWrong(t *testing.T) {
	h := newHelm(t)
	for set, want := range map[string]string{
		"flags.namespace=other":                 "flags.namespace cannot be set: aws-auth is in kube-system; take it out",
		"flags.webhook-bind-address=:9443":      "flags.webhook-bind-address cannot be set: set webhook.enabled: true instead",
		"flags.--adopt=true":                    "flags.--adopt is not a flag of the controller; write adopt\n",
		"flags.logLevel=debug":                  "flags.logLevel is not a flag of the controller; write log-level\n",
		"flags.max_removals=5":                  "flags.max_removals is not a flag of the controller; write max-removals\n",
		"flags.refresh-intervall=1m":            "flags.refresh-intervall is not a flag of the controller; write one of account-external-id, ",
		`labels.app\.kubernetes\.io/instance=x`: "labels has the label app.kubernetes.io/instance, which the chart sets itself; take it out, or choose another name",
		"podLabels.app=x":                       "podLabels has the label app, which the chart sets itself; take it out, or choose another name",
	} {
		if output, err := h.run(t, "template", "release", chart, "--set", set); err == nil || !strings.Contains(output, want) {
			t.Errorf("%s: %v, want %q\n%s", set, err, want, output)
		}
	}
	if strings.Contains(readFile(t, chart+"/values.schema.json"), "propertyNames") {
		t.Error("helm does not name the right place for propertyNames of values.schema.json; refuse in check-names of _helpers.tpl")
	}
	if output, err := h.run(t, "template", "release", chart, "--set", "flags=null"); err != nil {
		t.Errorf("flags without any: %v\n%s", err, output)
	}
}

// schemaNode is what the tests read of values.schema.json.
type schemaNode struct {
	Type                 any                   `json:"type"`
	Enum                 []string              `json:"enum"`
	Items                *schemaNode           `json:"items"`
	Properties           map[string]schemaNode `json:"properties"`
	AdditionalProperties any                   `json:"additionalProperties"`
	Definitions          map[string]schemaNode `json:"definitions"`
}

func readSchema(t *testing.T) schemaNode {
	t.Helper()
	var schema schemaNode
	if err := yaml.Unmarshal([]byte(readFile(t, chart+"/values.schema.json")), &schema); err != nil {
		t.Fatal(err)
	}
	return schema
}

// TestChartKnowsTheFieldsOfRules, and their types.
func TestChartKnowsTheFieldsOfRules(t *testing.T) {
	rule := readSchema(t).Definitions["rule"]
	if rule.AdditionalProperties != false {
		t.Errorf("additionalProperties is %v: a misspelled field is let through", rule.AdditionalProperties)
	}
	types := map[reflect.Kind]string{reflect.String: "string", reflect.Slice: "array", reflect.Map: "object", reflect.Int: "integer"}
	want, got := map[string]any{}, map[string]any{}
	for field := range reflect.TypeFor[v1alpha1.Rule]().Fields() {
		tag, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		want[tag] = types[field.Type.Kind()]
	}
	for field, node := range rule.Properties {
		got[field] = node.Type
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("fields of a rule (-api/v1alpha1 +values.schema.json):\n%s", diff)
	}
}

// TestChartKnowsTheAlerts that can be left out.
func TestChartKnowsTheAlerts(t *testing.T) {
	var file struct {
		Groups []struct {
			Rules []struct {
				Alert string `json:"alert"`
			} `json:"rules"`
		} `json:"groups"`
	}
	if err := yaml.Unmarshal([]byte(readFile(t, chart+"/files/alerts.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{}
	for _, group := range file.Groups {
		for _, rule := range group.Rules {
			want[rule.Alert] = true
		}
	}
	got := readSchema(t).Properties["prometheusRule"].Properties["without"].Items.Enum
	if diff := cmp.Diff(slices.Sorted(maps.Keys(want)), slices.Sorted(slices.Values(got))); diff != "" {
		t.Errorf("names of alerts (-files/alerts.yaml +values.schema.json):\n%s", diff)
	}
}
