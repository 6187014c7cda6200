package awsauth

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

var (
	one = user("tmp-one", "foo", "system:masters")
	two = user("tmp-two", "bar", "developers", "viewers")
)

const (
	oneBlock = "- userarn: arn:aws:iam::123456789012:user/tmp-one\n  username: foo\n  groups:\n  - system:masters\n"
	twoBlock = "- userarn: arn:aws:iam::123456789012:user/tmp-two\n  username: bar\n  groups:\n  - developers\n  - viewers\n"
	oneFlow  = `{"userarn":"arn:aws:iam::123456789012:user/tmp-one","username":"foo","groups":["system:masters"]}`
	twoFlow  = `{"userarn":"arn:aws:iam::123456789012:user/tmp-two","username":"bar","groups":["developers","viewers"]}`
	absent   = "\x00absent"
)

func dataOf(value string) map[string]string {
	if value == absent {
		return map[string]string{}
	}
	return map[string]string{"mapUsers": value}
}

// TestMerge puts two entries into every editable form, takes one out, then the
// other, and expects the very text that stood there first.
func TestMerge(t *testing.T) {
	alice := "- userarn: arn:aws:iam::1:user/alice\n  username: alice\n  groups: [dev]\n"
	cases := map[string]struct {
		reason string
		before string
		both   string // with one and two
		last   string // with two only
	}{
		"Absent":       {"a key that was not there goes again", absent, oneBlock + twoBlock, twoBlock},
		"EmptyString":  {"an empty value comes back", "", oneBlock + twoBlock, twoBlock},
		"EmptyList":    {"[] comes back", "[]", oneBlock + twoBlock, twoBlock},
		"EmptyListNL":  {"[] with its line feed comes back", "[]\n", oneBlock + twoBlock, twoBlock},
		"SpacedList":   {"[ ] comes back", " [ ] \n", oneBlock + twoBlock, twoBlock},
		"Null":         {"null comes back", "null\n", oneBlock + twoBlock, twoBlock},
		"Blank":        {"blank lines come back", "\n\n", oneBlock + twoBlock, twoBlock},
		"CommentsOnly": {"comments stay while ours are there", "# nobody yet\n", "# nobody yet\n" + oneBlock + twoBlock, "# nobody yet\n" + twoBlock},
		"CommentNoNL": {"a comment without line feed stays one line", "# nobody",
			"# nobody\n" + strings.TrimSuffix(oneBlock+twoBlock, "\n"), "# nobody\n" + strings.TrimSuffix(twoBlock, "\n")},
		"EmptyListComment": {"the comment behind [] stays", "[] # nobody\n",
			" # nobody\n" + oneBlock + twoBlock, " # nobody\n" + twoBlock},
		"EmptyMarker": {"document markers stay", "---\n# c\n...\n", "---\n# c\n" + oneBlock + twoBlock + "...\n", "---\n# c\n" + twoBlock + "...\n"},
		"Block":       {"ours go behind the last item", alice, alice + oneBlock + twoBlock, alice + twoBlock},
		"BlockNoNL": {"the missing final line feed stays missing", strings.TrimSuffix(alice, "\n"),
			alice + strings.TrimSuffix(oneBlock+twoBlock, "\n"), alice + strings.TrimSuffix(twoBlock, "\n")},
		"BlockTrailingComment": {"comments behind the list stay behind ours", alice + "# end\n\n",
			alice + oneBlock + twoBlock + "# end\n\n", alice + twoBlock + "# end\n\n"},
		"BlockInlineComment": {"a comment on the last line stays on it", strings.TrimSuffix(alice, "\n") + " # boss",
			strings.TrimSuffix(alice, "\n") + " # boss\n" + strings.TrimSuffix(oneBlock+twoBlock, "\n"),
			strings.TrimSuffix(alice, "\n") + " # boss\n" + strings.TrimSuffix(twoBlock, "\n")},
		"SecondDocument": {"ours go before a second document", alice + "---\n- x\n",
			alice + oneBlock + twoBlock + "---\n- x\n", alice + twoBlock + "---\n- x\n"},
		"DocumentEnd": {"ours go before the end marker", "---\n" + alice + "...\n",
			"---\n" + alice + oneBlock + twoBlock + "...\n", "---\n" + alice + twoBlock + "...\n"},
		"Literal": {"the blank lines of a block scalar belong to it", "- userarn: a\n  username: |+\n    x\n\n# c\n",
			"- userarn: a\n  username: |+\n    x\n\n" + oneBlock + twoBlock + "# c\n", "- userarn: a\n  username: |+\n    x\n\n" + twoBlock + "# c\n"},
		"JSON": {"JSON text stays JSON", `[{"userarn":"a","username":"b","groups":[]}]`,
			`[{"userarn":"a","username":"b","groups":[]},` + oneFlow + "," + twoFlow + `]`,
			`[{"userarn":"a","username":"b","groups":[]},` + twoFlow + `]`},
		"FlowLines": {"a flow list over several lines keeps its layout", "[\n  {userarn: a}, # first\n  {userarn: 'b ] \"'}\n]\n",
			"[\n  {userarn: a}, # first\n  {userarn: 'b ] \"'}," + oneFlow + "," + twoFlow + "\n]\n",
			"[\n  {userarn: a}, # first\n  {userarn: 'b ] \"'}," + twoFlow + "\n]\n"},
		"FlowTrailingComma": {"a trailing comma stays last", "[{userarn: a},]\n",
			"[{userarn: a}," + oneFlow + "," + twoFlow + ",]\n", "[{userarn: a}," + twoFlow + ",]\n"},
		"FlowEmptyLines": {"an empty list over several lines", "[\n]\n", "[" + oneFlow + "," + twoFlow + "\n]\n", "[" + twoFlow + "\n]\n"},
		"Dropped": {"items that EKS drops are somebody's, too", "- username: nobody\n- 7\n-\n",
			"- username: nobody\n- 7\n-\n" + oneBlock + twoBlock, "- username: nobody\n- 7\n-\n" + twoBlock},
		"ForeignAnchors": {"anchors among other people's entries do not matter",
			"- userarn: a\n  groups: &g [x]\n- userarn: b\n  groups: *g\n",
			"- userarn: a\n  groups: &g [x]\n- userarn: b\n  groups: *g\n" + oneBlock + twoBlock,
			"- userarn: a\n  groups: &g [x]\n- userarn: b\n  groups: *g\n" + twoBlock},
		"MultiLineQuoted": {"dashes inside a quoted scalar are text", "- userarn: a\n  username: \"x\n\n    - y\"\n",
			"- userarn: a\n  username: \"x\n\n    - y\"\n" + oneBlock + twoBlock, "- userarn: a\n  username: \"x\n\n    - y\"\n" + twoBlock},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			data, originals := dataOf(tc.before), map[string]rules.Original(nil)
			step := func(want []Entry, expect string) {
				t.Helper()
				got := read(data).Merge(Edit{Owned: temporary, Want: want, Originals: originals})
				if len(got.Problems) > 0 || len(got.Overflow) > 0 {
					t.Fatalf("%s: problems %v, overflow %v", tc.reason, got.Problems, got.Overflow)
				}
				if diff := cmp.Diff(dataOf(expect), got.Document.Values()); diff != "" {
					t.Fatalf("%s (-want +got):\n%s", tc.reason, diff)
				}
				data, originals = got.Document.Values(), got.Originals
			}
			step([]Entry{one, two}, tc.both)
			step([]Entry{two}, tc.last)
			step(nil, tc.before)
			if len(originals) != 0 {
				t.Errorf("%s: still remembers %v", tc.reason, originals)
			}
		})
	}
}

func TestMergeKeepsLineEndings(t *testing.T) {
	before := "  - userarn: a\r\n    username: b\r\n# end"
	got := read(dataOf(before)).Merge(Edit{Owned: temporary, Want: []Entry{one}})
	want := "  - userarn: a\r\n    username: b\r\n" + asSeed([]Entry{one}, "  ", "\r\n") + "# end"
	if diff := cmp.Diff(dataOf(want), got.Document.Values()); diff != "" {
		t.Errorf("lines end and begin as those around them (-want +got):\n%s", diff)
	}
}

// TestLeftAlone lists the texts that must not be touched at all.
func TestLeftAlone(t *testing.T) {
	cases := map[string]struct {
		value  string
		reason string // part of the message
	}{
		"InvalidYAML":      {"- userarn: [", "not valid YAML"},
		"Tab":              {"-\tuserarn: a\n\tusername: b\n", "not valid YAML"},
		"Mapping":          {"userarn: a\n", "not a YAML list"},
		"String":           {"nobody\n", "not a YAML list"},
		"Directive":        {"%YAML 1.1\n---\n- userarn: a\n", "directive"},
		"Tag":              {"- userarn: !!str a\n", "tags"},
		"ComplexKey":       {"- ? userarn\n  : a\n", "? key"},
		"LoneCR":           {"- userarn: a\r- userarn: b\r", "line breaks"},
		"NextLine":         {"- userarn: a # x\u0085- userarn: b\n", "line breaks"},
		"ByteOrderMark":    {"\ufeff- userarn: a\n", "line breaks"},
		"RootAnchor":       {"&all\n- userarn: a\n", "anchor"},
		"Dedented":         {"  - userarn: a\n- userarn: b\n", "line 2 stands outside the list"},
		"DedentedText":     {"  - userarn: a\n# c\nb: c\n", "line 3 stands outside the list"},
		"TooLong":          {"- a" + strings.Repeat("\n", 70000), "more than 60000 lines"},
		"OpenBlockScalar":  {"- userarn: a\n  username: |\n    b", "would change the meaning"},
		"OursAnchored":     {"- userarn: arn:aws:iam::1:user/tmp-x\n  groups: &g [x]\n- userarn: b\n  groups: *g\n", "anchor"},
		"OursHoldsAnAlias": {"- userarn: b\n  groups: &g [x]\n- userarn: arn:aws:iam::1:user/tmp-x\n  groups: *g\n", "anchor"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			data := map[string]string{"mapUsers": tc.value, "mapRoles": "[]"}
			node := role("tmp-node", "node", "nodes")
			got := read(data).Merge(Edit{Owned: temporary, Want: []Entry{one, node}})
			if got.Document.Values()["mapUsers"] != tc.value {
				t.Errorf("changed to %q", got.Document.Values()["mapUsers"])
			}
			if err := got.Problems["mapUsers"]; err == nil || !strings.Contains(err.Error(), tc.reason) {
				t.Errorf("reported as %v, want a reason with %q", err, tc.reason)
			}
			if diff := cmp.Diff([]string{"mapRoles"}, got.Changed); diff != "" {
				t.Errorf("the other key goes on (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMergeRecognizesOwnEntriesInOtherLayouts(t *testing.T) {
	cases := map[string]string{
		"Remarshaled": "- groups:\n    - system:masters\n  userarn: " + one.ARN + "\n  username: foo\n",
		"Flow":        "[{groups: [system:masters], username: foo, userarn: '" + one.ARN + "'}]",
		"UpperCase":   "- userARN: " + strings.ToUpper(one.ARN) + "\n  username: foo\n  groups: [system:masters]\n",
		"Commented":   "- userarn: " + one.ARN + " # from vault\n  # admin\n  username: foo\n  groups: [system:masters]\n  note: x\n",
	}
	owned := func(e Entry) bool { return e.Key() == one.Key() && e.Digest() == one.Digest() }
	for name, value := range cases {
		t.Run(name, func(t *testing.T) {
			got := read(dataOf(value)).Merge(Edit{Owned: owned, Want: []Entry{one}})
			if len(got.Changed) != 0 {
				t.Errorf("another layout is no reason to write, got %q", got.Document.Values()["mapUsers"])
			}
			got = read(dataOf(value)).Merge(Edit{Owned: owned})
			if entries := got.Document.Entries(); len(entries) != 0 {
				t.Errorf("should be gone, is %v in %q", entries, got.Document.Values()["mapUsers"])
			}
		})
	}
}

func TestMergeKeepsCommentsBehindOurEntries(t *testing.T) {
	value := oneBlock[:len(oneBlock)-1] + " # why?\n# below\n" + "- userarn: alice\n"
	got := read(dataOf(value)).Merge(Edit{Owned: temporary})
	if diff := cmp.Diff(dataOf(" # why?\n# below\n- userarn: alice\n"), got.Document.Values()); diff != "" {
		t.Errorf("a comment behind our entry is somebody's (-want +got):\n%s", diff)
	}
}

func TestMergeOriginalGivesWayToEdits(t *testing.T) {
	first := read(dataOf("[]\n")).Merge(Edit{Owned: temporary, Want: []Entry{one}})
	edited := dataOf(first.Document.Values()["mapUsers"] + "# keep me\n")
	got := read(edited).Merge(Edit{Owned: temporary, Originals: first.Originals})
	if diff := cmp.Diff(dataOf("# keep me\n"), got.Document.Values()); diff != "" {
		t.Errorf("what somebody wrote since stays (-want +got):\n%s", diff)
	}
}

func TestMergeNeverExceedsTheLimit(t *testing.T) {
	alice := "- userarn: arn:aws:iam::1:user/alice\n  username: alice\n"
	standing := alice + twoBlock
	limit := len("mapUsers") + len(standing) + len(oneBlock) + 10
	three := user("tmp-three", "baz", "developers")
	got := read(dataOf(standing)).Merge(Edit{Owned: temporary, Want: []Entry{one, three, two}, Limit: limit})
	if diff := cmp.Diff(dataOf(alice+oneBlock+twoBlock), got.Document.Values()); diff != "" {
		t.Errorf("what stands there stays, then new ones in order (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]Entry{three}, got.Overflow); diff != "" {
		t.Errorf("left out (-want +got):\n%s", diff)
	}
	if got.Document.Size() > limit {
		t.Errorf("size %d exceeds the limit %d", got.Document.Size(), limit)
	}
	grown := user("tmp-two", "bar", strings.Repeat("g", 200))
	got = read(dataOf(standing)).Merge(Edit{Owned: temporary, Want: []Entry{grown}, Limit: limit})
	if len(got.Changed) != 0 || len(got.Overflow) != 1 {
		t.Errorf("an entry that outgrew the room keeps its old content, got %q", got.Document.Values())
	}
}

// TestWhatFollowsTheListIsNotOurs: text to the left of an indented list is
// ignored by EKS, without a word; it must not be taken for the end of our entry
// and go with it.
func TestWhatFollowsTheListIsNotOurs(t *testing.T) {
	first := read(dataOf("  - userarn: a\n")).Merge(Edit{Owned: temporary, Want: []Entry{one}})
	text := first.Document.Values()["mapUsers"] + "# bob, ticket 42\n- userarn: bob\n"
	got := read(dataOf(text)).Merge(Edit{Owned: temporary})
	if diff := cmp.Diff(dataOf(text), got.Document.Values()); diff != "" {
		t.Errorf("changed (-want +got):\n%s", diff)
	}
	if err := got.Problems["mapUsers"]; err == nil || !strings.Contains(err.Error(), "outside the list") {
		t.Errorf("reported as %v", err)
	}
}

// TestMergeKeepsBlankLinesBeforeAnOpenEnd: ours are last, their line does not
// end, and before them is a blank line, whose end is not ours.
func TestMergeKeepsBlankLinesBeforeAnOpenEnd(t *testing.T) {
	two := strings.TrimSuffix(twoBlock, "\n")
	cases := map[string]struct{ before, last, none string }{
		"behind a comment": {"# c\n\n" + oneBlock + two, "# c\n\n" + two, "# c\n\n"},
		"behind an item":   {"- userarn: a\n\n" + oneBlock + two, "- userarn: a\n" + twoBlock + "\n", "- userarn: a\n\n"},
		"behind no blank":  {"- userarn: a\n" + oneBlock + two, "- userarn: a\n" + two, "- userarn: a"},
	}
	for reason, tc := range cases {
		var r Reader
		doc := r.Read(dataOf(tc.before), 0)
		entries := doc.Entries()
		edit := Edit{Owned: func(e Entry) bool { return e.ARN != "a" }}
		if got := doc.Merge(edit).Document.Values()["mapUsers"]; got != tc.none {
			t.Errorf("%s, both out:\n got %q\nwant %q", reason, got, tc.none)
		}
		edit.Want = entries[len(entries)-1:]
		if got := doc.Merge(edit).Document.Values()["mapUsers"]; got != tc.last {
			t.Errorf("%s, one out:\n got %q\nwant %q", reason, got, tc.last)
		}
	}
}
