package fakeaws_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestUserLifecycle(t *testing.T) {
	b, ctx := newBed(t), t.Context()
	made := must(b.iam.CreateUser(ctx, &iam.CreateUserInput{
		UserName: aws.String("tmp-foo-1"), Path: aws.String("/team/"),
		PermissionsBoundary: aws.String("arn:aws:iam::aws:policy/PowerUserAccess"),
		Tags:                []types.Tag{{Key: aws.String("team"), Value: aws.String("ü & <x>")}},
	}))
	want := &types.User{
		Arn: aws.String("arn:aws:iam::123456789012:user/team/tmp-foo-1"), UserName: aws.String("tmp-foo-1"),
		Path: aws.String("/team/"), UserId: made.User.UserId,
		CreateDate: aws.Time(b.clock.Now().UTC().Truncate(time.Second)),
		PermissionsBoundary: &types.AttachedPermissionsBoundary{
			PermissionsBoundaryArn:  aws.String("arn:aws:iam::aws:policy/PowerUserAccess"),
			PermissionsBoundaryType: "Policy",
		},
		Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("ü & <x>")}},
	}
	same := func(reason string, got *types.User) {
		t.Helper()
		if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(types.User{}, types.Tag{}, types.AttachedPermissionsBoundary{})); diff != "" {
			t.Errorf("%s: -want +got\n%s", reason, diff)
		}
	}
	same("CreateUser shows everything", made.User)
	if id := aws.ToString(made.User.UserId); !regexp.MustCompile(`^AIDA[A-Z2-7]{17}$`).MatchString(id) {
		t.Errorf("user id %q does not look like one", id)
	}
	same("GetUser ignores case", must(b.iam.GetUser(ctx, &iam.GetUserInput{UserName: aws.String("TMP-foo-1")})).User)

	listed := must(b.iam.ListUsers(ctx, &iam.ListUsersInput{PathPrefix: aws.String("/team")}))
	want.Tags, want.PermissionsBoundary = nil, nil
	if len(listed.Users) != 1 || listed.IsTruncated || listed.Marker != nil {
		t.Fatalf("a path prefix need not end at a slash: %+v", listed)
	}
	same("listings leave tags and boundary out", &listed.Users[0])

	must(b.iam.DeleteUser(ctx, &iam.DeleteUserInput{UserName: aws.String("tmp-foo-1")}))
	_, err := b.iam.GetUser(ctx, &iam.GetUserInput{UserName: aws.String("tmp-foo-1")})
	if code(err) != "NoSuchEntity" || status(err) != 404 {
		t.Errorf("a deleted user is gone: got %v", err)
	}
	again := must(b.iam.CreateUser(ctx, &iam.CreateUserInput{UserName: aws.String("tmp-foo-1")}))
	if *again.User.UserId == *made.User.UserId || *again.User.Path != "/" {
		t.Errorf("a user made again is another one under the default path: %+v", again.User)
	}
}

func TestGetUserWithoutName(t *testing.T) {
	ctx := t.Context()
	user := must(newBed(t).iam.GetUser(ctx, &iam.GetUserInput{})).User
	if *user.Arn != "arn:aws:iam::123456789012:user/admin" {
		t.Errorf("GetUser without a name shows the caller: got %s", *user.Arn)
	}
	root := must(newBed(t, withRoot).iam.GetUser(ctx, &iam.GetUserInput{})).User
	if *root.Arn != "arn:aws:iam::123456789012:root" || *root.UserId != "123456789012" {
		t.Errorf("GetUser without a name shows root: got %s %s", *root.Arn, *root.UserId)
	}
}

func TestCreateUserRefuses(t *testing.T) {
	b := newBed(t)
	if _, err := b.CreateUser("/", "taken"); err != nil {
		t.Fatal(err)
	}
	tags := func(n int) (tags []types.Tag) {
		for i := range n {
			tags = append(tags, types.Tag{Key: aws.String(fmt.Sprint("k", i)), Value: aws.String("")})
		}
		return tags
	}
	for _, row := range []struct {
		reason string
		in     iam.CreateUserInput
		code   string
		status int
	}{
		{"names are unique without regard to case", iam.CreateUserInput{UserName: aws.String("TAKEN")}, "EntityAlreadyExists", 409},
		{"another path does not make a name free", iam.CreateUserInput{UserName: aws.String("taken"), Path: aws.String("/x/")}, "EntityAlreadyExists", 409},
		{"a name has no slash", iam.CreateUserInput{UserName: aws.String("a/b")}, "ValidationError", 400},
		{"a name has no space", iam.CreateUserInput{UserName: aws.String("a b")}, "ValidationError", 400},
		{"a name is not empty", iam.CreateUserInput{UserName: aws.String("")}, "ValidationError", 400},
		{"a name is ASCII", iam.CreateUserInput{UserName: aws.String("jürgen")}, "ValidationError", 400},
		{"64 characters at most", iam.CreateUserInput{UserName: aws.String(strings.Repeat("a", 65))}, "ValidationError", 400},
		{"64 characters are legal", iam.CreateUserInput{UserName: aws.String(strings.Repeat("a", 64))}, "", 200},
		{"all of the alphabet", iam.CreateUserInput{UserName: aws.String("a_+=,.@-Z9")}, "", 200},
		{"a path begins with a slash", iam.CreateUserInput{UserName: aws.String("u"), Path: aws.String("x/")}, "ValidationError", 400},
		{"a path ends with a slash", iam.CreateUserInput{UserName: aws.String("u"), Path: aws.String("/x")}, "ValidationError", 400},
		{"a path has no spaces", iam.CreateUserInput{UserName: aws.String("u"), Path: aws.String("/x y/")}, "ValidationError", 400},
		{"a path has 512 characters at most", iam.CreateUserInput{UserName: aws.String("u"), Path: aws.String("/" + strings.Repeat("a", 511) + "/")}, "ValidationError", 400},
		{"50 tags at most", iam.CreateUserInput{UserName: aws.String("u"), Tags: tags(51)}, "ValidationError", 400},
		{"50 tags are legal", iam.CreateUserInput{UserName: aws.String("u50"), Tags: tags(50)}, "", 200},
		{"aws: is reserved", iam.CreateUserInput{UserName: aws.String("u"), Tags: []types.Tag{{Key: aws.String("AWS:x"), Value: aws.String("")}}}, "InvalidInput", 400},
		{"tag keys ignore case", iam.CreateUserInput{UserName: aws.String("u"), Tags: append(tags(1), types.Tag{Key: aws.String("K0"), Value: aws.String("")})}, "InvalidInput", 400},
		{"a boundary is a policy", iam.CreateUserInput{UserName: aws.String("u"), PermissionsBoundary: aws.String("arn:aws:iam::123456789012:role/policy")}, "InvalidInput", 400},
	} {
		_, err := b.iam.CreateUser(t.Context(), &row.in)
		if code(err) != row.code || status(err) != row.status {
			t.Errorf("%s: got %q %d, want %q %d (%v)", row.reason, code(err), status(err), row.code, row.status, err)
		}
	}
}

func TestListUsersPages(t *testing.T) {
	b, ctx := newBed(t, withRoot), t.Context()
	var want []string
	for i := range 2500 {
		name := fmt.Sprintf("User-%04d", i)
		if i%2 == 1 {
			name = strings.ToLower(name)
		}
		want = append(want, name)
	}
	for i := range want { // created in another order than listed
		if _, err := b.CreateUser("/", want[(i*7)%len(want)]); err != nil {
			t.Fatal(err)
		}
	}
	for _, row := range []struct {
		reason string
		size   *int32
		calls  int
	}{
		{"the default page has 100", nil, 25},
		{"1000 is the most", aws.Int32(1000), 3},
		{"a full last page is not truncated", aws.Int32(500), 5},
		{"any size will do", aws.Int32(999), 3},
	} {
		before := b.Calls("ListUsers")
		var got []string
		pages := iam.NewListUsersPaginator(b.iam, &iam.ListUsersInput{MaxItems: row.size})
		for pages.HasMorePages() {
			for _, u := range must(pages.NextPage(ctx)).Users {
				got = append(got, *u.UserName)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: sorted without regard to case: -want +got\n%s", row.reason, diff)
		}
		if n := b.Calls("ListUsers") - before; n != row.calls {
			t.Errorf("%s: got %d calls, want %d", row.reason, n, row.calls)
		}
	}
}

func TestListUsersParameters(t *testing.T) {
	b := newBed(t)
	for _, row := range []struct {
		reason string
		in     iam.ListUsersInput
		code   string
	}{
		{"no page of none", iam.ListUsersInput{MaxItems: aws.Int32(0)}, "ValidationError"},
		{"no page of 1001", iam.ListUsersInput{MaxItems: aws.Int32(1001)}, "ValidationError"},
		{"a marker is ours", iam.ListUsersInput{Marker: aws.String("bogus")}, "ValidationError"},
		{"a marker is base64", iam.ListUsersInput{Marker: aws.String("%%")}, "ValidationError"},
		{"a prefix begins with a slash", iam.ListUsersInput{PathPrefix: aws.String("team/")}, "ValidationError"},
		{"the slash is legal", iam.ListUsersInput{PathPrefix: aws.String("/")}, ""},
	} {
		if _, err := b.iam.ListUsers(t.Context(), &row.in); code(err) != row.code {
			t.Errorf("%s: got %q, want %q", row.reason, code(err), row.code)
		}
	}
}

func TestUserTags(t *testing.T) {
	b, ctx := newBed(t), t.Context()
	must(b.CreateUser("/", "u"))
	name := aws.String("u")
	tag := func(key, value string) error {
		_, err := b.iam.TagUser(ctx, &iam.TagUserInput{UserName: name, Tags: []types.Tag{{Key: &key, Value: &value}}})
		return err
	}
	for _, kv := range [][2]string{{"b", "1"}, {"A", "2"}, {"c", "3"}, {"B", "4"}} {
		if err := tag(kv[0], kv[1]); err != nil {
			t.Fatal(err)
		}
	}
	must(b.iam.UntagUser(ctx, &iam.UntagUserInput{UserName: name, TagKeys: []string{"C", "absent"}}))
	var got []string
	in := &iam.ListUserTagsInput{UserName: name, MaxItems: aws.Int32(1)}
	for {
		out := must(b.iam.ListUserTags(ctx, in))
		for _, tag := range out.Tags {
			got = append(got, *tag.Key+"="+*tag.Value)
		}
		if !out.IsTruncated {
			break
		}
		in.Marker = out.Marker
	}
	if diff := cmp.Diff([]string{"A=2", "B=4"}, got); diff != "" {
		t.Errorf("keys are replaced and removed without regard to case: -want +got\n%s", diff)
	}
	for i := range 48 {
		if err := tag(fmt.Sprint("k", i), ""); err != nil {
			t.Fatal(err)
		}
	}
	if err := tag("one-more", ""); code(err) != "LimitExceeded" {
		t.Errorf("a user has 50 tags at most: got %v", err)
	}
}
