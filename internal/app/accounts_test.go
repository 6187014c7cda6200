package app_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/app"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// TestRolesOfOtherAccountsAreAssumed, with their external ids; one that does
// not let us in says so, and the others are listed.
func TestRolesOfOtherAccountsAreAssumed(t *testing.T) {
	const trusting, distrusting = "210987654321", "333333333333"
	emulator := fakeaws.New(fakeaws.Config{AccessKeyID: "AKIAADMIN", SecretAccessKey: "secret", AdminUser: "admin"})
	own := emulated(t, emulator)
	for account, externalID := range map[string]string{trusting: "my-id", distrusting: "another-id"} {
		key := "AKIA" + account
		emulator.AddAccount(fakeaws.Config{AccountID: account, AccessKeyID: key, SecretAccessKey: "secret", AdminUser: "root-of-" + account})
		there := own.Copy()
		there.Credentials = credentials.NewStaticCredentialsProvider(key, "secret", "")
		trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:root"},` +
			`"Action":"sts:AssumeRole","Condition":{"StringEquals":{"sts:ExternalId":"` + externalID + `"}}}]}`
		if _, err := iam.NewFromConfig(there).CreateRole(t.Context(), &iam.CreateRoleInput{
			Path: aws.String("/readers/"), RoleName: aws.String("reader"), AssumeRolePolicyDocument: &trust,
		}); err != nil {
			t.Fatal(err)
		}
	}
	lister, err := app.NewLister(own, app.Accounts{
		RoleARNs:    []string{"arn:aws:iam::" + trusting + ":role/readers/reader", "arn:aws:iam::" + distrusting + ":role/readers/reader"},
		ExternalIDs: []string{trusting + "=my-id", distrusting + "=my-id"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		got := lister.List(t.Context(), rules.Needs{Users: true})
		if !got.Users.Complete || got.AccountID != "123456789012" || len(got.Others) != 2 {
			t.Fatalf("got %+v", got)
		}
		good, bad := got.Others[0], got.Others[1]
		if !good.Users.Complete || len(good.Principals) != 1 || good.Principals[0].ARN != "arn:aws:iam::"+trusting+":user/root-of-"+trusting {
			t.Errorf("the account that trusts us: %+v", good)
		}
		if bad.Users.Complete || bad.AccountID != distrusting || bad.Users.Err == nil ||
			!strings.Contains(bad.Users.Err.Error(), "is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::"+distrusting+":role/readers/reader") {
			t.Errorf("the account that does not: %+v", bad)
		}
	}
	if exists, err := lister.Exists(t.Context(), rules.User, "arn:aws:iam::"+trusting+":user/nobody"); exists || err != nil {
		t.Errorf("nobody exists: %t, %v", exists, err)
	}
	// One for the account that trusts us, one for each try with the other.
	if n := emulator.Calls("AssumeRole"); n != 3 {
		t.Errorf("%d sessions were asked for, want 3", n)
	}
}
