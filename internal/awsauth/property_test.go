package awsauth

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// TestForeignBytesSurvive: whatever somebody wrote, a thousand random
// refreshes add and remove only whole entries of ours in one place, and
// removing all of them gives back the very bytes.
func TestForeignBytesSurvive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		doc := foreignDocument().Draw(t, "document")
		data, originals := dataOf(doc.text), map[string]rules.Original(nil)
		var reader Reader
		rounds := rapid.IntRange(1, 20).Draw(t, "rounds")
		for range rounds {
			want := randomEntries().Draw(t, "want")
			got := reader.Read(data, 0).Merge(Edit{Owned: temporary, Want: want, Originals: originals})
			if len(got.Problems) != 0 {
				t.Fatalf("an editable document was refused: %v", got.Problems)
			}
			data, originals = got.Document.Values(), got.Originals
			if err := insertedInOnePlace(doc, data["mapUsers"], want); err != nil {
				t.Fatalf("%v\nbefore %q\nafter  %q", err, doc.text, data["mapUsers"])
			}
			if rapid.IntRange(0, 9).Draw(t, "restart") == 0 {
				reader = Reader{}
			}
		}
		got := reader.Read(data, 0).Merge(Edit{Owned: temporary, Originals: originals})
		if diff := cmp.Diff(dataOf(doc.text), got.Document.Values()); diff != "" {
			t.Fatalf("not the original document again (-want +got):\n%s", diff)
		}
	})
}

// TestAThousandRefreshes is the same on one document of each form, at length.
func TestAThousandRefreshes(t *testing.T) {
	for _, text := range []string{
		absent, "", "[]\n", "# c", "- userarn: a # x\n  odd: {a: [b]}\n\n# end",
		"   - userarn: a\r\n     groups:\r\n         - b\r\n", `[ {"userarn":"a"} , {"userarn":"b"} ]`,
	} {
		data, originals := dataOf(text), map[string]rules.Original(nil)
		for i := range 1000 {
			want := randomEntries().Example(i)
			got := read(data).Merge(Edit{Owned: temporary, Want: want, Originals: originals})
			data, originals = got.Document.Values(), got.Originals
			if entries := wantedOf(got.Document.Entries()); len(entries) != len(want) {
				t.Fatalf("refresh %d on %q: %d entries of ours, want %d", i, text, len(entries), len(want))
			}
		}
		got := read(data).Merge(Edit{Owned: temporary, Originals: originals})
		if diff := cmp.Diff(dataOf(text), got.Document.Values()); diff != "" {
			t.Errorf("%q is not restored (-want +got):\n%s", text, diff)
		}
	}
}

func wantedOf(entries []Entry) []Entry {
	var ours []Entry
	for _, e := range entries {
		if temporary(e) {
			ours = append(ours, e)
		}
	}
	return ours
}

type foreign struct {
	text   string
	indent string
	eol    string
	form   string // "empty", "block", "flow"
}

// insertedInOnePlace cuts the entries, rendered independently of the package,
// out of after; what remains must be the document as it was.
func insertedInOnePlace(doc foreign, after string, want []Entry) error {
	if len(want) == 0 {
		return nil
	}
	before := strings.TrimPrefix(doc.text, absent)
	var candidates []string
	switch doc.form {
	case "flow":
		block := asJSON(want)
		candidates = []string{"," + block, block}
	case "block":
		block := asSeed(want, doc.indent, doc.eol)
		candidates = []string{block, doc.eol + strings.TrimSuffix(block, doc.eol)}
	default:
		if block := asSeed(want, "", doc.eol); !strings.Contains(after, strings.TrimSuffix(block, doc.eol)) {
			return fmt.Errorf("entries are not there as documented: %q", block)
		}
		return nil
	}
	for _, c := range candidates {
		if strings.Replace(after, c, "", 1) == before {
			return nil
		}
	}
	return fmt.Errorf("bytes other than %q differ", candidates[0])
}

func asJSON(entries []Entry) string {
	var items []string
	for _, e := range entries {
		items = append(items, `{"userarn":"`+e.ARN+`","username":"`+e.Username+`","groups":["`+strings.Join(e.Groups, `","`)+`"]}`)
	}
	return strings.Join(items, ",")
}

func randomEntries() *rapid.Generator[[]Entry] {
	return rapid.Custom(func(t *rapid.T) []Entry {
		var entries []Entry
		for i := range 6 {
			if rapid.Bool().Draw(t, "there") {
				groups := rapid.SampledFrom([][]string{{"dev"}, {"system:masters"}, {"dev", "ops-1"}}).Draw(t, "groups")
				entries = append(entries, user(fmt.Sprintf("tmp-%d", i), fmt.Sprintf("u%d", i%3), groups...))
			}
		}
		return entries
	})
}

// foreignDocument draws what people, eksctl, Terraform and CDK write, and
// then some: comments, odd indentation, unknown fields, all editable forms.
func foreignDocument() *rapid.Generator[foreign] {
	return rapid.Custom(func(t *rapid.T) foreign {
		eol := rapid.SampledFrom([]string{"\n", "\n", "\r\n"}).Draw(t, "eol")
		form := rapid.SampledFrom([]string{"block", "block", "block", "flow", "empty"}).Draw(t, "form")
		doc := foreign{eol: eol, form: form}
		switch form {
		case "empty":
			doc.text = rapid.SampledFrom([]string{absent, "", "[]", "[]\n", "null", " ~ # c\n", "# a\n\n  # b", "---\n[]\n...\n", "\n"}).Draw(t, "empty")
			doc.eol = "\n"
		case "flow":
			doc.text = foreignFlow(t, eol)
		default:
			doc.indent = strings.Repeat(" ", rapid.IntRange(0, 4).Draw(t, "indent"))
			doc.text = foreignBlock(t, doc.indent, eol)
		}
		return doc
	})
}

func foreignBlock(t *rapid.T, indent, eol string) string {
	var b strings.Builder
	noise := func() {
		b.WriteString(rapid.SampledFrom([]string{"", "", "", eol, "# top" + eol, indent + "      # deep" + eol, "  " + eol}).Draw(t, "noise"))
	}
	if rapid.IntRange(0, 4).Draw(t, "marker") == 0 {
		b.WriteString("--- # begin" + eol)
	}
	noise()
	openEnd := true
	for i := range rapid.IntRange(1, 4).Draw(t, "items") {
		var text string
		text, openEnd = foreignItem(t, i, indent, eol)
		b.WriteString(text)
		noise()
	}
	tail := rapid.SampledFrom([]string{"", "", "# end", "# end" + eol, "..." + eol, "---" + eol + "- other: document" + eol}).Draw(t, "tail")
	if tail == "" && openEnd && rapid.Bool().Draw(t, "no final newline") {
		return strings.TrimSuffix(b.String(), eol)
	}
	return b.String() + tail
}

// foreignItem draws one item; openEnd is false where its meaning hangs on the
// line ending behind it.
func foreignItem(t *rapid.T, i int, indent, eol string) (text string, openEnd bool) {
	pad := indent + "  "
	arn := fmt.Sprintf("arn:aws:iam::1:user/%s%d", rapid.SampledFrom([]string{"alice", "bob"}).Draw(t, "name"), i)
	lines := []string{
		rapid.SampledFrom([]string{"userarn: %s", "userarn: '%s'", `userarn:   "%s"`, "userARN: %s # who", `"userarn": %s`}).Draw(t, "arn"),
	}
	lines[0] = fmt.Sprintf(lines[0], arn)
	scalars := []string{"username: jane", "username: 'it''s'", `username: "tab\tx"`, "username: jane doe # x", "username:", "username: 12",
		"username: \"two" + eol + pad + "  - lines\"", "username: &a jane", "username: a" + eol + pad + "  b"}
	lines = append(lines, rapid.SampledFrom(scalars).Draw(t, "username"))
	groups := []string{"groups: [a, 'b c', \"d#\"]", "groups: []", "groups:" + eol + pad + "- a" + eol + pad + "- b", "groups:" + eol + pad + "    - a # x" + eol + eol + pad + "    - b",
		"groups: a", "groups: {a: b}", "groups:" + eol + pad + "# none", "groups: [a," + eol + pad + "b, # c" + eol + pad + "c]"}
	lines = append(lines, rapid.SampledFrom(groups).Draw(t, "groups"))
	openEnd = true
	switch rapid.IntRange(0, 5).Draw(t, "extra") {
	case 0:
		lines = append(lines, "x-team: {name: [a, {b: c}], since: 2020-01-01}")
	case 1:
		lines = append(lines, "note: |"+rapid.SampledFrom([]string{"", "-", "+"}).Draw(t, "chomp")+eol+pad+"   # text"+eol+pad+"   - more"+eol)
		openEnd = false
	case 2:
		lines = append([]string{"note: >-" + eol + pad + "  folded" + eol + pad + "  text"}, lines...)
	}
	dash := indent + rapid.SampledFrom([]string{"- ", "- ", "-" + eol + pad}).Draw(t, "dash")
	return dash + strings.Join(lines, eol+pad) + eol, openEnd
}

func foreignFlow(t *rapid.T, eol string) string {
	gap := func() string {
		return rapid.SampledFrom([]string{"", "", " ", eol + "  ", " # c]" + eol}).Draw(t, "gap")
	}
	items := []string{`{"userarn":"arn:aws:iam::1:user/a","groups":["x"]}`, "{userarn: b, username: 'it''s ]'}", "plain", `"quoted, ]"`, "[nested, [list]]", "{a: {b: [c]}}"}
	text := gap() + "["
	count := rapid.IntRange(1, 4).Draw(t, "items")
	for i := range count {
		text += gap() + rapid.SampledFrom(items).Draw(t, "item") + gap()
		if i+1 < count || rapid.IntRange(0, 3).Draw(t, "trailing comma") == 0 {
			text += ","
		}
	}
	return text + gap() + "]" + rapid.SampledFrom([]string{"", eol, " # end" + eol}).Draw(t, "end")
}
