package ekstoken

import (
	"encoding/base64"
	"strings"
	"time"
)

const (
	maxToken   = 16 << 10
	maxAge     = 15 * time.Minute // STS takes a presigned request no longer
	maxAhead   = 5 * time.Minute  // STS allows clocks to differ by so much
	maxExpires = 900
)

// parameters are the values of the query by parameter, as they stand in it.
type parameters [9]string

const (
	pAction = iota
	pVersion
	pAlgorithm
	pCredential
	pDate
	pExpires
	pSignature
	pSignedHeaders
	pSecurityToken // the only one that may be missing
)

// parse climbs the ladder of refusals, cheapest first, as far as it goes without
// the network. hosts maps the STS endpoints to the regions they are signed for.
func parse(token string, hosts map[string]string, now time.Time) (*request, *BadToken) {
	text, b := decode(token)
	if b != nil {
		return nil, b
	}
	host, query, b := split(text)
	if b != nil {
		return nil, b
	}
	region, ok := hosts[host]
	if !ok {
		return nil, bad(ReasonHost)
	}
	p, b := readQuery(query)
	if b != nil {
		return nil, b
	}
	r := &request{host: host, region: region, expires: p[pExpires], date: p[pDate], signature: p[pSignature], sessionToken: p[pSecurityToken]}
	for _, rung := range []func(*parameters) *BadToken{checkCall, checkSignedHeaders, checkExpires, checkSignature} {
		if b := rung(p); b != nil {
			return nil, b
		}
	}
	if b := checkDate(r.date, now); b != nil {
		return nil, b
	}
	if b := r.readCredential(p[pCredential]); b != nil {
		return nil, b
	}
	return r, nil
}

// decode undoes the token's base64url, of which it takes one spelling only: Go's
// decoder passes over line ends, and stray bits at the end unless it is strict.
func decode(token string) (string, *BadToken) {
	if len(token) > maxToken {
		return "", bad(ReasonTooLong)
	}
	encoded, ok := strings.CutPrefix(token, Prefix)
	if !ok {
		return "", bad(ReasonPrefix)
	}
	if strings.ContainsAny(encoded, "\r\n") {
		return "", bad(ReasonEncoding)
	}
	text, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return "", bad(ReasonEncoding)
	}
	return string(text), nil
}

// split takes the URL apart. Whatever else the host's part holds, such as a
// port, is looked up with it and found on no list.
func split(text string) (host, query string, _ *BadToken) {
	rest, ok := strings.CutPrefix(text, "https://")
	if !ok {
		return "", "", bad(ReasonScheme)
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		return "", "", bad(ReasonPath)
	}
	host, rest = rest[:end], rest[end:]
	if strings.IndexByte(rest, '#') >= 0 {
		return "", "", bad(ReasonFragment)
	}
	query, ok = strings.CutPrefix(rest, "/?")
	if !ok {
		return "", "", bad(ReasonPath)
	}
	return host, query, nil
}

// readQuery takes the known parameters, in their one spelling, each once, in any
// order: aws-iam-authenticator and the AWS SDKs for Go sort them and put the
// signature last, the AWS CLI and botocore put the security token behind the
// signed headers, and the SDK for JavaScript sorts the signature in with the
// others. The signature is over the sorted query, so all orders are one request.
// Whatever is kept for a token is therefore kept for the request in it; see
// Fingerprint.
func readQuery(query string) (*parameters, *BadToken) {
	var p parameters
	for more := true; more; {
		var pair string
		pair, query, more = strings.Cut(query, "&")
		name, value, _ := strings.Cut(pair, "=")
		i := parameter(name)
		switch {
		case i < 0:
			return nil, bad(ReasonParameter)
		case p[i] != "":
			return nil, bad(ReasonDuplicate)
		case value == "":
			return nil, bad(ReasonMissing)
		case !isEscaped(value):
			return nil, bad(ReasonSpelling)
		}
		p[i] = value
	}
	for i := range pSecurityToken {
		if p[i] == "" {
			return nil, bad(ReasonMissing)
		}
	}
	return &p, nil
}

// parameter finds a parameter by its exact name; -1 is none. STS knows some of
// them in any case, so that a second one could hide behind another spelling.
func parameter(name string) int {
	switch name {
	case "Action":
		return pAction
	case "Version":
		return pVersion
	case "X-Amz-Algorithm":
		return pAlgorithm
	case "X-Amz-Credential":
		return pCredential
	case "X-Amz-Date":
		return pDate
	case "X-Amz-Expires":
		return pExpires
	case "X-Amz-Signature":
		return pSignature
	case "X-Amz-SignedHeaders":
		return pSignedHeaders
	case "X-Amz-Security-Token":
		return pSecurityToken
	default:
		return -1
	}
}

// isEscaped tells whether s is what escape gives for some visible ASCII: the
// only form in which no two readers differ.
func isEscaped(s string) bool {
	for i := 0; i < len(s); i++ {
		if isUnreserved(s[i]) {
			continue
		}
		if s[i] != '%' || i+2 >= len(s) {
			return false
		}
		high, low := hexDigit(s[i+1]), hexDigit(s[i+2])
		if high < 0 || low < 0 {
			return false
		}
		if c := byte(high<<4 | low); c <= ' ' || c > '~' || isUnreserved(c) {
			return false
		}
		i += 2
	}
	return true
}

// hexDigit reads a hexadecimal digit in upper case; -1 is none.
func hexDigit(c byte) int {
	switch {
	case isDigit(c):
		return int(c - '0')
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	default:
		return -1
	}
}

func checkCall(p *parameters) *BadToken {
	switch {
	case p[pAction] != action:
		return bad(ReasonAction)
	case p[pVersion] != version:
		return bad(ReasonVersion)
	case p[pAlgorithm] != algorithm:
		return bad(ReasonAlgorithm)
	}
	return nil
}

// checkSignedHeaders refuses a token that was not signed for a cluster, which
// could be used on every one, and headers that we would not send.
func checkSignedHeaders(p *parameters) *BadToken {
	if p[pSignedHeaders] != signedHeaders {
		return bad(ReasonSignedHeaders)
	}
	return nil
}

func checkExpires(p *parameters) *BadToken {
	s, seconds := p[pExpires], 0
	if len(s) > len("900") || s[0] == '0' {
		return bad(ReasonExpires)
	}
	for i := range len(s) {
		if !isDigit(s[i]) {
			return bad(ReasonExpires)
		}
		seconds = seconds*10 + int(s[i]-'0')
	}
	if seconds > maxExpires {
		return bad(ReasonExpires)
	}
	return nil
}

func checkSignature(p *parameters) *BadToken {
	s := p[pSignature]
	if len(s) != 64 {
		return bad(ReasonSignature)
	}
	for i := range len(s) {
		if !isDigit(s[i]) && (s[i] < 'a' || s[i] > 'f') {
			return bad(ReasonSignature)
		}
	}
	return nil
}

func checkDate(date string, now time.Time) *BadToken {
	if len(date) != len(dateLayout) { // the layout's parser would take fractions of a second
		return bad(ReasonDate)
	}
	at, err := time.Parse(dateLayout, date)
	switch age := now.Sub(at); {
	case err != nil:
		return bad(ReasonDate)
	case age > maxAge:
		return bad(ReasonOld)
	case age < -maxAhead:
		return &BadToken{Reason: ReasonFuture, Future: true}
	}
	return nil
}

// readCredential takes the access key's id; the scope must be that of the date
// and the host.
func (r *request) readCredential(credential string) *BadToken {
	const slash = "%2F"
	id, rest, ok1 := strings.Cut(credential, slash)
	day, rest, ok2 := strings.Cut(rest, slash)
	region, rest, ok3 := strings.Cut(rest, slash)
	sts, end, ok4 := strings.Cut(rest, slash)
	switch {
	case !ok1 || !ok2 || !ok3 || !ok4 || !isAccessKeyID(id):
		return bad(ReasonScope)
	case day != r.date[:len(dayLayout)]:
		return bad(ReasonScopeDate)
	case region != r.region:
		return bad(ReasonScopeRegion)
	case sts != service:
		return bad(ReasonScopeService)
	case end != terminator:
		return bad(ReasonScopeTerminator)
	}
	r.accessKeyID = id
	return nil
}
