package ekstoken

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
)

// refused asserts that a token is refused for a reason and that STS is not asked.
func refused(t *testing.T, token, want string) {
	t.Helper()
	v := verifierOf(t, sts(func(r *http.Request) (*http.Response, error) {
		t.Errorf("STS was asked: %s", r.Host)
		return nil, errors.New("no")
	}))
	_, err := v.Verify(t.Context(), token)
	b, ok := errors.AsType[*BadToken](err)
	if !ok || b.Reason != want {
		t.Fatalf("got error %v, want the reason %q", err, want)
	}
	if b.Future != (want == ReasonFuture) {
		t.Errorf("got Future %t", b.Future)
	}
}

func TestVerifyRefusesSpellingsOfTokens(t *testing.T) {
	good := golden(t)
	for _, row := range []struct {
		reason, token, want string
	}{
		{"nothing", "", ReasonPrefix},
		{"longer than 16 KiB", Prefix + strings.Repeat("A", maxToken), ReasonTooLong},
		{"another version", strings.Replace(good, "v1", "v2", 1), ReasonPrefix},
		{"a prefix in capitals", "K8S-AWS-V1." + good[len(Prefix):], ReasonPrefix},
		{"a space before it", " " + good, ReasonPrefix},
		{"a line feed, which Go's decoder skips", good[:40] + "\n" + good[40:], ReasonEncoding},
		{"a carriage return", good + "\r", ReasonEncoding},
		{"padding", good + "=", ReasonEncoding},
		{"the alphabet of plain base64", encode("https://?~~~")[:20] + "+/", ReasonEncoding},
		{"stray bits at the end, a second spelling of the same URL", encode("a")[:len(Prefix)+1] + "R", ReasonEncoding},
		{"a character alone at the end", good + "AAA", ReasonEncoding},
		{"not ASCII", good + "\u212a", ReasonEncoding},
		{"the bare prefix", Prefix, ReasonScheme},
	} {
		t.Run(row.reason, func(t *testing.T) { refused(t, row.token, row.want) })
	}
}

func TestVerifyRefusesURLs(t *testing.T) {
	const host = "sts.us-west-2.amazonaws.com"
	for _, row := range []struct {
		reason   string
		old, new string // what to replace in the golden URL
		want     string
	}{
		{"plain http", "https:", "http:", ReasonScheme},
		{"a scheme in capitals", "https:", "HTTPS:", ReasonScheme},
		{"no host's slashes", "https://", "https:", ReasonScheme},
		{"no host", host, "", ReasonHost},
		{"another host", host, "evil.example", ReasonHost},
		{"an unknown region would be looked up and counted", host, "sts.evil.amazonaws.com", ReasonHost},
		{"another service of Amazon", host, "s3.us-west-2.amazonaws.com", ReasonHost},
		{"a bucket that plays STS", host, "sts.us-west-2.s3.amazonaws.com", ReasonHost},
		{"another partition", host, "sts.cn-north-1.amazonaws.com.cn", ReasonHost},
		{"another partition under the same suffix", host, "sts.us-gov-west-1.amazonaws.com", ReasonHost},
		{"a port", host, host + ":443", ReasonHost},
		{"an empty port", host, host + ":", ReasonHost},
		{"user info", host, host + "@evil.example", ReasonHost},
		{"user info before the right host", host, "evil@" + host, ReasonHost},
		{"a trailing dot", host, host + ".", ReasonHost},
		{"upper case", host, "STS.us-west-2.amazonaws.com", ReasonHost},
		{"the Kelvin sign folds to k, dotted I to i", host, "st\u0130s.us-west-2.amazonaws.com", ReasonHost},
		{"long s folds to s", host, "\u017fts.us-west-2.amazonaws.com", ReasonHost},
		{"an escape in the host", host, "sts%2Eus-west-2.amazonaws.com", ReasonHost},
		{"a backslash, which browsers take for a slash", host, host + "\\@evil.example", ReasonHost},
		{"a fragment", "&Version", "#&Version", ReasonFragment},
		{"a fragment before the path", host + "/", host + "#/", ReasonFragment},
		{"no path", host + "/?", host + "?", ReasonPath},
		{"a path", host + "/?", host + "/x?", ReasonPath},
		{"two slashes", host + "/?", host + "//?", ReasonPath},
		{"a dot", host + "/?", host + "/.?", ReasonPath},
		{"an escaped path", host + "/?", host + "/%2F?", ReasonPath},
		{"no query", host + "/?", host + "/", ReasonPath},
	} {
		t.Run(row.reason, func(t *testing.T) { refused(t, replaced(t, row.old, row.new), row.want) })
	}
	t.Run("nothing but a host", func(t *testing.T) { refused(t, encode("https://"+host), ReasonPath) })
}

func TestVerifyRefusesQueries(t *testing.T) {
	const credential = "&X-Amz-Credential=ASIAR2TG44V6AS3ZZE7C%2F20230428%2Fus-west-2%2Fsts%2Faws4_request"
	for _, row := range []struct {
		reason   string
		old, new string
		want     string
	}{
		{"an unknown parameter", "&Version", "&x=y&Version", ReasonParameter},
		{"an empty parameter", "&Version", "&&Version", ReasonParameter},
		{"a parameter of another call", "&Version", "&RoleArn=x&Version", ReasonParameter},
		{"a second credential in lower case chooses the access key (CVE-2022-2385)", credential, credential + strings.ToLower(credential), ReasonParameter},
		{"a parameter in lower case", "Action", "action", ReasonParameter},
		{"a parameter in capitals", "X-Amz-Date", "X-AMZ-DATE", ReasonParameter},
		{"a parameter with an escape", "Action", "%41ction", ReasonParameter},
		{"a parameter with a Kelvin sign", "X-Amz-Date", "X-Amz-Secur\u0130ty-To\u212aen", ReasonParameter},
		{"an action twice", "&Version", "&Action=GetCallerIdentity&Version", ReasonDuplicate},
		{"a date twice", "&X-Amz-Date", "&X-Amz-Date=20230428T000001Z&X-Amz-Date", ReasonDuplicate},
		{"a semicolon, at which some split", "&Version", ";Version", ReasonSpelling},
		{"no action", "Action=GetCallerIdentity&", "", ReasonMissing},
		{"no version", "&Version=2011-06-15", "", ReasonMissing},
		{"no algorithm", "&X-Amz-Algorithm=AWS4-HMAC-SHA256", "", ReasonMissing},
		{"no credential", credential, "", ReasonMissing},
		{"no date", "&X-Amz-Date=20230428T000000Z", "", ReasonMissing},
		{"no expiry", "&X-Amz-Expires=60", "", ReasonMissing},
		{"no signed headers", "&X-Amz-SignedHeaders=host%3Bx-k8s-aws-id", "", ReasonMissing},
		{"no signature", "&X-Amz-Signature=", "&X-Amz-Security-Token=", ReasonMissing},
		{"an empty value", "=60", "=", ReasonMissing},
		{"no value", "=60", "", ReasonMissing},
		{"an empty session token", "&Version", "&X-Amz-Security-Token=&Version", ReasonMissing},
		{"a plus, which is a space to some", "=60", "=+60", ReasonSpelling},
		{"a broken escape", "host%3B", "host%3", ReasonSpelling},
		{"an escape of no digits", "host%3B", "host%zz", ReasonSpelling},
		{"a cut escape at the end of a value", "&Version", "&X-Amz-Security-Token=a%2&Version", ReasonSpelling},
		{"an escape in lower case, a second spelling", "host%3B", "host%3b", ReasonSpelling},
		{"an escape that is not needed, a second spelling", "=60", "=%360", ReasonSpelling},
		{"an escape twice", "host%3B", "host%253B", ReasonSignedHeaders},
		{"an escaped line end", "=60", "=60%0D%0A", ReasonSpelling},
		{"an escaped zero", "=60", "=60%00", ReasonSpelling},
		{"a character beyond ASCII", "Identity", "Ident\u0130ty", ReasonSpelling},
		{"an escaped character beyond ASCII", "x-k8s", "x-%E2%84%AA8s", ReasonSpelling},
		{"a second equals sign", "=60", "==60", ReasonSpelling},
	} {
		t.Run(row.reason, func(t *testing.T) { refused(t, replaced(t, row.old, row.new), row.want) })
	}
}

func TestVerifyRefusesValues(t *testing.T) {
	const scope = "%2F20230428%2Fus-west-2%2Fsts%2Faws4_request"
	for _, row := range []struct {
		reason   string
		old, new string
		want     string
	}{
		{"another action", "GetCallerIdentity", "AssumeRole", ReasonAction},
		{"an action in lower case", "GetCallerIdentity", "getcalleridentity", ReasonAction},
		{"another version", "2011-06-15", "2011-06-16", ReasonVersion},
		{"another algorithm", "SHA256", "SHA1", ReasonAlgorithm},
		{"a token for no cluster can be used on all", "host%3Bx-k8s-aws-id", "host", ReasonSignedHeaders},
		{"a header that we do not send", "host%3Bx-k8s-aws-id", "host%3Bx-amz-y%3Bx-k8s-aws-id", ReasonSignedHeaders},
		{"another order", "host%3Bx-k8s-aws-id", "x-k8s-aws-id%3Bhost", ReasonSignedHeaders},
		{"signed headers in capitals", "host%3Bx-k8s-aws-id", "host%3BX-K8s-Aws-Id", ReasonSignedHeaders},
		{"expiry at once", "=60", "=0", ReasonExpires},
		{"expiry beyond 15 minutes", "=60", "=901", ReasonExpires},
		{"a negative expiry", "=60", "=-60", ReasonExpires},
		{"an expiry with a sign", "=60", "=%2B60", ReasonExpires},
		{"an expiry with a leading zero", "=60", "=060", ReasonExpires},
		{"an expiry that overflows", "=60", "=18446744073709551676", ReasonExpires},
		{"a short signature", "&X-Amz-Signature=", "&X-Amz-Security-Token=x&X-Amz-Signature=a", ReasonSignature},
		{"a signature in capitals", "=e211dba77aba", "=E211DBA77ABA", ReasonSignature},
		{"a date with a fraction, which Go's parser takes", "T000000Z", "T000000.5Z", ReasonDate},
		{"a date with an offset", "T000000Z", "T000000-0000", ReasonDate},
		{"no such day", "=20230428T", "=20230431T", ReasonDate},
		{"a minute too old", "=20230428T000000Z", "=20230427T234500Z", ReasonOld},
		{"a minute too far ahead", "=20230428T000000Z", "=20230428T000700Z", ReasonFuture},
		{"a year ahead", "=20230428T", "=20240428T", ReasonFuture},
		{"no scope", scope, "", ReasonScope},
		{"no access key", "ASIAR2TG44V6AS3ZZE7C", "", ReasonScope},
		{"an access key that is none", "ASIAR2TG44V6AS3ZZE7C", "%7B%7BAccessKeyID%7D%7D", ReasonScope},
		{"an access key without end", "ASIAR2TG44V6AS3ZZE7C", strings.Repeat("A", 129), ReasonScope},
		{"the scope of another day", "%2F20230428", "%2F20230427", ReasonScopeDate},
		{"the scope of another region", "%2Fus-west-2", "%2Fus-east-1", ReasonScopeRegion},
		{"the scope of another service", "%2Fsts", "%2Fiam", ReasonScopeService},
		{"another end of the scope", "aws4_request", "aws4a_request", ReasonScopeTerminator},
		{"more behind the scope", "aws4_request", "aws4_request%2Fx", ReasonScopeTerminator},
		{"the global host wants us-east-1", "sts.us-west-2.", "sts.", ReasonScopeRegion},
	} {
		t.Run(row.reason, func(t *testing.T) { refused(t, replaced(t, row.old, row.new), row.want) })
	}
}

// replaced gives the golden token with one thing in its URL replaced.
func replaced(t *testing.T, old, by string) string {
	t.Helper()
	u := plain(t, golden(t))
	if !strings.Contains(u, old) {
		t.Fatalf("%q is not in %q", old, u)
	}
	return encode(strings.Replace(u, old, by, 1))
}

func TestVerifyTakesWhatIsWithinTheLimits(t *testing.T) {
	for _, row := range []struct {
		reason   string
		old, new string
		after    time.Duration // since the token was made
	}{
		{"15 minutes old", "", "", 15 * time.Minute},
		{"5 minutes ahead", "", "", -5 * time.Minute},
		{"expires in a second", "=60", "=1", 0},
		{"expires in 15 minutes", "=60", "=900", 0},
		{"a session token", "&Version", "&X-Amz-Security-Token=a%2F%2B%3D&Version", 0},
		{"longer than the reference takes", "&Version", "&X-Amz-Security-Token=" + strings.Repeat("a", 11000) + "&Version", 0},
		{"another order", "Action=GetCallerIdentity&Version=2011-06-15", "Version=2011-06-15&Action=GetCallerIdentity", 0},
	} {
		asked := false
		v := newVerifier(t, func(c *VerifierConfig) {
			c.Now = func() time.Time { return goldenTime.Add(row.after) }
			c.Transport = sts(func(*http.Request) (*http.Response, error) { asked = true; return answer(200, alice), nil })
		})
		if _, err := v.Verify(t.Context(), replaced(t, row.old, row.new)); err != nil || !asked {
			t.Errorf("%s: got error %v, STS asked: %t", row.reason, err, asked)
		}
	}
}
