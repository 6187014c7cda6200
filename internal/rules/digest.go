package rules

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/api/v1alpha1"
)

const (
	contentDigestLength = 32
	shortDigestLength   = 16
	groupsDigestLength  = 8
)

// ContentDigest identifies what an entry of aws-auth means: its user name and
// the set of its groups, in whatever order and however often each is written.
// It is 32 hexadecimal characters of a SHA-256.
func ContentDigest(username string, groups []string) string {
	h := newDigest("content")
	h.add(username)
	set := slices.Clone(groups)
	slices.Sort(set)
	for _, g := range slices.Compact(set) {
		h.add(g)
	}
	return h.hex(contentDigestLength)
}

// SelectorDigest identifies a rule by what it selects and not by what it
// gives: user name, groups and maxMatches do not count, nor does in which of
// several ways the same selection is written. It is 16 hexadecimal characters
// of a SHA-256. Selectors that are not there leave no trace in it, so that a
// new kind of selector changes no rule's digest.
func SelectorDigest(k Kind, r v1alpha1.Rule) string {
	h := newDigest("selector")
	for _, s := range []string{string(k), r.ArnRegex, r.PathPrefix, r.PermissionSet} {
		h.add(s)
	}
	h.addList(fieldIAMGroups, foldedSet(r.IAMGroups))
	h.addList(fieldTags, flat(sortedTags(r.Tags)))
	if r.PermissionsBoundary != "" {
		h.addList(fieldBoundary, []string{r.PermissionsBoundary})
	}
	if r.MaxAge != "" {
		h.addList(fieldMaxAge, []string{sameAge(r.MaxAge)})
	}
	return h.hex(shortDigestLength)
}

// RuleDigest identifies a rule by what it selects and the set of groups that it
// gives: its SelectorDigest, a dash, and 8 hexadecimal characters of a SHA-256.
// User name and maxMatches do not count.
func RuleDigest(k Kind, r v1alpha1.Rule) string {
	h := newDigest("groups")
	set := slices.Clone(r.Groups)
	slices.Sort(set)
	for _, g := range slices.Compact(set) {
		h.add(g)
	}
	return SelectorDigest(k, r) + "-" + h.hex(groupsDigestLength)
}

// SelectorOf is the SelectorDigest in a RuleDigest.
func SelectorOf(ruleDigest string) string {
	selector, _, _ := strings.Cut(ruleDigest, "-")
	return selector
}

// IsOf tells whether what is on record is the digest of the rule with this
// RuleDigest: records of version 2 hold SelectorDigests.
func IsOf(recorded, ruleDigest string) bool {
	return recorded == ruleDigest || recorded == SelectorOf(ruleDigest)
}

func flat(tags []Tag) []string {
	var out []string
	for _, t := range tags {
		out = append(out, foldASCII(t.Key), t.Value)
	}
	return out
}

// sameAge gives one text for all ways to write a duration.
func sameAge(s string) string {
	if d, err := time.ParseDuration(s); err == nil {
		return d.String()
	}
	return s
}

// DataDigest identifies the data of a rules ConfigMap, whatever the order of
// its keys. It is what an approval of held removals carries: 16 hexadecimal
// characters of a SHA-256.
func DataDigest(data map[string]string) string {
	h := newDigest("data")
	for _, k := range slices.Sorted(maps.Keys(data)) {
		h.add(k)
		h.add(data[k])
	}
	return h.hex(shortDigestLength)
}

// digest hashes strings with their lengths, so that no two lists of strings
// give the same input.
type digest struct{ hash.Hash }

func newDigest(purpose string) digest {
	d := digest{sha256.New()}
	d.add(purpose)
	return d
}

func (d digest) add(s string) {
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(len(s)))
	d.Write(n[:])
	d.Write([]byte(s))
}

// addList adds a named list, and nothing at all for an empty one.
func (d digest) addList(name string, list []string) {
	if len(list) == 0 {
		return
	}
	d.add(name)
	d.add(strconv.Itoa(len(list)))
	for _, s := range list {
		d.add(s)
	}
}

func (d digest) hex(characters int) string {
	return hex.EncodeToString(d.Sum(nil))[:characters]
}
