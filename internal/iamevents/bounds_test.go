package iamevents

import (
	"encoding/json"
	"maps"
	"strconv"
	"strings"
	"testing"
)

// heard is an event of that action on bob, with more parameters.
func heard(t *testing.T, action string, more map[string]any) ([]Announcement, error) {
	t.Helper()
	parameters := map[string]any{"userName": "bob"}
	maps.Copy(parameters, more)
	body, err := json.Marshal(map[string]any{
		"source": "aws.iam", "detail-type": "AWS API Call via CloudTrail", "account": "123456789012",
		"detail": map[string]any{
			"eventVersion": "1.09", "eventTime": start, "eventSource": "iam.amazonaws.com", "eventName": action,
			"requestParameters": parameters,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return Parse(string(body))
}

func TestParametersHaveTheLengthsOfIAM(t *testing.T) {
	tag := func(key, value int) map[string]any {
		return map[string]any{"tags": []map[string]string{{"key": strings.Repeat("é", key), "value": strings.Repeat("é", value)}}}
	}
	path := func(n int) map[string]any { return map[string]any{"newPath": "/" + strings.Repeat("p", n-2) + "/"} }
	boundary := func(n int) map[string]any { return map[string]any{"permissionsBoundary": strings.Repeat("b", n)} }
	for _, row := range []struct {
		reason, action string
		more           map[string]any
		refused        bool
	}{
		{"the longest tag", "TagUser", tag(128, 256), false},
		{"a longer key", "TagUser", tag(129, 1), true},
		{"a longer value", "TagUser", tag(1, 257), true},
		{"the longest key taken away", "UntagUser", map[string]any{"tagKeys": []string{strings.Repeat("é", 128)}}, false},
		{"a longer one", "UntagUser", map[string]any{"tagKeys": []string{strings.Repeat("é", 129)}}, true},
		{"the longest boundary", "PutUserPermissionsBoundary", boundary(2048), false},
		{"a longer one", "PutUserPermissionsBoundary", boundary(2049), true},
		{"the longest path", "UpdateUser", path(512), false},
		{"a longer one", "UpdateUser", path(513), true},
	} {
		got, err := heard(t, row.action, row.more)
		if (err != nil) != row.refused || len(got) == 0 != row.refused {
			t.Errorf("%s of %s: %d announcements, %v", row.reason, row.action, len(got), err)
		}
		if err != nil && len(err.Error()) > 400 {
			t.Errorf("%s of %s: the error has %d bytes", row.reason, row.action, len(err.Error()))
		}
	}
}

// TestLargeAnnouncementsFillTheMemorySooner: as many bytes are held at most as
// are meant for it, and none are counted once all has ended.
func TestLargeAnnouncementsFillTheMemorySooner(t *testing.T) {
	w := newWatch(t)
	tags := map[string]string{}
	for i := range maxTags {
		tags[strconv.Itoa(100+i)+strings.Repeat("k", maxTagKey-3)] = strings.Repeat("v", maxTagValue)
	}
	large := said(Changed, "bob", start)
	large.Change.Tags = tags
	n := 0
	for ; !w.full() && n < maxPending; n++ {
		w.hear(strconv.Itoa(n), large)
	}
	if held := n * maxTags * (maxTagKey + maxTagValue); held < maxBytes/2 || held > maxBytes+held/n {
		t.Errorf("full with %d announcements of %d bytes", n, held/n)
	}
	w.concerns = func(Announcement) bool { return false }
	w.list()
	if w.full() || w.bytes != 0 || len(w.pending) != 0 {
		t.Errorf("%d announcements and %d bytes are left, full: %t", len(w.pending), w.bytes, w.full())
	}
	w.hear("again", large)
	if w.release(); w.bytes != 0 {
		t.Errorf("%d bytes are left of what was given back", w.bytes)
	}
}
