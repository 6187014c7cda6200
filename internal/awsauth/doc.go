// Package awsauth edits the lists of the ConfigMap kube-system/aws-auth
// without touching a byte that belongs to somebody else.
//
// It reads a list as EKS reads it (aws-iam-authenticator: YAML to JSON, then
// encoding/json with its tolerance), finds where each entry stands in the
// text, and puts entries in and takes them out again. What it cannot read
// with certainty it leaves exactly as it is and says so. Which entries there
// should be, and whose they are, its callers decide; it does no I/O.
package awsauth
