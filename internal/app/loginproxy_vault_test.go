package app_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"k8s.io/client-go/rest"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/app"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakevault"
)

// TestLoginProxyWithVault: a login gets an IAM user of its own, waits until the
// cluster takes it, and takes it along when it ends.
func TestLoginProxyWithVault(t *testing.T) {
	bed := newLoginBed(t)
	client := iam.NewFromConfig(bed.aws)
	vault := httptest.NewServer(fakevault.New(fakevault.Config{
		IAM: client, Issuer: bed.issuer.String(), Now: bed.clock.now,
		AuthRoles: map[string]fakevault.AuthRole{"people": {BoundAudiences: []string{loginClient}, Policies: []string{"dashboard"}}},
		AWSRoles:  map[string]fakevault.AWSRole{"dashboard": {UserPath: "/vault/"}},
		Policies:  map[string][]string{"dashboard": {"aws/creds/dashboard"}},
	}))
	t.Cleanup(vault.Close)
	var known atomic.Bool // to the cluster
	cluster := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if !known.Load() || !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer k8s-aws-v1.") {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Unauthorized","code":401}`))
			return
		}
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write([]byte(`{"kind":"SelfSubjectReview","apiVersion":"authentication.k8s.io/v1"}`))
	}))
	t.Cleanup(cluster.Close)
	bed.cluster = &rest.Config{Host: cluster.URL}
	bed.start(t, func(o *app.LoginProxyOptions) {
		o.IAMRoles = nil
		o.Vault.Addr, o.Vault.AuthRole, o.Vault.AWSRole = vault.URL, "people", "dashboard"
	})
	visitor := bed.browser(t)
	users := func() []string {
		t.Helper()
		out, err := client.ListUsers(t.Context(), &iam.ListUsersInput{PathPrefix: new("/vault/")})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, u := range out.Users {
			names = append(names, *u.UserName)
		}
		return names
	}

	if p := visitor.logIn(t, bed.front+"/", jane); p.StatusCode != http.StatusServiceUnavailable || bed.count() > 0 || len(users()) != 1 {
		t.Fatalf("while the cluster does not know the user: %s, %d requests upstream, users %v\n%s", p.Status, bed.count(), users(), p.text)
	}
	if p := visitor.ask(t, bed.front+"/api/v1/pods", "application/json"); p.StatusCode != http.StatusServiceUnavailable || bed.count() > 0 {
		t.Errorf("while the cluster does not know the user, the API says %s", p.Status)
	}
	known.Store(true)
	eventually(t, "the waiting page leads on", func() bool { return visitor.get(t, bed.front+"/").StatusCode == http.StatusOK })
	if !strings.HasPrefix(bed.last(t).Header.Get("Authorization"), "Bearer k8s-aws-v1.") {
		t.Error("the upstream server got no token")
	}
	visitor.logOut(t)
	eventually(t, "the user is gone", func() bool { return len(users()) == 0 })
}

// logOut presses the button of the login page.
func (b *browser) logOut(t *testing.T) {
	t.Helper()
	p := b.get(t, b.bed.front+"/login")
	csrf := regexp.MustCompile(`name="csrf" value="([^"]+)"`).FindStringSubmatch(p.text)
	if csrf == nil {
		t.Fatalf("the login page has no form: %s\n%s", p.Status, p.text)
	}
	form := strings.NewReader(url.Values{"csrf": {csrf[1]}}.Encode())
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.bed.front+"/login/logout", form)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := b.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	if err := response.Body.Close(); err != nil || response.StatusCode >= http.StatusBadRequest {
		t.Errorf("logging out: %s %v", response.Status, err)
	}
	if p := b.ask(t, b.bed.front+"/", "application/json"); p.StatusCode != http.StatusUnauthorized {
		t.Errorf("after logging out: %s", p.Status)
	}
}
