package awsauth

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// FuzzScan: what the quick reader accepts means the same to the authenticator's
// parser, and its positions are those that the general way finds.
func FuzzScan(f *testing.F) {
	for _, seed := range []string{
		oneBlock + twoBlock, "# c\n\n  - userarn: 'a'\n    groups: [x, \"y z\", system:masters]  # c\n",
		"- username: \"a: b\"\n  groups:\n      - a b\n      # c\n      - c\n- userarn: x#y\n", "- groups: [a:]\n", "- groups: [y]\n",
		"- username: a\r\n  groups: []\r\n", "- username: a #b\n  userarn: a# b\n", "- username: on\n", "- groups:\n- userarn: a\n",
		"- userarn: a\n  username: b\n  extra: c\n", "- userarn: a:\n", "- userarn: a: b\n", "- userarn: ''\n  groups:\n  - ''\n", "- groups: [a , b]\n", "- userarn: \"" + strings.Repeat(" #", 20) + "\" #\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		items, ok := scan(rules.User, text)
		if !ok || strings.Count(text, "#") > maxComments {
			return
		}
		general := &List{kind: rules.User, value: text, present: true}
		if err := general.locate(); err != nil {
			t.Fatalf("the quick reader accepts %q, the general one says: %v", text, err)
		}
		if general.indent != blanks(text[items[0].start:]) || general.form != formBlock {
			t.Errorf("%q: indentation %d, form %d", text, general.indent, general.form)
		}
		ignore := cmpopts.IgnoreFields(item{}, "raw", "comma")
		if diff := cmp.Diff(general.items, items, cmp.AllowUnexported(item{}), ignore, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%q reads differently (-general +quick):\n%s", text, diff)
		}
	})
}

// FuzzMerge: no text at all makes an edit panic, change what is not ours, or
// fail to come back.
func FuzzMerge(f *testing.F) {
	for _, seed := range []string{
		"", "[]", "null", "- a", oneBlock, "[{}]", "--- []", "- &a b\n- *a\n", "- |\n x\n", "{a: b}", "- - a\n- [b]\n", "[a, [b], 'c', \"d\"] # e", "-\n  - a\n# c", "- \"a\n- b\"\n", " - |\n,", "  - a\nb: c\n", "  - a\n- b\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		before := read(dataOf(text))
		if slices.ContainsFunc(before.Entries(), temporary) {
			return // the text must be somebody else's
		}
		got := before.Merge(Edit{Owned: temporary, Want: []Entry{one, two}})
		if len(got.Problems) > 0 {
			if got.Document.Values()["mapUsers"] != text {
				t.Fatalf("%q was refused, yet changed to %q", text, got.Document.Values()["mapUsers"])
			}
			return
		}
		meaning, err := decode(rules.User, got.Document.Values()["mapUsers"])
		if err != nil {
			t.Fatalf("%q became %q, which EKS cannot read: %v", text, got.Document.Values()["mapUsers"], err)
		}
		was, _ := decode(rules.User, text)
		all := append(append([]Entry{}, was.entries...), one, two)
		if diff := cmp.Diff(all, meaning.entries, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("%q became %q (-want +got):\n%s", text, got.Document.Values()["mapUsers"], diff)
		}
		back := read(got.Document.Values()).Merge(Edit{Owned: temporary, Originals: got.Originals})
		if diff := cmp.Diff(dataOf(text), back.Document.Values()); diff != "" {
			t.Fatalf("does not come back (-want +got):\n%s", diff)
		}
	})
}

// TestScalarsReadBack: whatever string a username or group is, every reader
// gets that string back from what we write.
func TestScalarsReadBack(t *testing.T) {
	check := func(fatal func(format string, args ...any), value string) {
		e := user("x", value, value, "plain")
		for form, text := range map[string]string{
			"block": string(appendBlock(nil, e, 2, "\n")), "flow": "[" + string(appendFlow(nil, e)) + "]",
		} {
			got, err := decode(rules.User, text)
			if err != nil || len(got.entries) != 1 {
				fatal("%s: %q does not read back: %v", form, text, err)
				return
			}
			if diff := cmp.Diff(e, got.entries[0]); diff != "" {
				fatal("%s: %q reads differently to EKS (-want +got):\n%s", form, text, diff)
			}
			var v3 []struct{ Username any }
			if err := yaml.Unmarshal([]byte(text), &v3); err != nil || v3[0].Username != any(value) {
				fatal("%s: %q reads as %#v in YAML 1.2: %v", form, text, v3, err)
			}
		}
	}
	for _, value := range []string{
		"y", "No", "ON", "true", "null", "~", "", " ", "1e3", "0x1F", "0o17", "0b1", "12345", "1_000", "12:30:45", "2020-01-01", ".inf", ".NaN", "-1", "+1", "=", "<<",
		"{{SessionName}}", "a: b", "a #b", "a:", "-", "- a", "? a", "!tag", "&a", "*a", "@a", "`a", "%a", "|", ">", "it's", `say "hi"`, `back\slash`, "tab\t", "line\nbreak",
		"\u0085", "\u2028", "é", "日本", "\U0001F600", "\x00", "\x7f", "a\r", "[a]", "a, b", "a]", "system:masters", "vault:jane", "a@b.c", "jane doe", "Infinity", "nan",
	} {
		check(t.Errorf, value)
	}
	rapid.Check(t, func(t *rapid.T) {
		check(t.Fatalf, rapid.String().Filter(func(s string) bool { return s != "\ufffd" }).Draw(t, "value"))
	})
}
