package rules_test

import (
	"testing"

	"github.com/aws-auth-refresher/aws-auth-refresher/api/v1alpha1"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

func TestRulesForAccessEntries(t *testing.T) {
	t.Parallel()
	const (
		refused  = ", which access entries refuse"
		sessions = "; access entries know {{SessionName}} and {{SessionNameRaw}} only"
	)
	for _, row := range []struct{ reason, username, group, want string }{
		{"the plain case", "dev:${roleName}", "devs", ""},
		{"masters have a policy", "dev", "system:masters", ""},
		{"a session behind a colon", "dev:{{SessionName}}", "devs", ""},
		{"a session behind a path, which may hold a colon", "${path}{{SessionNameRaw}}", "devs", ""},
		{"only the beginning is reserved", "x:aws:${roleName}", "devs", ""},
		{"a name between that looks reserved together", "sys${roleName}tem:", "devs", ""},

		{"another group of Kubernetes'", "dev", "system:nodes", "groups number 1 begins with system:" + refused + " but for system:masters"},
		{"a template in a group", "dev", "g-{{SessionName}}", "groups number 1 holds {{, and access entries know no templates in groups"},
		{"a name of Kubernetes'", "system:node:{{SessionName}}", "devs", "username begins with system:" + refused},
		{"a name of AWS's", "aws:${roleName}", "devs", "username begins with aws:" + refused},
		{"and of IAM's", "iam:x", "devs", "username begins with iam:" + refused},
		{"and of EKS's", "eks:x", "devs", "username begins with eks:" + refused},
		{"and of Amazon's", "amazon:x", "devs", "username begins with amazon:" + refused},
		{"a session alone", "{{SessionName}}", "devs", "username has no colon before {{SessionName}}, which access entries want; write for example role:{{SessionName}}"},
		{"a name has no colon", "${roleName}-{{SessionNameRaw}}", "devs", "username has no colon before {{SessionNameRaw}}, which access entries want; write for example role:{{SessionNameRaw}}"},
		{"a template of aws-auth only", "{{EC2PrivateDNSName}}", "devs", "username holds {{EC2PrivateDNSName}}" + sessions},
		{"a second template", "a:{{SessionName}}{{AccountID}}", "devs", "username holds {{AccountID}}" + sessions},
	} {
		rule := v1alpha1.Rule{PathPrefix: "/vault/", Username: row.username, Groups: []string{row.group}}
		if got := refusalOf(rules.Role, rule, rules.Options{AccessEntries: true}); got != row.want {
			t.Errorf("%s: got %q, want %q", row.reason, got, row.want)
		}
		if got := refusalOf(rules.Role, rule, rules.Options{}); got != "" {
			t.Errorf("%s: aws-auth can say it: got %q", row.reason, got)
		}
	}
}
