package config_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
)

// The whole of what the controller may do, as "group/resource name": verbs. A
// missing name is every object of the namespace.
func TestRights(t *testing.T) {
	read := []string{"get", "list", "watch"}
	update := []string{"get", "update"}
	want := map[string][]string{
		"/configmaps aws-auth-refresher":                read,
		"/configmaps aws-auth":                          {"get", "list", "watch", "patch"},
		"/configmaps aws-auth-refresher-state":          update,
		"/configmaps aws-auth-refresher-status":         update,
		"/configmaps aws-auth-refresher-history":        update,
		"/configmaps":                                   {"create"},
		"coordination.k8s.io/leases aws-auth-refresher": {"get", "update"},
		"coordination.k8s.io/leases":                    {"create"},
		"/events":                                       {"create", "patch"},
		"events.k8s.io/events":                          {"create", "patch"},
	}
	got := map[string][]string{}
	for _, role := range only[*rbacv1.Role](readObjects(t, common)) {
		for _, rule := range role.Rules {
			for _, object := range grantedObjects(rule) {
				got[object] = append(got[object], rule.Verbs...)
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rights (-want +got):\n%s", diff)
	}
}

func grantedObjects(rule rbacv1.PolicyRule) []string {
	names := rule.ResourceNames
	if len(names) == 0 {
		names = []string{""}
	}
	var objects []string
	for _, group := range rule.APIGroups {
		for _, resource := range rule.Resources {
			for _, n := range names {
				objects = append(objects, strings.TrimSuffix(group+"/"+resource+" "+n, " "))
			}
		}
	}
	return objects
}

// What must stay true of every rule, also of those that somebody adds later
// together with a row of TestRights.
func TestNoRuleIsWiderThanItsName(t *testing.T) {
	for _, role := range only[*rbacv1.Role](readObjects(t, common)) {
		for i, rule := range role.Rules {
			for _, reason := range tooWide(rule) {
				t.Errorf("Role %s, rule %d: %s", role.Name, i+1, reason)
			}
		}
	}
}

func tooWide(rule rbacv1.PolicyRule) []string {
	var reasons []string
	for _, words := range [][]string{rule.APIGroups, rule.Resources, rule.ResourceNames, rule.Verbs} {
		if slices.Contains(words, "*") {
			reasons = append(reasons, "a wildcard grants what nobody has thought of")
		}
	}
	for _, verb := range []string{"delete", "deletecollection", "escalate", "bind", "impersonate"} {
		if slices.Contains(rule.Verbs, verb) {
			reasons = append(reasons, "nothing the controller does needs "+verb)
		}
	}
	if slices.Contains(rule.Resources, "secrets") {
		reasons = append(reasons, "the controller reads no Secret")
	}
	createOnly := slices.Equal(rule.Verbs, []string{"create"})
	events := slices.Equal(rule.Resources, []string{"events"})
	if len(rule.ResourceNames) == 0 && !createOnly && !events {
		reasons = append(reasons, "only create and events may go without resourceNames")
	}
	if createOnly && len(rule.ResourceNames) != 0 {
		reasons = append(reasons, "create limited by name is never granted to a plain create")
	}
	return reasons
}

func TestEveryRoleIsBoundToTheControllerAlone(t *testing.T) {
	objects := readObjects(t, common)
	bound := map[string]int{}
	for _, binding := range only[*rbacv1.RoleBinding](objects) {
		bound[binding.RoleRef.Name]++
		if binding.RoleRef.Kind != "Role" || binding.RoleRef.APIGroup != rbacv1.GroupName {
			t.Errorf("RoleBinding %s refers to %+v, want a Role", binding.Name, binding.RoleRef)
		}
		want := []rbacv1.Subject{{Kind: "ServiceAccount", Name: name, Namespace: namespace}}
		if diff := cmp.Diff(want, binding.Subjects); diff != "" {
			t.Errorf("RoleBinding %s: subjects (-want +got):\n%s", binding.Name, diff)
		}
	}
	for _, role := range only[*rbacv1.Role](objects) {
		if bound[role.Name] != 1 {
			t.Errorf("Role %s is bound %d times, want once", role.Name, bound[role.Name])
		}
		if role.Annotations["aws-auth-refresher.io/why"] == "" {
			t.Errorf("Role %s does not say in the cluster why it exists", role.Name)
		}
	}
}

func TestServiceAccountTokenIsNotMountedUnasked(t *testing.T) {
	for _, account := range only[*corev1.ServiceAccount](readObjects(t, common)) {
		if mount := account.AutomountServiceAccountToken; mount == nil || *mount {
			t.Errorf("ServiceAccount %s: automountServiceAccountToken is not false: "+
				"a pod that names it by mistake would get its token", account.Name)
		}
	}
}
