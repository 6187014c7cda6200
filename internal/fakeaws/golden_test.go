package fakeaws_test

import (
	"encoding/base64"
	"net/http"
	"testing"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
)

// The example of TestGetWithSTS in sigs.k8s.io/aws-iam-authenticator
// pkg/token v0.7.18: invented credentials, a moment, the cluster test-cluster
// and the token that comes of them.
const (
	goldenKey     = "ASIAR2TG44V6AS3ZZE7C"
	goldenSecret  = "NEtENWNudEdjVm1MV1JkRjV3dk5SdXpOTDVReG1wNk9LVlk2RnovUQ==" // in base64
	goldenMoment  = 1682640000
	goldenCluster = "test-cluster"
	goldenToken   = "aHR0cHM6Ly9zdHMudXMtd2VzdC0yLmFtYXpvbmF3cy5jb20vP0FjdGlvbj1HZXRDYWxsZXJJZGVudGl0eSZWZXJzaW9uPTIwMTEtMDYtMTUmWC1BbXotQWxnb3JpdGhtPUFXUzQtSE1BQy1TSEEyNTYmWC1BbXotQ3JlZGVudGlhbD1BU0lBUjJURzQ0VjZBUzNaWkU3QyUyRjIwMjMwNDI4JTJGdXMtd2VzdC0yJTJGc3RzJTJGYXdzNF9yZXF1ZXN0JlgtQW16LURhdGU9MjAyMzA0MjhUMDAwMDAwWiZYLUFtei1FeHBpcmVzPTYwJlgtQW16LVNpZ25lZEhlYWRlcnM9aG9zdCUzQngtazhzLWF3cy1pZCZYLUFtei1TaWduYXR1cmU9ZTIxMWRiYTc3YWJhOWRjNDRiMGI2YmUzOGI4ZWFhZDA5MjU5OWM1MTU3ZjYzMTQ0NDRjNWI5ZDg1NzQ3ZjVjZQ"
)

func TestGoldenToken(t *testing.T) {
	secret := must(base64.StdEncoding.DecodeString(goldenSecret))
	signed := string(must(base64.RawURLEncoding.DecodeString(goldenToken)))
	for _, row := range []struct {
		reason, cluster string
		age             time.Duration
		code            string
	}{
		{"at once", goldenCluster, 0, ""},
		{"at its end", goldenCluster, 15 * time.Minute, ""},
		{"after its end", goldenCluster, 15*time.Minute + time.Second, "SignatureDoesNotMatch"},
		{"before its time, within a clock's error", goldenCluster, -5 * time.Minute, ""},
		{"before its time", goldenCluster, -5*time.Minute - time.Second, "SignatureDoesNotMatch"},
		{"at another cluster", "other-cluster", 0, "SignatureDoesNotMatch"},
	} {
		s := fakeaws.New(fakeaws.Config{
			AccessKeyID: goldenKey, SecretAccessKey: string(secret),
			Now: func() time.Time { return time.Unix(goldenMoment, 0).Add(row.age) },
		})
		r := newRequest(http.MethodGet, signed, "")
		r.Header.Set("X-K8s-Aws-Id", row.cluster)
		if _, e := send(t, s, r); e.Code != row.code {
			t.Errorf("%s: got %q (%s), want %q", row.reason, e.Code, e.Message, row.code)
		}
	}
}
