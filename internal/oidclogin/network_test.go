package oidclogin

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeidp"
)

// Over real connections and with real clocks: many people at once while the keys
// rotate, and then the provider logs one of them out.
func TestOverTheNetwork(t *testing.T) {
	var b bed
	orders := make(chan Logout, 1)
	client := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		logout, err := b.provider.LogoutToken(r.Context(), r.PostFormValue("logout_token"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		orders <- logout
	}))
	t.Cleanup(client.Close)
	config := fakeidp.Config{Clients: []fakeidp.Client{{ID: clientID, BackchannelLogoutURI: client.URL}}, Algorithm: "ES256"}
	for i := range 20 {
		name := fmt.Sprintf("user-%d", i)
		config.Users = append(config.Users, fakeidp.User{Username: name, Email: name + "@corp.com"})
	}
	idp, err := fakeidp.New(config)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(idp)
	t.Cleanup(server.Close)
	idp.SetIssuer(server.URL)
	provider, err := New(Config{Issuer: server.URL, ClientID: clientID, RequireEmail: true})
	if err != nil {
		t.Fatal(err)
	}
	b = bed{idp: idp, provider: provider}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- provider.Run(ctx) }()
	for provider.Ready() != nil {
		<-time.After(time.Millisecond)
	}

	var people sync.WaitGroup
	for i, user := range config.Users {
		if i%10 == 5 {
			if err := idp.RotateKey("ES256"); err != nil {
				t.Fatal(err)
			}
		}
		people.Go(func() {
			login, err := b.login(t, user.Username)
			if err != nil || login.Email != user.Email || login.Subject != user.Username {
				t.Errorf("%s became %+v, %v", user.Username, login, err)
			}
		})
	}
	people.Wait()
	if err := idp.Logout(ctx, "user-7"); err != nil {
		t.Fatal(err)
	}
	if logout := <-orders; logout.Subject != "user-7" {
		t.Errorf("logged out %+v", logout)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Neither the log nor an error may hold what opens something.
func TestNothingSecretIsTold(t *testing.T) {
	var told strings.Builder
	log := funcr.New(func(prefix, args string) { told.WriteString(prefix + args + "\n") }, funcr.Options{Verbosity: 10})
	b := newBed(t, func(c *Config, _ *fakeidp.Config) { c.Log = log })
	tell := func(err error) { fmt.Fprintf(&told, "%v\n%+v\n%#v\n", err, err, err) }
	b.idp.Behave(func(x *fakeidp.Behavior) { x.Down = true })
	tell(b.provider.discover(t.Context()))
	b.idp.Behave(func(x *fakeidp.Behavior) { x.Down = false })
	tell(b.provider.discover(t.Context()))
	login := b.mustLogin(t)
	secrets := []string{clientSecret, login.IDToken, login.RefreshToken, strings.Split(login.IDToken, ".")[1]}
	for _, behave := range []func(*fakeidp.Behavior){
		func(x *fakeidp.Behavior) { x.Algorithm = "none" },
		func(x *fakeidp.Behavior) { x.ForeignKey = true },
		func(x *fakeidp.Behavior) { x.Claims = map[string]any{"aud": "other"} },
		func(x *fakeidp.Behavior) { x.Claims = map[string]any{"nonce": "other"} },
		func(x *fakeidp.Behavior) { x.TokenError = "invalid_client" },
		func(x *fakeidp.Behavior) { x.Fail = map[string]int{fakeidp.Token: 502} },
	} {
		b.idp.Behave(behave)
		attempt, callback := b.begin(t, "ada")
		_, err := b.provider.Exchange(t.Context(), attempt, callback)
		tell(err)
		kept, err := b.provider.Refresh(t.Context(), login)
		tell(err)
		secrets = append(secrets, attempt.Nonce, attempt.Verifier, callback.Code, kept.RefreshToken)
		b.idp.Behave(func(x *fakeidp.Behavior) { *x = fakeidp.Behavior{} })
	}
	for _, secret := range secrets {
		if secret != "" && strings.Contains(told.String(), secret) {
			t.Errorf("told %q in %s", secret, told.String())
		}
	}
}
