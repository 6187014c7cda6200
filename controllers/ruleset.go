package controllers

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// ruleset is the rules in force for one refresh, and what there is to say
// about the ones that people wrote.
type ruleset struct {
	set *rules.Set // nil: none accepted yet
	// inForce is the data behind set, digest its digest.
	inForce map[string]string
	digest  string
	// written is the ConfigMap, nil if there is none; problem is why it is not
	// in force.
	written  *corev1.ConfigMap
	problem  error
	approval approval
	// former are the earlier texts of the rules in force.
	former []rules.Former
}

var (
	errRulesMissing = errors.New("there is no rules ConfigMap")
	errRulesSize    = errors.New("they are larger than 512 KiB; shorten them")
	errRulesBinary  = errors.New("binaryData is not read; write the rules under data.mapUsers and data.mapRoles")
)

// rulesCache remembers the rules that were written and those that were accepted
// last, compiled, because that is worth doing only when they change.
type rulesCache struct {
	options           rules.Options
	written, accepted compiled
	// said is accepted as read for aws-auth, which takes more than access
	// entries do.
	said compiled
}

// compileAccepted reads rules that were accepted before: what is refused since
// stays in force. If they were accepted for aws-auth and access entries are a
// target now, the grants that no access entry can say are left out one by one.
func (c *rulesCache) compileAccepted(data map[string]string) (*rules.Set, error) {
	options := c.options
	options.Accepted = true
	set, err := c.accepted.compile(data, options)
	if err == nil || !c.options.AccessEntries {
		return set, err
	}
	options.AccessEntries = false
	if set, lax := c.said.compile(data, options); lax == nil {
		return set, nil
	}
	return nil, err
}

type compiled struct {
	digest string
	set    *rules.Set
	err    error
}

func (c *compiled) compile(data map[string]string, o rules.Options) (*rules.Set, error) {
	digest := rules.DataDigest(data)
	if c.digest != digest {
		set, err := rules.Parse(data, o)
		*c = compiled{digest: digest, set: set, err: err}
	}
	return c.set, c.err
}

// choose accepts the rules in cm, or keeps those accepted last. Rules are
// accepted or refused as a whole; data without rules is accepted and grants
// nothing.
func choose(cm *corev1.ConfigMap, record rules.Record, cache *rulesCache, now time.Time) ruleset {
	rs := ruleset{written: cm, former: record.Former, approval: approval{Approval: record.Approval, spent: record.Spent}}
	accepted := record.Rules
	if rs.problem = unreadable(cm); rs.problem == nil {
		rs.set, rs.problem = cache.written.compile(cm.Data, cache.options)
	}
	if rs.problem == nil {
		rs.inForce = nonNil(cm.Data)
		rs.digest = rules.DataDigest(cm.Data)
		rs.approval = judgeApproval(cm.Annotations[ApproveAnnotation], rs.digest, record, now)
		rs.former = cache.formers(record, rs)
		return rs
	}
	rs.set, rs.inForce = nil, accepted
	if accepted == nil {
		return rs
	}
	set, err := cache.compileAccepted(accepted)
	if err != nil {
		rs.problem = fmt.Errorf("%w; and the rules accepted before are not accepted any longer: %w", rs.problem, err)
		return rs
	}
	rs.set, rs.digest = set, rules.DataDigest(accepted)
	return rs
}

// unreadable is why the rules in cm are refused before they are parsed.
func unreadable(cm *corev1.ConfigMap) error {
	switch {
	case cm == nil:
		return errRulesMissing
	case len(cm.BinaryData) > 0:
		return errRulesBinary
	case dataBytes(cm) > maxRulesBytes:
		return errRulesSize
	}
	return nil
}

// formers are the earlier texts of rules that have just been accepted, and what
// is known of them where they are still the same.
func (c *rulesCache) formers(record rules.Record, rs ruleset) []rules.Former {
	if record.Rules == nil || maps.Equal(record.Rules, rs.inForce) {
		return record.Former
	}
	before, err := c.compileAccepted(record.Rules)
	if err != nil {
		before = nil // an older version took them; of rules that are the same digests tell
	}
	return rules.Formers(record.Former, before, rs.set)
}

// maxRulesBytes leaves room for the accepted rules in the state ConfigMap.
const maxRulesBytes = 512 << 10

func dataBytes(cm *corev1.ConfigMap) int {
	size := 0
	for key, value := range cm.Data {
		size += len(key) + len(value)
	}
	return size
}

func nonNil(data map[string]string) map[string]string {
	if data == nil {
		return map[string]string{}
	}
	return data
}

// unsaved reports whether the rules in force are yet to be stored.
func (rs ruleset) unsaved(record rules.Record) bool {
	return !slices.Equal(rs.approval.spent, record.Spent) || rs.approval.Value != record.Approval.Value ||
		!sameFormers(rs.former, record.Former) || (rs.inForce == nil) != (record.Rules == nil) || !maps.Equal(rs.inForce, record.Rules)
}
