package oidclogin

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/go-jose/go-jose/v4"
)

// published is a server that publishes a document; each fetch takes one value
// off gate, if there is one, before it reads what to publish.
type published struct {
	gate     chan struct{}
	document func() string
}

func (p *published) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	document := p.document()
	if p.gate != nil {
		<-p.gate
	}
	_, _ = io.WriteString(w, document)
}

func newSigner(t *testing.T, kid string) (public jose.JSONWebKey, token string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	options := (&jose.SignerOptions{}).WithHeader(jose.HeaderKey("kid"), kid)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: private}, options)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign([]byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	if token, err = signed.CompactSerialize(); err != nil {
		t.Fatal(err)
	}
	return jose.JSONWebKey{Key: &private.PublicKey, KeyID: kid}, token
}

func encode(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestPublishedKeysThatDoNotCount(t *testing.T) {
	key, token := newSigner(t, "k")
	other, _ := newSigner(t, "other")
	with := func(change func(*jose.JSONWebKey)) string {
		changed := key
		change(&changed)
		return encode(t, changed)
	}
	for _, row := range []struct {
		name, keys string
		want       error
	}{
		{"the key", encode(t, key), nil},
		{"the key among strange ones", `{"kty":"OKP","crv":"Ed448","x":"AA"},{"kty":"new"},7,` + encode(t, key), nil},
		{"for signatures", with(func(k *jose.JSONWebKey) { k.Use = "sig" }), nil},
		{"the same id twice", with(func(k *jose.JSONWebKey) { k.Key = other.Key }) + "," + encode(t, key), nil},
		{"none", "", errUnknownKey},
		{"another", encode(t, other), errUnknownKey},
		{"under another id", with(func(k *jose.JSONWebKey) { k.KeyID = "x" }), errUnknownKey},
		{"for encryption", with(func(k *jose.JSONWebKey) { k.Use = "enc" }), errUnknownKey},
		{"for another algorithm", with(func(k *jose.JSONWebKey) { k.Algorithm = "ES384" }), errUnknownKey},
		{"a secret", `{"kty":"oct","kid":"k","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}`, errUnknownKey},
		{"no list", `}`, errNoKeys},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := newBed(t)
			server := &published{document: func() string { return `{"keys":[` + row.keys + `]}` }}
			keys := newKeySet(&http.Client{Transport: inProcess{server}}, "https://id.example.com/keys", []string{"ES256"}, b.clock.Now)
			if _, err := keys.VerifySignature(t.Context(), token); !errors.Is(err, row.want) {
				t.Errorf("want %v, got %v", row.want, err)
			}
		})
	}
}

// A token that comes while old keys are on their way is judged by newer ones; a
// second one of the same kind waits for the same answer.
func TestTokenIsNotJudgedByAnOlderAnswer(t *testing.T) {
	old, oldToken := newSigner(t, "old")
	fresh, freshToken := newSigner(t, "new")
	synctest.Test(t, func(t *testing.T) {
		clock := newBed(t).clock
		var fetches int
		server := &published{gate: make(chan struct{})}
		server.document = func() string {
			if fetches++; fetches == 1 {
				return encode(t, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{old}})
			}
			return encode(t, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{old, fresh}})
		}
		keys := newKeySet(&http.Client{Transport: inProcess{server}}, "https://id.example.com/keys", []string{"ES256"}, clock.Now)
		results := make(chan error, 3)
		verify := func(token string) {
			_, err := keys.VerifySignature(t.Context(), token)
			results <- err
		}
		go verify(oldToken)
		synctest.Wait()
		go verify(freshToken)
		go verify(freshToken)
		synctest.Wait()
		if _, err := keys.VerifySignature(canceled(t), freshToken); err == nil {
			t.Error("who gave up got an answer")
		}
		close(server.gate)
		for range 3 {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
		if fetches != 2 {
			t.Errorf("%d fetches", fetches)
		}
	})
}

// Whoever fetches may go away; the others get the answer.
func TestKeysArriveThoughTheFirstToAskGaveUp(t *testing.T) {
	key, token := newSigner(t, "k")
	synctest.Test(t, func(t *testing.T) {
		server := &published{gate: make(chan struct{}), document: func() string {
			return encode(t, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{key}})
		}}
		keys := newKeySet(&http.Client{Transport: inProcess{server}}, "https://id.example.com/keys", []string{"ES256"}, newBed(t).clock.Now)
		first, cancel := context.WithCancel(t.Context())
		results := make(chan error, 2)
		for _, ctx := range []context.Context{first, t.Context()} {
			go func() {
				_, err := keys.VerifySignature(ctx, token)
				results <- err
			}()
			synctest.Wait()
		}
		cancel()
		close(server.gate)
		for range 2 {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
	})
}
