package tokenreview_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/tokenreview"
)

func TestUser(t *testing.T) {
	extra := map[string]authenticationv1.ExtraValue{
		"arn": {alice.ARN}, "canonicalArn": {alice.CanonicalARN}, "sessionName": {"alice"}, "accessKeyId": {"ASIAEXAMPLE"},
		"principalId": {"AROAEXAMPLE"}, "sigs.k8s.io/aws-iam-authenticator/principalId": {"AROAEXAMPLE"},
	}
	for _, row := range []struct {
		reason   string
		scrubbed []string
		want     authenticationv1.UserInfo
	}{
		{"whole", []string{"000000000000"}, authenticationv1.UserInfo{
			Username: "alice", Groups: []string{"dev"}, UID: "aws-iam-authenticator:123456789012:AROAEXAMPLE", Extra: extra}},
		{"scrubbed", []string{"123456789012"}, authenticationv1.UserInfo{
			Username: "alice", Groups: []string{"dev"}, UID: "aws-iam-authenticator:administrative:alice"}},
	} {
		w := &world{}
		answer := post(w.handler(tokenreview.Config{ScrubbedAccounts: row.scrubbed}), reviewOf(v1, "x"))
		if diff := cmp.Diff(row.want, decode(t, answer).Status.User); diff != "" {
			t.Errorf("%s: -want +got\n%s", row.reason, diff)
		}
		if logged := strings.Contains(w.logged.String(), "AROAEXAMPLE"); logged != (row.want.Extra != nil) {
			t.Errorf("%s: the log names the identity: %t", row.reason, logged)
		}
	}
}

// TestScrubbedAccountsStayOutOfTheLog: also where what they are mapped to, or why
// they are not, names them.
func TestScrubbedAccountsStayOutOfTheLog(t *testing.T) {
	for _, row := range []struct {
		reason  string
		session string
		user    authenticationv1.UserInfo
		err     error
		logged  string
		uid     string
	}{
		{"a whole account", "alice", authenticationv1.UserInfo{Username: alice.CanonicalARN}, nil, `"username"="(scrubbed)"`, "aws-iam-authenticator:administrative:489a82075377418dd81a55e92ea675c3"},
		{"templates", "alice", authenticationv1.UserInfo{Username: "dev", Groups: []string{"dev", "key:ASIAEXAMPLE"}}, nil, `"groups"=["dev" "(scrubbed)"]`, "aws-iam-authenticator:administrative:dev"},
		{"a refusal that quotes", "alice", authenticationv1.UserInfo{}, errors.New("must not give " + alice.ARN), `"reason"="(scrubbed)"`, ""},
		{"a refusal that does not", "alice", authenticationv1.UserInfo{}, errors.New("the identity is not mapped"), `"reason"="the identity is not mapped"`, ""},
		{"the session's name", "alice@example.com", authenticationv1.UserInfo{Username: "sso:alice@example.com"}, nil, `"username"="(scrubbed)"`, "aws-iam-authenticator:administrative:sso:alice@example.com"},
		{"the session's name without its @", "alice@example.com", authenticationv1.UserInfo{Username: "dev", Groups: []string{"of:alice-example.com"}}, nil, `"groups"=["(scrubbed)"]`, "aws-iam-authenticator:administrative:dev"},
	} {
		w := &world{user: row.user, unmapped: row.err}
		h := w.handler(tokenreview.Config{ScrubbedAccounts: []string{alice.AccountID}})
		w.identity.SessionName = row.session
		answer := post(h, reviewOf(v1, "x"))
		got := decode(t, answer).Status.User
		if got.Username != row.user.Username || !strings.HasPrefix(got.UID, row.uid) || (row.uid == "") != (got.UID == "") {
			t.Errorf("%s: got the user %s with the id %s", row.reason, got.Username, got.UID)
		}
		log := w.logged.String()
		if !strings.Contains(log, row.logged) || strings.Contains(log, alice.AccountID) || strings.Contains(log, "alice") || strings.Contains(log, alice.AccessKeyID) {
			t.Errorf("%s: logged %s, want %s and nothing of the identity", row.reason, log, row.logged)
		}
	}
}
