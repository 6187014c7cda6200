package fakeaws_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"
)

func stsTags(pairs ...string) []types.Tag {
	var tags []types.Tag
	for i := 0; i < len(pairs); i += 2 {
		tags = append(tags, types.Tag{Key: &pairs[i], Value: &pairs[i+1]})
	}
	return tags
}

// letsIn is a trust policy for the account with these actions and condition.
func letsIn(actions, condition string) string {
	return `{"Statement":{"Effect":"Allow","Principal":{"AWS":"123456789012"},"Action":[` + actions + `],"Condition":` + condition + `}}`
}

const everyAction = `"sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"`

func TestSessionTags(t *testing.T) {
	for _, row := range []struct {
		reason, trust string
		in            sts.AssumeRoleInput
		code          string
	}{
		{"tags and a source identity", letsIn(everyAction, `{}`), sts.AssumeRoleInput{SourceIdentity: aws.String("jane@example.com"), Tags: stsTags("email", "jane@example.com"), TransitiveTagKeys: []string{"Email"}}, ""},
		{"tags that the role does not let in", letsIn(`"sts:AssumeRole","sts:SetSourceIdentity"`, `{}`), sts.AssumeRoleInput{Tags: stsTags("a", "b")}, "AccessDenied"},
		{"a source identity that the role does not let in", letsIn(`"sts:AssumeRole","sts:TagSession"`, `{}`), sts.AssumeRoleInput{SourceIdentity: aws.String("jane")}, "AccessDenied"},
		{"patterns of actions", letsIn(`"STS:Assume*","sts:T?gSession"`, `{}`), sts.AssumeRoleInput{Tags: stsTags("a", "b")}, ""},
		{"the tag that the role wants", letsIn(everyAction, `{"StringEquals":{"aws:RequestTag/team":"red"}}`), sts.AssumeRoleInput{Tags: stsTags("Team", "red")}, ""},
		{"another value of it", letsIn(everyAction, `{"StringEquals":{"aws:RequestTag/team":"red"}}`), sts.AssumeRoleInput{Tags: stsTags("team", "blue")}, "AccessDenied"},
		{"only these keys", letsIn(everyAction, `{"ForAllValues:StringEquals":{"aws:TagKeys":["a","b"]}}`), sts.AssumeRoleInput{Tags: stsTags("a", "1", "c", "2")}, "AccessDenied"},
		{"a source identity in a form", letsIn(everyAction, `{"StringLike":{"sts:SourceIdentity":"*@example.com"}}`), sts.AssumeRoleInput{SourceIdentity: aws.String("jane@evil.com")}, "AccessDenied"},
		{"a source identity is a name", letsIn(everyAction, `{}`), sts.AssumeRoleInput{SourceIdentity: aws.String("jane doe")}, "ValidationError"},
		{"of two characters at least", letsIn(everyAction, `{}`), sts.AssumeRoleInput{SourceIdentity: aws.String("j")}, "ValidationError"},
		{"a transitive key without its tag", letsIn(everyAction, `{}`), sts.AssumeRoleInput{Tags: stsTags("a", "1"), TransitiveTagKeys: []string{"b"}}, "InvalidParameterValue"},
		{"a key twice", letsIn(everyAction, `{}`), sts.AssumeRoleInput{Tags: stsTags("a", "1", "A", "2")}, "InvalidInput"},
		{"a value that is too long", letsIn(everyAction, `{}`), sts.AssumeRoleInput{Tags: stsTags("a", strings.Repeat("x", 257))}, "ValidationError"},
		{"a session policy that is no policy", letsIn(everyAction, `{}`), sts.AssumeRoleInput{Policy: aws.String("{}")}, "MalformedPolicyDocument"},
		{"a session policy that is too long", letsIn(everyAction, `{}`), sts.AssumeRoleInput{Policy: aws.String(denyAll + strings.Repeat(" ", 2048))}, "ValidationError"},
	} {
		b := newBed(t)
		row.in.RoleArn, row.in.RoleSessionName = b.role(t, "target", row.trust), aws.String("me")
		out, err := b.sts.AssumeRole(t.Context(), &row.in)
		if code(err) != row.code {
			t.Errorf("%s: got %v, want %q", row.reason, err, row.code)
		}
		if err == nil && aws.ToString(out.SourceIdentity) != aws.ToString(row.in.SourceIdentity) {
			t.Errorf("%s: the answer names the source identity: got %v", row.reason, out.SourceIdentity)
		}
	}
}

func TestChainedSession(t *testing.T) {
	b, ctx := newBed(t), t.Context()
	first, second := b.role(t, "first", letsIn(everyAction, `{}`)), b.role(t, "second", letsIn(everyAction, `{"StringEquals":{"aws:PrincipalTag/team":"red","aws:RequestTag/team":"red"}}`))
	untagged := b.role(t, "untagged", letsIn(`"sts:AssumeRole"`, `{}`))
	out := must(b.sts.AssumeRole(ctx, &sts.AssumeRoleInput{
		RoleArn: first, RoleSessionName: aws.String("me"), SourceIdentity: aws.String("jane"),
		Tags: stsTags("team", "red", "mood", "good"), TransitiveTagKeys: []string{"team"}, DurationSeconds: aws.Int32(7200),
	}))
	_, asFirst := b.clients(*out.Credentials.AccessKeyId, *out.Credentials.SecretAccessKey, *out.Credentials.SessionToken)
	for _, row := range []struct {
		reason string
		in     sts.AssumeRoleInput
		code   string
	}{
		{"the transitive tag and the source identity go along", sts.AssumeRoleInput{RoleArn: second}, ""},
		{"to whoever lets them in", sts.AssumeRoleInput{RoleArn: untagged}, "AccessDenied"},
		{"a transitive tag stays", sts.AssumeRoleInput{RoleArn: second, Tags: stsTags("TEAM", "blue")}, "InvalidParameterValue"},
		{"the source identity stays", sts.AssumeRoleInput{RoleArn: second, SourceIdentity: aws.String("joe")}, "AccessDenied"},
		{"which may be said again", sts.AssumeRoleInput{RoleArn: second, SourceIdentity: aws.String("jane")}, ""},
		{"another tag may come anew", sts.AssumeRoleInput{RoleArn: second, Tags: stsTags("mood", "bad")}, ""},
		{"for an hour", sts.AssumeRoleInput{RoleArn: second, DurationSeconds: aws.Int32(3600)}, ""},
		{"and no longer", sts.AssumeRoleInput{RoleArn: second, DurationSeconds: aws.Int32(3601)}, "ValidationError"},
	} {
		row.in.RoleSessionName = aws.String("me")
		next, err := asFirst.AssumeRole(ctx, &row.in)
		if code(err) != row.code {
			t.Errorf("%s: got %v, want %q", row.reason, err, row.code)
		}
		if err == nil && aws.ToString(next.SourceIdentity) != "jane" {
			t.Errorf("%s: got the source identity %v", row.reason, next.SourceIdentity)
		}
	}
}

func TestTagsOfIDTokens(t *testing.T) {
	b, idp := newBed(t), newIssuer(t)
	idp.register(t, b)
	role := b.role(t, "dash", idp.federated(`["sts:AssumeRoleWithWebIdentity","sts:TagSession","sts:SetSourceIdentity"]`, `{"StringEquals":{"aws:RequestTag/team":"red"}}`))
	tags := func(value any) claims {
		return claims{
			"https://aws.amazon.com/tags":            map[string]any{"principal_tags": map[string]any{"team": value}, "transitive_tag_keys": []string{"team"}},
			"https://aws.amazon.com/source_identity": "jane@example.com",
		}
	}
	out, err := b.assumeWith(t.Context(), role, idp.token(tags([]string{"red"})))
	if err != nil || *out.SourceIdentity != "jane@example.com" {
		t.Errorf("a token carries tags and the source identity: got %v", err)
	}
	if _, err := b.assumeWith(t.Context(), role, idp.token(tags("blue"))); code(err) != "AccessDenied" {
		t.Errorf("the trust policy asks for them: got %v", err)
	}
	if _, err := b.assumeWith(t.Context(), role, idp.token(tags([]string{"red", "blue"}))); code(err) != "InvalidIdentityToken" {
		t.Errorf("a tag has one value: got %v", err)
	}
}

func TestSessionPolicy(t *testing.T) {
	b, ctx := newBed(t), t.Context()
	role := b.role(t, "target", letsIn(everyAction, `{}`))
	for _, row := range []struct {
		reason, policy string
		users, roles   bool
	}{
		{"no policy", "", true, true},
		{"everything denied", denyAll, false, false},
		{"one action", `{"Statement":[{"Effect":"Allow","Action":"iam:ListUsers","Resource":"*"}]}`, true, false},
		{"a pattern without case", `{"Statement":{"Effect":"Allow","Action":["IAM:List*"],"Resource":["*"]}}`, true, true},
		{"a denial beats an allowance", `{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"iam:ListRoles","Resource":"*"}]}`, true, false},
		{"all but", `{"Statement":[{"Effect":"Allow","NotAction":"iam:ListRoles","Resource":"*"}]}`, true, false},
		{"another service", `{"Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}`, false, false},
		{"what is allowed on a condition is not evaluated", `{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Bool":{"x":"true"}}}]}`, false, false},
	} {
		in := &sts.AssumeRoleInput{RoleArn: role, RoleSessionName: aws.String("me")}
		if row.policy != "" {
			in.Policy = &row.policy
		}
		c := must(b.sts.AssumeRole(ctx, in)).Credentials
		asIAM, asSTS := b.clients(*c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken)
		if _, err := asIAM.ListUsers(ctx, &iam.ListUsersInput{}); (err == nil) != row.users {
			t.Errorf("%s: ListUsers: got %v", row.reason, err)
		}
		if _, err := asIAM.ListRoles(ctx, &iam.ListRolesInput{}); (err == nil) != row.roles {
			t.Errorf("%s: ListRoles: got %v", row.reason, err)
		}
		if _, err := asSTS.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{}); err != nil {
			t.Errorf("%s: GetCallerIdentity: got %v", row.reason, err)
		}
	}
}
