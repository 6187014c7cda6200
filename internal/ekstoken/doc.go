// Package ekstoken makes and checks the bearer tokens of Amazon EKS: a request
// for the caller's own identity, presigned for AWS STS and bound to one
// cluster, that proves who its maker is to anybody who sends it.
//
// It leaves to its callers where credentials come from and what an identity
// may do. It promises that nothing of a caller's URL is sent anywhere: what
// Verify asks STS is built anew from values that it checked, on hosts from a
// fixed list. It links no AWS SDK.
package ekstoken

const (
	// Prefix begins every token.
	Prefix = "k8s-aws-v1."

	action        = "GetCallerIdentity"
	version       = "2011-06-15"
	algorithm     = "AWS4-HMAC-SHA256"
	service       = "sts"
	terminator    = "aws4_request"
	clusterHeader = "x-k8s-aws-id"

	// As they stand in a query.
	scopeEnd      = "%2F" + service + "%2F" + terminator
	signedHeaders = "host%3B" + clusterHeader

	dayLayout  = "20060102"
	dateLayout = "20060102T150405Z"
)
