package fakeaws

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	algorithm  = "AWS4-HMAC-SHA256"
	terminator = "aws4_request"
	stampForm  = "20060102T150405Z"
	dayForm    = "20060102"
	// maxSkew is how far a request's date may be from our clock.
	maxSkew = 5 * time.Minute
	// presignedLife is how old a presigned request may be, which STS decides
	// without regard to X-Amz-Expires.
	presignedLife = 15 * time.Minute
)

// signature is what a request says about its own signature, wherever in the
// request it says it.
type signature struct {
	keyID, day, region, service string // the Credential
	signedHeaders               []string
	value                       string // lower case hex
	stamp                       string // as sent
	signedAt                    time.Time
	sessionToken                string
	presigned                   bool // it stands in the query
}

// parseSignature reads a request's signature, nil if there is none. Format:
// "Create a signed AWS API request" in the IAM user guide.
func parseSignature(r *http.Request) (*signature, error) {
	presigned, err := parsePresigned(r)
	if err != nil {
		return nil, err
	}
	values := r.Header.Values("Authorization")
	switch {
	case len(values) > 1 || len(values) == 1 && presigned != nil:
		return nil, errIncompleteSignature("The request has several signatures.")
	case len(values) == 1:
		return parseAuthorization(values[0], r.Header)
	default:
		return presigned, nil
	}
}

func parseAuthorization(value string, header http.Header) (*signature, error) {
	rest, ok := strings.CutPrefix(value, algorithm+" ")
	if !ok {
		return nil, errIncompleteSignature("Authorization header requires '" + algorithm + "'.")
	}
	fields, err := authorizationFields(rest)
	if err != nil {
		return nil, err
	}
	s := &signature{value: fields["Signature"], sessionToken: header.Get("X-Amz-Security-Token")}
	if err := s.setCredential(fields["Credential"]); err != nil {
		return nil, err
	}
	if err := s.setSignedHeaders(fields["SignedHeaders"], header); err != nil {
		return nil, err
	}
	if err := s.setHeaderDate(header); err != nil {
		return nil, err
	}
	return s, nil
}

// authorizationFields splits "Credential=…, SignedHeaders=…, Signature=…",
// each of which must be there once and not be empty.
func authorizationFields(rest string) (map[string]string, error) {
	fields := map[string]string{"Credential": "", "SignedHeaders": "", "Signature": ""}
	for part := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		if have, known := fields[name]; !known || have != "" {
			return nil, errIncompleteSignature("Authorization header has an unknown or repeated parameter.")
		}
		fields[name] = value
	}
	for _, name := range []string{"Credential", "Signature", "SignedHeaders"} {
		if fields[name] == "" {
			return nil, errIncompleteSignature("Authorization header requires '" + name + "' parameter.")
		}
	}
	return fields, nil
}

func (s *signature) setCredential(credential string) error {
	parts := strings.Split(credential, "/")
	if len(parts) != 5 || slices.Contains(parts, "") {
		return errIncompleteSignature("Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term.")
	}
	if parts[4] != terminator {
		return errSignature("Credential should be scoped with a valid terminator: '" + terminator + "', not '" + parts[4] + "'.")
	}
	s.keyID, s.day, s.region, s.service = parts[0], parts[1], parts[2], parts[3]
	return nil
}

// setSignedHeaders insists on Host, on the date and on every x-amz header, as
// AWS's documentation does: an unsigned one could be changed on the way.
func (s *signature) setSignedHeaders(list string, header http.Header) error {
	s.signedHeaders = strings.Split(list, ";")
	if !slices.IsSorted(s.signedHeaders) || len(slices.Compact(slices.Clone(s.signedHeaders))) != len(s.signedHeaders) {
		return errIncompleteSignature("SignedHeaders must be sorted and free of repetitions.")
	}
	if !slices.Contains(s.signedHeaders, "host") {
		return errIncompleteSignature("'Host' must be a 'SignedHeader' in the AWS Authorization.")
	}
	for name := range header {
		name = strings.ToLower(name)
		if strings.HasPrefix(name, "x-amz-") && !slices.Contains(s.signedHeaders, name) {
			return errIncompleteSignature("'" + name + "' must be a 'SignedHeader' in the AWS Authorization.")
		}
	}
	return nil
}

// setHeaderDate takes X-Amz-Date or, without that, Date.
func (s *signature) setHeaderDate(header http.Header) error {
	if stamp := header.Get("X-Amz-Date"); stamp != "" {
		return s.setDate(stamp)
	}
	date, err := http.ParseTime(header.Get("Date"))
	if err == nil && !slices.Contains(s.signedHeaders, "date") {
		return errIncompleteSignature("'Date' must be a 'SignedHeader' in the AWS Authorization.")
	}
	if err != nil {
		return s.setDate("")
	}
	return s.setDate(date.UTC().Format(stampForm))
}

func (s *signature) setDate(stamp string) error {
	var err error
	s.stamp = stamp
	if s.signedAt, err = time.Parse(stampForm, stamp); err != nil {
		return errIncompleteSignature("Date must be in ISO-8601 'basic format'. See http://en.wikipedia.org/wiki/ISO_8601")
	}
	if s.signedAt.UTC().Format(dayForm) != s.day {
		return errSignature("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP.")
	}
	return nil
}

// checkDate refuses what was signed too long ago or will be.
func (s *signature) checkDate(now time.Time) error {
	life := maxSkew
	if s.presigned {
		life = presignedLife
	}
	if early := now.Add(-life); s.signedAt.Before(early) {
		return errSignature(fmt.Sprintf("Signature expired: %s is now earlier than %s (%s - %.0f min.)",
			s.stamp, early.Format(stampForm), now.Format(stampForm), life.Minutes()))
	}
	if late := now.Add(maxSkew); s.signedAt.After(late) {
		return errSignature("Signature not yet current: " + s.stamp + " is still later than " + late.Format(stampForm) + " (" + now.Format(stampForm) + " + 5 min.)")
	}
	return nil
}

// verify refuses the request unless the holder of the secret signed it, for
// this endpoint.
func (s *signature) verify(req *request, secret string) error {
	if region := endpointRegion(req.Host, s.service); region != "" && region != s.region {
		return errSignature("Credential should be scoped to a valid region, not '" + s.region + "'.")
	}
	canonical := sha256.Sum256([]byte(canonicalRequest(req, s)))
	scope := s.day + "/" + s.region + "/" + s.service + "/" + terminator
	toSign := algorithm + "\n" + s.stamp + "\n" + scope + "\n" + hex.EncodeToString(canonical[:])

	key := []byte("AWS4" + secret)
	for _, part := range []string{s.day, s.region, s.service, terminator} {
		key = hmacSHA256(key, part)
	}
	want := hex.EncodeToString(hmacSHA256(key, toSign))
	if !hmac.Equal([]byte(want), []byte(s.value)) {
		return errSignature("The request signature we calculated does not match the signature you provided. " +
			"Check your AWS Secret Access Key and signing method. Consult the service documentation for details.")
	}
	return nil
}

func hmacSHA256(key []byte, data string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(data))
	return m.Sum(nil)
}
