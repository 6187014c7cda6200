package ekstoken

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
)

const (
	// lifetime is a minute less than the 15 for which STS takes a presigned
	// request, for clocks that differ.
	lifetime = 14 * time.Minute

	// maxReference is the longest token that aws-iam-authenticator takes.
	maxReference = 4096

	emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

// Credentials are AWS credentials.
type Credentials struct {
	AccessKeyID     string
	SecretAccessKey string
	// SessionToken is empty for the keys of an IAM user, otherwise visible ASCII.
	SessionToken string
	// Expires is zero for credentials that never expire.
	Expires time.Time
}

// MintConfig says for which cluster, where and as whom to make a token.
type MintConfig struct {
	// ClusterID is the cluster's name, which the verifier must know as its own:
	// visible ASCII, with single spaces inside.
	ClusterID string
	// Region is the one whose STS the verifier will ask; it tells the partition
	// too. "aws-global" stands for the global endpoint of partition aws.
	Region string
	// FIPS and DualStack choose the region's other endpoints. Default: neither.
	FIPS, DualStack bool
	// Credentials sign the token. Required.
	Credentials Credentials
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// Token is a bearer token of EKS.
type Token struct {
	// Value is what kubectl sends.
	Value string
	// Expires is 14 minutes from now, or when the credentials expire, if that
	// comes first.
	Expires time.Time
	// Long says that Value has more than 4,096 characters, which
	// aws-iam-authenticator refuses; EKS itself does not.
	Long bool
}

// Mint makes a token. It asks nobody, and the same arguments at the same second
// give the same token. The format is that of aws-iam-authenticator; the
// signature is AWS Signature Version 4 in the query
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html).
func Mint(c MintConfig) (Token, error) {
	now := time.Now
	if c.Now != nil {
		now = c.Now
	}
	at := now()
	if err := c.check(at); err != nil {
		return Token{}, fmt.Errorf("minting a token: %w", err)
	}
	host, region := partitionOf(c.Region).host(c.Region, c.FIPS, c.DualStack), c.Region
	if c.Region == globalRegion {
		host, region = globalHost, globalScope
	}
	r := request{
		host: host, accessKeyID: c.Credentials.AccessKeyID, region: region, expires: "60",
		date: at.UTC().Format(dateLayout), sessionToken: escape(c.Credentials.SessionToken),
	}
	r.signature = r.sign(c.ClusterID, c.Credentials.SecretAccessKey)
	url := "https://" + host + "/?" + r.signed()
	value := make([]byte, len(Prefix), len(Prefix)+base64.RawURLEncoding.EncodedLen(len(url)))
	copy(value, Prefix)
	t := Token{Value: string(base64.RawURLEncoding.AppendEncode(value, []byte(url))), Expires: at.Add(lifetime)}
	t.Long = len(t.Value) > maxReference
	if e := c.Credentials.Expires; !e.IsZero() && e.Before(t.Expires) {
		t.Expires = e
	}
	return t, nil
}

func (c MintConfig) check(at time.Time) error {
	k := c.Credentials
	switch {
	case !isClusterID(c.ClusterID):
		return fmt.Errorf("%q is not a cluster's name", c.ClusterID)
	case !isRegion(c.Region):
		return fmt.Errorf("%q is not a region", c.Region)
	case c.Region == globalRegion && (c.FIPS || c.DualStack):
		return errors.New("the global endpoint of STS is neither FIPS nor dual-stack")
	case !isAccessKeyID(k.AccessKeyID):
		return errors.New("the access key id is missing or malformed")
	case k.SecretAccessKey == "":
		return errors.New("the secret access key is missing")
	case !isEscaped(escape(k.SessionToken)):
		return errors.New("the session token holds more than visible ASCII")
	case !k.Expires.IsZero() && !k.Expires.After(at):
		return fmt.Errorf("the credentials have expired at %s", k.Expires.UTC().Format(time.RFC3339))
	}
	return nil
}

// request is GetCallerIdentity presigned, in its parts. All are as they stand in
// the query except for host, which comes from the lists in this package.
type request struct {
	host         string
	accessKeyID  string
	date         string // as dateLayout; its first eight characters are the scope's day
	region       string // what it is signed for
	expires      string // seconds
	sessionToken string // "" for an IAM user's keys
	signature    string
}

const signatureParameter = "&X-Amz-Signature="

// signed is the whole query.
func (r *request) signed() string { return r.query(signatureParameter + r.signature) }

// query is the canonical query, which is all but the signature in alphabetical
// order, with what follows it.
func (r *request) query(end string) string {
	session := ""
	if r.sessionToken != "" {
		session = "&X-Amz-Security-Token=" + r.sessionToken
	}
	return "Action=" + action + "&Version=" + version + "&X-Amz-Algorithm=" + algorithm +
		"&X-Amz-Credential=" + r.accessKeyID + "%2F" + r.date[:len(dayLayout)] + "%2F" + r.region + scopeEnd +
		"&X-Amz-Date=" + r.date + "&X-Amz-Expires=" + r.expires + session +
		"&X-Amz-SignedHeaders=" + signedHeaders + end
}

// sign gives the signature of all the rest.
func (r *request) sign(clusterID, secret string) string {
	canonical := "GET\n/\n" + r.query("") + "\nhost:" + r.host + "\n" + clusterHeader + ":" + clusterID +
		"\n\nhost;" + clusterHeader + "\n" + emptyHash
	hash := sha256.Sum256([]byte(canonical))
	day := r.date[:len(dayLayout)]
	toSign := algorithm + "\n" + r.date + "\n" + day + "/" + r.region + "/" + service + "/" + terminator + "\n" +
		hex.EncodeToString(hash[:])
	key := []byte("AWS4" + secret)
	for _, part := range []string{day, r.region, service, terminator, toSign} {
		m := hmac.New(sha256.New, key)
		m.Write([]byte(part))
		key = m.Sum(nil)
	}
	return hex.EncodeToString(key)
}

// escape percent-encodes as SigV4 wants it: everything but letters, digits and
// -._~, in upper case.
func escape(s string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	b.Grow(len(s) + len(s)/8)
	for i := range len(s) {
		if c := s[i]; isUnreserved(c) {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		}
	}
	return b.String()
}

func isUnreserved(c byte) bool {
	return isLower(c) || isDigit(c) || 'A' <= c && c <= 'Z' || c == '-' || c == '.' || c == '_' || c == '~'
}

// isClusterID holds what a header can carry so that all signers agree about it:
// SigV4 folds runs of spaces and cuts them off at the ends.
func isClusterID(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == ' ' && (i == 0 || s[i-1] == ' ') {
			return false
		}
	}
	return s != "" && s[len(s)-1] != ' '
}

// isAccessKeyID holds the accessKeyIdType of the IAM API, but takes shorter ones.
func isAccessKeyID(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isUnreserved(c) || c == '-' || c == '.' || c == '~' {
			return false
		}
	}
	return s != "" && len(s) <= 128
}
