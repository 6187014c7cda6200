package rules_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-auth-refresher/aws-auth-refresher/api/v1alpha1"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// refusalOf compiles one rule of a kind and gives the reasons to refuse it.
func refusalOf(k rules.Kind, r v1alpha1.Rule, o rules.Options) string {
	list := v1alpha1.Rules{MapUsers: []v1alpha1.Rule{r}}
	if k == rules.Role {
		list = v1alpha1.Rules{MapRoles: []v1alpha1.Rule{r}}
	}
	_, err := rules.Compile(list, o)
	if err == nil {
		return ""
	}
	return strings.ReplaceAll(err.Error(), k.DataKey()+" rule 1: ", "")
}

// TestTemplatesThatEKSDoesNotFillIn: every template of aws-auth, and what looks
// like one, for both kinds, as a user name and as a group.
func TestTemplatesThatEKSDoesNotFillIn(t *testing.T) {
	t.Parallel()
	const (
		nothing   = "EKS replaces %s by nothing, because an IAM user has no session; "
		refuses   = "EKS refuses the user for %s, because an IAM user has no session; "
		leaves    = "EKS leaves %s as it is, because it is none of its templates; "
		userName  = "write ${userName}"
		itself    = "write the name itself, as in developers"
		listUsers = "use {{AccountID}} or {{AccessKeyID}}"
		listRoles = "use {{AccountID}}, {{SessionName}}, {{SessionNameRaw}}, {{AccessKeyID}} or {{EC2PrivateDNSName}}"
	)
	for _, row := range []struct{ template, userName, userGroup, roleName, roleGroup string }{
		{"{{AccountID}}", "", "", "", ""},
		{"{{AccessKeyID}}", "", "", "", ""},
		{"{{SessionName}}", nothing + userName, nothing + itself, "", ""},
		{"{{SessionNameRaw}}", nothing + userName, nothing + itself, "", ""},
		{"{{EC2PrivateDNSName}}", refuses + userName, refuses + itself, "", ""},
		{"{{ SessionName }}", leaves + userName, leaves + listUsers, leaves + "write {{SessionName}}", leaves + "write {{SessionName}}"},
		{"{{sessionname}}", leaves + userName, leaves + listUsers, leaves + "write {{SessionName}}", leaves + "write {{SessionName}}"},
		{"{{ AccountID }}", leaves + "write {{AccountID}}", leaves + "write {{AccountID}}", leaves + "write {{AccountID}}", leaves + "write {{AccountID}}"},
		{"{{UserName}}", leaves + userName, leaves + listUsers, leaves + listRoles, leaves + listRoles},
		{"{{ UserName }}", leaves + userName, leaves + listUsers, leaves + listRoles, leaves + listRoles},
		{"{{userName}}", leaves + userName, leaves + listUsers, leaves + listRoles, leaves + listRoles},
		{"{{RoleName}}", leaves + listUsers, leaves + listUsers, leaves + "write ${roleName}", leaves + listRoles},
		{"{{Unheard}}", leaves + listUsers, leaves + listUsers, leaves + listRoles, leaves + listRoles},
		{"{{}}", leaves + listUsers, leaves + listUsers, leaves + listRoles, leaves + listRoles},
		{"{{SessionName}", "", "", "", ""}, // no template, for anybody
	} {
		for _, c := range []struct {
			kind  rules.Kind
			field string
			want  string
		}{
			{rules.User, "username", row.userName}, {rules.User, "groups", row.userGroup},
			{rules.Role, "username", row.roleName}, {rules.Role, "groups", row.roleGroup},
		} {
			rule := v1alpha1.Rule{PathPrefix: "/p/", Username: "x:" + row.template}
			want := "username: "
			if c.field == "groups" {
				rule.Username, rule.Groups = "x", []string{"a", "b-" + row.template + "-c"}
				want = "groups number 2: "
			}
			if want += strings.ReplaceAll(c.want, "%s", row.template); c.want == "" {
				want = ""
			}
			if diff := cmp.Diff(want, refusalOf(c.kind, rule, rules.Options{})); diff != "" {
				t.Errorf("%s of a %s with %s: -want +got\n%s", c.field, c.kind, row.template, diff)
			}
			if got := refusalOf(c.kind, rule, rules.Options{Accepted: true}); got != "" {
				t.Errorf("%s of a %s with %s: rules that are in force stay in force, got %s", c.field, c.kind, row.template, got)
			}
		}
	}
}

// TestTemplatesThatAPrincipalCompletes: what is no template in the rule must not
// become one by a reference that comes out empty.
func TestTemplatesThatAPrincipalCompletes(t *testing.T) {
	t.Parallel()
	const pattern = "^arn:aws:iam::123456789012:user/([a-z]*)-?[0-9]+$"
	for arn, want := range map[string]string{
		"arn:aws:iam::123456789012:user/a-1": "",
		"arn:aws:iam::123456789012:user/1":   "EKS replaces {{SessionName}} by nothing, because an IAM user has no session",
	} {
		set := mustParse(t, map[string]string{"mapUsers": "- arnRegex: " + pattern + "\n  username: 'x{${1}{SessionName}}'\n"})
		got := set.Evaluate([]rules.Principal{user(arn)}, nil)
		reason := ""
		for _, l := range got.LeftOut {
			reason = l.Reason
		}
		if reason != want || len(got.Grants)+len(got.LeftOut) != 1 {
			t.Errorf("%s: left out %q of %+v, want %q", arn, reason, got, want)
		}
	}
}

// TestNamesOfKubernetes: a user name that begins with system: is only for nodes.
func TestNamesOfKubernetes(t *testing.T) {
	t.Parallel()
	const (
		masters = "username system:masters is the name of a group and lets a user do nothing; write it under groups, or better a group of your own such as developers"
		own     = "username begins with system:, which is Kubernetes' own; write another name"
		orNodes = own + ", or for the roles of nodes system:node:{{EC2PrivateDNSName}}"
	)
	for _, row := range []struct{ username, forUser, forRole string }{
		{"system:masters", masters, masters},
		{"system:node:{{EC2PrivateDNSName}}", own, ""},
		{"system:node:{{SessionName}}", own, ""},
		{"system:node:{{SessionNameRaw}}", own, ""},
		{"system:node:one", own, orNodes},
		{"system:node:{{AccountID}}", own, orNodes},
		{"system:node:", own, orNodes},
		{"system:serviceaccount:kube-system:x", own, orNodes},
		{"system:admin", own, orNodes},
		{"system:${accountID}", own, orNodes},
		{"system:", own, orNodes},
		{"systematic", "", ""},
		{"x:system:masters", "", ""},
		{"System:masters", "", ""},
	} {
		for kind, want := range map[rules.Kind]string{rules.User: row.forUser, rules.Role: row.forRole} {
			rule := v1alpha1.Rule{PathPrefix: "/p/", Username: row.username, Groups: []string{"system:masters", "system:nodes"}}
			if diff := cmp.Diff(want, refusalOf(kind, rule, rules.Options{})); diff != "" {
				t.Errorf("%s for a %s: -want +got\n%s", row.username, kind, diff)
			}
			if got := refusalOf(kind, rule, rules.Options{Accepted: true}); got != "" {
				t.Errorf("%s for a %s: rules that are in force stay in force, got %s", row.username, kind, got)
			}
		}
	}
}
