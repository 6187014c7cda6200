package ekstoken

import "crypto/sha256"

// Fingerprint stands for the request in a token, without revealing it: tokens
// whose parameters only come in another order have the same one. What no Verifier
// can read has a fingerprint of its text, and never that of a token.
func Fingerprint(token string) [sha256.Size]byte {
	text, b := decode(token)
	if b != nil {
		return fingerprint("text", token)
	}
	host, query, b := split(text)
	if b != nil {
		return fingerprint("text", token)
	}
	p, b := readQuery(query)
	if b != nil {
		return fingerprint("text", token)
	}
	// No value of an encoded query holds a separator; a host may hold anything
	// but the one in front of the query.
	return fingerprint("request", host, "/", p[pAction], "&", p[pVersion], "&", p[pAlgorithm], "&", p[pCredential], "&", p[pDate],
		"&", p[pExpires], "&", p[pSignature], "&", p[pSignedHeaders], "&", p[pSecurityToken])
}

func fingerprint(kind string, parts ...string) [sha256.Size]byte {
	length := len(kind) + 1
	for _, part := range parts {
		length += len(part)
	}
	text := append(append(make([]byte, 0, length), kind...), ' ')
	for _, part := range parts {
		text = append(text, part...)
	}
	return sha256.Sum256(text)
}
