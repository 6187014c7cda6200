package rules_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

func TestExplain(t *testing.T) {
	set, err := rules.Parse(map[string]string{
		"mapUsers": `
- arnRegex: ^arn:aws:iam::123456789012:user/tmp-.*$
  username: tmp
- arnRegex: ^arn:aws:iam::123456789012:user/vault/.*$
  pathPrefix: /vault/
  username: vault
`,
		"mapRoles": `
- permissionSet: Admin
  username: admin
`,
	}, rules.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		arn  string
		kind rules.Kind
		want string
	}{
		{"arn:aws:iam::123456789012:user/tmp-1", rules.User, "1 matches; 2 not: its path is /, not under /vault/, its ARN does not match arnRegex"},
		{"arn:aws:iam::123456789012:user/vault/tmp-1", rules.User, "1 near: matches but for its path /vault/, which arnRegex does not allow; 2 matches"},
		{"arn:aws:iam::210987654321:user/tmp-1", rules.User, "1 near: matches but for its account, which is 210987654321 and not 123456789012; " +
			"2 not: its path is /, not under /vault/, its ARN does not match arnRegex"},
		{"arn:aws:iam::123456789012:user/TMP-1", rules.User, "1 near: matches but for upper and lower case; " +
			"2 not: its path is /, not under /vault/, its ARN does not match arnRegex"},
		{"arn:aws-cn:iam::123456789012:user/tmp-1", rules.User, "1 near: matches but for its partition, which is aws-cn and not aws; " +
			"2 not: its path is /, not under /vault/, its ARN does not match arnRegex"},
		{"arn:aws:iam::123456789012:user/someone", rules.User, "1 not: its ARN does not match arnRegex; " +
			"2 not: its path is /, not under /vault/, its ARN does not match arnRegex"},
		{"arn:aws:iam::123456789012:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_Admin_0123456789abcdef", rules.Role, "1 matches"},
		{"arn:aws:iam::123456789012:role/Admin", rules.Role, "1 near: it is not the role of the permission set Admin"},
	} {
		var got []string
		for _, v := range set.Explain(rules.Principal{Kind: row.kind, ARN: row.arn}, time.Time{}) {
			text := fmt.Sprintf("%d matches", v.Rule+1)
			switch {
			case v.Near:
				text = fmt.Sprintf("%d near: %s", v.Rule+1, strings.Join(v.But, ", "))
			case !v.Matches:
				text = fmt.Sprintf("%d not: %s", v.Rule+1, strings.Join(v.But, ", "))
			}
			got = append(got, text)
		}
		if strings.Join(got, "; ") != row.want {
			t.Errorf("%s:\n got %s\nwant %s", row.arn, strings.Join(got, "; "), row.want)
		}
	}
}
