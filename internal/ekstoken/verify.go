package ekstoken

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"
)

const defaultConcurrent = 1000

// VerifierConfig says for which cluster to verify tokens, and which STS to ask.
type VerifierConfig struct {
	// ClusterID is the cluster's name, which tokens must be signed for. Required.
	ClusterID string
	// Partition is the one that tokens must be of. Default: aws.
	Partition string
	// Region is the server's own, whose STS is accepted though this program may
	// not know it yet. Default: none.
	Region string
	// STSRegions are further such regions.
	STSRegions []string
	// Transport sends the requests to STS and must not follow redirects.
	// Default: NewTransport(). To ask another machine than AWS, let it dial
	// there and keep the request's host.
	Transport http.RoundTripper
	// Now is the clock. Default: time.Now.
	Now func() time.Time
	// MaxConcurrent is how many calls to STS may be under way; what comes
	// beyond them gets ErrBusy. Default: 1,000.
	MaxConcurrent int
}

// Verifier checks tokens. It may be used concurrently and keeps nothing of a
// token once Verify has returned.
type Verifier struct {
	clusterID string
	partition string
	hosts     map[string]string
	transport http.RoundTripper
	now       func() time.Time
	calls     calls
}

// NewVerifier refuses a config without a cluster, with an unknown partition or
// with regions that are not of it.
func NewVerifier(c VerifierConfig) (*Verifier, error) {
	v := &Verifier{clusterID: c.ClusterID, partition: c.Partition, transport: c.Transport, now: c.Now}
	if !isClusterID(c.ClusterID) {
		return nil, fmt.Errorf("verifying tokens: %q is not a cluster's name", c.ClusterID)
	}
	if v.partition == "" {
		v.partition = partitionAWS
	}
	regions := slices.Clone(c.STSRegions)
	if c.Region != "" {
		regions = append(regions, c.Region)
	}
	var err error
	if v.hosts, err = hosts(v.partition, regions); err != nil {
		return nil, fmt.Errorf("verifying tokens: %w", err)
	}
	if v.transport == nil {
		v.transport = NewTransport()
	}
	if v.now == nil {
		v.now = time.Now
	}
	if c.MaxConcurrent < 0 {
		return nil, errors.New("verifying tokens: MaxConcurrent is negative")
	}
	if c.MaxConcurrent == 0 {
		c.MaxConcurrent = defaultConcurrent
	}
	v.calls = calls{max: c.MaxConcurrent, timeout: callTimeout, ask: v.call, waiting: make(map[request]*call)}
	return v, nil
}

// Verify tells who made the token, after STS has. Its errors are sorted by who
// must act: *BadToken and *Refused (the client), or what wraps ErrUnavailable,
// ErrThrottled or ErrBusy (nobody; the token may be good). A caller that leaves
// gets ErrUnavailable and its context's error. None of them quotes the token.
//
// Calls at the same time with tokens of the same Fingerprint share one call to
// STS, which takes at most 10 seconds. It ends with the context of the last one
// that waits; the one that came first returns only when it has ended.
func (v *Verifier) Verify(ctx context.Context, token string) (Identity, error) {
	r, b := parse(token, v.hosts, v.now())
	if b != nil {
		return Identity{}, b
	}
	reply, err := v.calls.do(ctx, r)
	if err != nil {
		return Identity{}, err
	}
	if reply.status != http.StatusOK {
		return Identity{}, readRefusal(reply.status, reply.body)
	}
	id, err := readIdentity(reply.body, v.partition)
	if err != nil {
		return Identity{}, err
	}
	id.AccessKeyID = r.accessKeyID
	return id, nil
}
