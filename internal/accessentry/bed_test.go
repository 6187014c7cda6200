package accessentry_test

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/eks"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/accessentry"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

const (
	clusterName = "prod"
	owner       = "kube-system/aws-auth-refresher"
	adminPolicy = "arn:aws:eks::aws:" + accessentry.AdminPolicy
)

// bed is an emulated EKS with one cluster, a clock, and what is remembered of
// it from one pass to the next.
type bed struct {
	testing.TB
	aws     *fakeaws.Server
	client  *eks.Client
	cluster *accessentry.Cluster
	record  accessentry.Record
	last    accessentry.Result
	latency time.Duration            // of each call
	before  func(*http.Request)      // each call
	fails   func(*http.Request) bool // EKS has an internal error

	mu  sync.Mutex
	now time.Time
}

func newBed(t testing.TB) *bed {
	t.Helper()
	b := &bed{TB: t, now: time.Now(), record: accessentry.Record{Cluster: clusterName}}
	b.aws = fakeaws.New(fakeaws.Config{AccessKeyID: "AKIAADMIN", SecretAccessKey: "secret", Now: b.Now})
	if err := b.aws.AddCluster(clusterName, fakeaws.ModeAPIConfigMap); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if b.latency > 0 {
			<-time.After(b.latency)
		}
		if b.before != nil {
			b.before(r)
		}
		if b.fails != nil && b.fails(r) {
			http.Error(w, "", http.StatusInternalServerError)
			return
		}
		b.aws.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	b.client = eks.New(eks.Options{
		Region: "eu-central-1", BaseEndpoint: &server.URL, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("AKIAADMIN", "secret", ""),
	})
	b.restart()
	return b
}

// restart forgets what is not in the record.
func (b *bed) restart() {
	b.cluster = accessentry.New(accessentry.Config{EKS: b.client, Name: clusterName, Owner: owner, Now: b.Now})
}

func (b *bed) Now() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now
}

// pass moves the clock. The SDK signs with the real one, so only by little.
func (b *bed) pass(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now = b.now.Add(d)
}

// body reads a request's body, and leaves it to be read.
func (b *bed) body(r *http.Request) string {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		b.Error(err)
	}
	r.Body = io.NopCloser(bytes.NewReader(text))
	return string(text)
}

func (b *bed) user(name string) rules.Principal {
	b.Helper()
	u, err := b.aws.CreateUser("/", name)
	if err != nil {
		b.Fatal(err)
	}
	return rules.Principal{Kind: rules.User, ARN: u.ARN, ID: u.ID, CreateDate: u.CreateDate}
}

func (b *bed) role(path, name string) rules.Principal {
	b.Helper()
	r, err := b.aws.CreateRole(path, name, "")
	if err != nil {
		b.Fatal(err)
	}
	return rules.Principal{Kind: rules.Role, ARN: r.ARN, ID: r.ID, CreateDate: r.CreateDate}
}

// wants is the entry of a principal that is granted the groups.
func wants(p rules.Principal, groups ...string) accessentry.Entry {
	e, reason := accessentry.FromGrant(rules.Grant{
		Kind: p.Kind, PrincipalARN: p.ARN, Username: "dev:" + string(p.Kind), Groups: groups,
	}, p)
	if reason != "" {
		panic(reason)
	}
	return e
}

// decide looks and decides about what is wanted.
func (b *bed) decide(change func(*accessentry.Input), want ...accessentry.Entry) accessentry.Plan {
	b.Helper()
	ids := map[string]string{}
	for _, e := range want {
		ids[e.Key()] = e.ID
	}
	if _, err := b.cluster.Mode(b.Context()); err != nil {
		b.Fatal(err)
	}
	view := b.cluster.Look(b.Context(), b.record, ids)
	in := accessentry.Input{Now: b.Now(), View: view, Record: b.record, Want: want}
	foreign := view.Foreign(b.record)
	in.Want = slices.DeleteFunc(slices.Clone(want), func(e accessentry.Entry) bool { return foreign[e.Key()] })
	if change != nil {
		change(&in)
	}
	return accessentry.Decide(in)
}

// reconcile is one whole pass.
func (b *bed) reconcile(want ...accessentry.Entry) accessentry.Plan {
	b.Helper()
	return b.apply(b.decide(nil, want...))
}

func (b *bed) apply(p accessentry.Plan) accessentry.Plan {
	b.Helper()
	b.last = b.cluster.Apply(b.Context(), p)
	b.record = b.last.Record
	return p
}

// entries are what stands in the cluster, one text each.
func (b *bed) entries() []string {
	var list []string
	for _, e := range b.aws.AccessEntries(clusterName) {
		text := fmt.Sprintf("%s %s %v", e.PrincipalARN[len("arn:aws:iam::123456789012:"):], e.Username, e.Groups)
		if len(e.Policies) > 0 {
			text += fmt.Sprint(" ", e.Policies)
		}
		if e.Tags[accessentry.OwnerTag] != owner {
			text += " theirs"
		}
		if !e.Works {
			text += " dead"
		}
		list = append(list, text)
	}
	return list
}

// theirs makes somebody else's entry.
func (b *bed) theirs(p rules.Principal, username string, groups ...string) {
	b.Helper()
	_, err := b.client.CreateAccessEntry(b.Context(), &eks.CreateAccessEntryInput{
		ClusterName: aws.String(clusterName), PrincipalArn: &p.ARN, Username: &username, KubernetesGroups: groups,
	})
	if err != nil {
		b.Fatal(err)
	}
}

// answers has EKS answer with something else than it says.
func (b *bed) answers(what *regexp.Regexp, instead string) {
	b.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := httptest.NewRecorder()
		b.aws.ServeHTTP(answer, r)
		maps.Copy(w.Header(), answer.Header())
		w.Header().Del("Content-Length")
		w.WriteHeader(answer.Code)
		if _, err := w.Write(what.ReplaceAll(answer.Body.Bytes(), []byte(instead))); err != nil {
			b.Error(err)
		}
	}))
	b.Cleanup(server.Close)
	b.client = eks.New(eks.Options{
		Region: "eu-central-1", BaseEndpoint: &server.URL, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("AKIAADMIN", "secret", ""),
	})
	b.restart()
}
