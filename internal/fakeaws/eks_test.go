package fakeaws_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/aws/aws-sdk-go-v2/service/eks/types"
	"github.com/google/go-cmp/cmp"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
)

const (
	eksCluster  = "prod"
	adminPolicy = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"
	annARN      = "arn:aws:iam::123456789012:user/x/ann"
	opsARN      = "arn:aws:iam::123456789012:role/a/b/ops"
	noBodyARN   = "arn:aws:iam::123456789012:user/nobody"
)

// newEKS is a bed with a cluster, the user annARN and the role opsARN.
func newEKS(t *testing.T) (*bed, *eks.Client) {
	t.Helper()
	b := newBed(t)
	if err := b.AddCluster(eksCluster, fakeaws.ModeAPI); err != nil {
		t.Fatal(err)
	}
	must(b.CreateUser("/x/", "ann"))
	must(b.CreateRole("/a/b/", "ops", ""))
	client := b.eks(adminSecret)
	return b, client
}

func (b *bed) eks(secret string) *eks.Client {
	return eks.NewFromConfig(aws.Config{
		Region: "eu-central-1", BaseEndpoint: aws.String(b.url), HTTPClient: wholeBodies{},
		Credentials: credentials.NewStaticCredentialsProvider(adminKey, secret, ""),
		Retryer:     func() aws.Retryer { return aws.NopRetryer{} },
	})
}

func entryInput(arn string) *eks.CreateAccessEntryInput {
	return &eks.CreateAccessEntryInput{ClusterName: aws.String(eksCluster), PrincipalArn: &arn}
}

func TestAccessEntryLife(t *testing.T) {
	b, client := newEKS(t)
	ctx := t.Context()
	cluster := must(client.DescribeCluster(ctx, &eks.DescribeClusterInput{Name: aws.String(eksCluster)}))
	if got := cluster.Cluster.AccessConfig.AuthenticationMode; got != types.AuthenticationModeApi {
		t.Errorf("the mode of the cluster: got %s", got)
	}
	in := entryInput(opsARN)
	in.Username, in.KubernetesGroups, in.Tags = aws.String("ops:{{SessionName}}"), []string{"b", "a"}, map[string]string{"k": "v"}
	made := must(client.CreateAccessEntry(ctx, in)).AccessEntry
	if arn := aws.ToString(made.AccessEntryArn); !strings.HasPrefix(arn, "arn:aws:eks:eu-central-1:123456789012:access-entry/prod/role/123456789012/ops/") {
		t.Errorf("the ARN of the entry: got %s", arn)
	}
	must(client.UpdateAccessEntry(ctx, &eks.UpdateAccessEntryInput{ClusterName: in.ClusterName, PrincipalArn: in.PrincipalArn, KubernetesGroups: []string{}}))
	must(client.TagResource(ctx, &eks.TagResourceInput{ResourceArn: made.AccessEntryArn, Tags: map[string]string{"more": "x y"}}))
	must(client.AssociateAccessPolicy(ctx, &eks.AssociateAccessPolicyInput{
		ClusterName: in.ClusterName, PrincipalArn: in.PrincipalArn, PolicyArn: aws.String(adminPolicy),
		AccessScope: &types.AccessScope{Type: types.AccessScopeTypeCluster},
	}))
	seen := must(client.DescribeAccessEntry(ctx, &eks.DescribeAccessEntryInput{ClusterName: in.ClusterName, PrincipalArn: in.PrincipalArn})).AccessEntry
	want := []any{opsARN, "STANDARD", "ops:{{SessionName}}", []string{}, map[string]string{"k": "v", "more": "x y"}}
	if diff := cmp.Diff(want, []any{*seen.PrincipalArn, *seen.Type, *seen.Username, seen.KubernetesGroups, seen.Tags}); diff != "" {
		t.Errorf("what is left out of an update stays: -want +got\n%s", diff)
	}
	if age := b.clock.Now().Sub(*seen.CreatedAt); age < 0 || age > time.Minute {
		t.Errorf("the entry was made %s ago", age)
	}
	policies := must(client.ListAssociatedAccessPolicies(ctx, &eks.ListAssociatedAccessPoliciesInput{ClusterName: in.ClusterName, PrincipalArn: in.PrincipalArn}))
	if len(policies.AssociatedAccessPolicies) != 1 || policies.AssociatedAccessPolicies[0].AccessScope.Type != types.AccessScopeTypeCluster {
		t.Errorf("associated policies: got %+v", policies.AssociatedAccessPolicies)
	}
	must(client.DisassociateAccessPolicy(ctx, &eks.DisassociateAccessPolicyInput{ClusterName: in.ClusterName, PrincipalArn: in.PrincipalArn, PolicyArn: aws.String(adminPolicy)}))
	if got := b.AccessEntries(eksCluster); len(got) != 1 || len(got[0].Policies) != 0 || !got[0].Works {
		t.Errorf("what the Go method shows: got %+v", got)
	}
	must(client.DeleteAccessEntry(ctx, &eks.DeleteAccessEntryInput{ClusterName: in.ClusterName, PrincipalArn: in.PrincipalArn}))
	if got := b.AccessEntries(eksCluster); len(got) != 0 {
		t.Errorf("deleted entries are gone: got %+v", got)
	}
}

func TestAccessEntryUsernames(t *testing.T) {
	_, client := newEKS(t)
	for arn, want := range map[string]string{
		annARN: annARN,
		opsARN: "arn:aws:sts::123456789012:assumed-role/ops/{{SessionName}}",
	} {
		if got := *must(client.CreateAccessEntry(t.Context(), entryInput(arn))).AccessEntry.Username; got != want {
			t.Errorf("the user name that EKS gives %s: got %s, want %s", arn, got, want)
		}
	}
}

func TestAccessEntryRefusals(t *testing.T) {
	b, client := newEKS(t)
	must(client.CreateAccessEntry(t.Context(), entryInput(opsARN)))
	if err := b.AddCluster("old", fakeaws.ModeConfigMap); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		reason, code, says string
		change             func(*eks.CreateAccessEntryInput)
	}{
		{"a group of Kubernetes' own", "InvalidParameterException", "The kubernetes group name system:masters is invalid, it cannot start with system:", func(in *eks.CreateAccessEntryInput) {
			in.KubernetesGroups = []string{"a", "system:masters"}
		}},
		{"a reserved user name", "InvalidParameterException", "must not begin with iam:", func(in *eks.CreateAccessEntryInput) { in.Username = aws.String("iam:me") }},
		{"a session without a colon", "InvalidParameterException", "colon", func(in *eks.CreateAccessEntryInput) { in.Username = aws.String("{{SessionNameRaw}}") }},
		{"nobody", "InvalidParameterException", "invalid principal", func(in *eks.CreateAccessEntryInput) { in.PrincipalArn = aws.String(noBodyARN) }},
		{"without its path", "InvalidParameterException", "invalid principal", func(in *eks.CreateAccessEntryInput) {
			in.PrincipalArn = aws.String("arn:aws:iam::123456789012:user/ann")
		}},
		{"a session", "InvalidParameterException", "invalid principal", func(in *eks.CreateAccessEntryInput) {
			in.PrincipalArn = aws.String("arn:aws:sts::123456789012:assumed-role/ops/x")
		}},
		{"an entry that is there", "ResourceInUseException", "already in use", func(in *eks.CreateAccessEntryInput) { in.PrincipalArn = aws.String(opsARN) }},
		{"no such cluster", "ResourceNotFoundException", "No cluster found", func(in *eks.CreateAccessEntryInput) { in.ClusterName = aws.String("other") }},
		{"a cluster that reads aws-auth only", "InvalidRequestException", "authentication mode", func(in *eks.CreateAccessEntryInput) { in.ClusterName = aws.String("old") }},
		{"a type that does not exist", "InvalidParameterException", "type", func(in *eks.CreateAccessEntryInput) { in.Type = aws.String("X") }},
		{"a group for nodes", "InvalidParameterException", "STANDARD", func(in *eks.CreateAccessEntryInput) {
			in.Type, in.KubernetesGroups = aws.String("EC2_LINUX"), []string{"a"}
		}},
		{"an empty tag key", "InvalidParameterException", "tags.key", func(in *eks.CreateAccessEntryInput) { in.Tags = map[string]string{"": "x"} }},
	} {
		in := entryInput(annARN)
		row.change(in)
		_, err := client.CreateAccessEntry(t.Context(), in)
		if code(err) != row.code || !strings.Contains(fmt.Sprint(err), row.says) {
			t.Errorf("%s: got %v", row.reason, err)
		}
	}
	if _, err := client.DescribeAccessEntry(t.Context(), &eks.DescribeAccessEntryInput{ClusterName: aws.String(eksCluster), PrincipalArn: aws.String(annARN)}); code(err) != "ResourceNotFoundException" || status(err) != http.StatusNotFound {
		t.Errorf("no such entry: got %v", err)
	}
	if _, err := b.eks("wrong").DescribeCluster(t.Context(), &eks.DescribeClusterInput{Name: aws.String(eksCluster)}); code(err) != "InvalidSignatureException" {
		t.Errorf("a wrong signature: got %v", err)
	}
}

func TestAccessEntryOfTooNewPrincipal(t *testing.T) {
	b, client := newEKS(t)
	b.SetLag(fakeaws.Lag{Principal: 10 * time.Second})
	must(b.CreateUser("/", "new"))
	const arn = "arn:aws:iam::123456789012:user/new"
	if _, err := client.CreateAccessEntry(t.Context(), entryInput(arn)); code(err) != "InvalidParameterException" {
		t.Errorf("made just now: got %v", err)
	}
	b.clock.Advance(10 * time.Second)
	if _, err := client.CreateAccessEntry(t.Context(), entryInput(arn)); err != nil {
		t.Errorf("made a while ago: got %v", err)
	}
}

func TestAccessEntryIsPinnedToTheUniqueID(t *testing.T) {
	b, client := newEKS(t)
	must(client.CreateAccessEntry(t.Context(), entryInput(annARN)))
	if err := b.DeleteUser("ann"); err != nil {
		t.Fatal(err)
	}
	if b.AccessEntries(eksCluster)[0].Works {
		t.Error("it works for a user who is gone")
	}
	must(b.CreateUser("/x/", "ann"))
	if b.AccessEntries(eksCluster)[0].Works {
		t.Error("it works for a user who was made again under the same name")
	}
}

func TestAccessEntryListing(t *testing.T) {
	b, client := newEKS(t)
	want := make([]string, 0, 230)
	for i := range 230 {
		u := must(b.CreateUser("/", fmt.Sprintf("u%03d", i)))
		want = append(want, u.ARN)
		must(client.CreateAccessEntry(t.Context(), entryInput(u.ARN)))
	}
	list := func() (got []string, pages int, err error) {
		in := &eks.ListAccessEntriesInput{ClusterName: aws.String(eksCluster)}
		for p := eks.NewListAccessEntriesPaginator(client, in); p.HasMorePages(); pages++ {
			page, err := p.NextPage(t.Context())
			if err != nil {
				return got, pages, err
			}
			got = append(got, page.AccessEntries...)
		}
		return got, pages, nil
	}
	got, pages, err := list()
	if err != nil || pages != 3 || !slices.Equal(got, want) {
		t.Errorf("230 entries, 100 a page: got %d on %d pages, %v", len(got), pages, err)
	}
	_, err = client.ListAccessEntries(t.Context(), &eks.ListAccessEntriesInput{ClusterName: aws.String(eksCluster), MaxResults: aws.Int32(101)})
	if code(err) != "InvalidParameterException" {
		t.Errorf("pages beyond 100: got %v", err)
	}
	b.Inject(fakeaws.Fault{Action: "ListAccessEntries", Effect: fakeaws.Throttled, Times: 1})
	if _, _, err := list(); code(err) != "ThrottlingException" || status(err) != http.StatusTooManyRequests {
		t.Errorf("throttled: got %v", err)
	}
	b.Inject(fakeaws.Fault{Action: "ListAccessEntries", Effect: fakeaws.EmptyListing, Times: 1})
	if got, _, err := list(); len(got) != 0 || err != nil {
		t.Errorf("an empty listing: got %d, %v", len(got), err)
	}
}

func TestAccessEntryLimit(t *testing.T) {
	b, client := newEKS(t)
	for i := range 3000 {
		u := must(b.CreateUser("/", fmt.Sprintf("u%04d", i)))
		w := httptest.NewRecorder()
		b.ServeHTTP(w, b.signed(http.MethodPost, "/clusters/prod/access-entries", "eks", `{"principalArn":"`+u.ARN+`"}`))
		if w.Code != http.StatusOK {
			t.Fatal(w.Body)
		}
	}
	if _, err := client.CreateAccessEntry(t.Context(), entryInput(annARN)); code(err) != "ResourceLimitExceededException" {
		t.Errorf("the 3,001st: got %v", err)
	}
}

func TestAuthenticationModes(t *testing.T) {
	b, _ := newEKS(t)
	if err := b.SetAuthenticationMode(eksCluster, fakeaws.ModeConfigMap); err == nil {
		t.Error("access entries are not turned off again")
	}
	if err := b.AddCluster(eksCluster, fakeaws.ModeAPI); err == nil {
		t.Error("a name is taken once")
	}
}
