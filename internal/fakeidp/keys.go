package fakeidp

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"

	"github.com/go-jose/go-jose/v4"
)

// keyring holds the keys that are published; the last one signs.
type keyring []jose.JSONWebKey

func (k keyring) public() jose.JSONWebKeySet {
	var set jose.JSONWebKeySet
	for _, key := range k {
		set.Keys = append(set.Keys, key.Public())
	}
	return set
}

func newKey(algorithm string) (jose.JSONWebKey, error) {
	key := jose.JSONWebKey{KeyID: secret("key"), Use: "sig"}
	var err error
	switch algorithm {
	case "", "RS256":
		key.Algorithm = "RS256"
		key.Key, err = rsa.GenerateKey(rand.Reader, 2048)
	case "ES256":
		key.Algorithm = "ES256"
		key.Key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	default:
		return key, fmt.Errorf("algorithm %q: want RS256 or ES256", algorithm)
	}
	if err != nil {
		return key, fmt.Errorf("making a %s key: %w", key.Algorithm, err)
	}
	return key, nil
}

// RotateKey signs with a new key from now on; the earlier ones stay published
// until DropOldKeys. The algorithm is RS256, also if empty, or ES256.
func (s *Server) RotateKey(algorithm string) error {
	key, err := newKey(algorithm)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ring = append(s.ring, key)
	return nil
}

// DropOldKeys publishes no key but the one that signs.
func (s *Server) DropOldKeys() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ring = s.ring[len(s.ring)-1:]
}

// Sign returns claims as a token with the given typ header, signed as Behavior
// says: for tokens that no endpoint gives out.
func (s *Server) Sign(claims map[string]any, typ string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sign(claims, typ)
}

func (s *Server) sign(claims map[string]any, typ string) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("encoding claims: %w", err)
	}
	key := s.ring[len(s.ring)-1]
	signing := jose.SigningKey{Algorithm: jose.SignatureAlgorithm(key.Algorithm), Key: key.Key}
	switch s.behavior.Algorithm {
	case "none":
		return unsigned(payload, typ), nil
	case "HS256":
		public, err := publicPEM(key)
		if err != nil {
			return "", err
		}
		signing = jose.SigningKey{Algorithm: jose.HS256, Key: public}
	}
	if s.behavior.ForeignKey {
		foreign, err := newKey(key.Algorithm)
		if err != nil {
			return "", err
		}
		signing.Key = foreign.Key
	}
	options := (&jose.SignerOptions{}).WithHeader(jose.HeaderKey("kid"), key.KeyID)
	if typ != "" {
		options = options.WithType(jose.ContentType(typ))
	}
	signer, err := jose.NewSigner(signing, options)
	if err != nil {
		return "", fmt.Errorf("making a signer: %w", err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("signing: %w", err)
	}
	return signed.CompactSerialize()
}

// unsigned is what RFC 7519, section 6, calls an unsecured JWT.
func unsigned(payload []byte, typ string) string {
	header := fmt.Sprintf(`{"alg":"none","typ":%q}`, typ)
	return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." +
		base64.RawURLEncoding.EncodeToString(payload) + "."
}

// publicPEM is the key that a verifier uses who takes the published key for a
// shared secret.
func publicPEM(key jose.JSONWebKey) ([]byte, error) {
	var public crypto.PublicKey = key.Public().Key
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("encoding the public key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}
