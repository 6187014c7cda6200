package awsauth

import (
	"fmt"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

var benchSizes = []int{1000, 2000, 4000}

// benchDocument has n entries, half of them ours, with the comments that
// people leave.
func benchDocument(n int) (text string, ours []Entry) {
	var b strings.Builder
	for i := range n / 2 {
		if i%10 == 0 {
			fmt.Fprintf(&b, "# team %d\n", i/10)
		}
		b.WriteString(asSeed([]Entry{user(fmt.Sprintf("person-%04d", i), fmt.Sprintf("person-%04d", i), "developers", "team:viewers")}, "", "\n"))
	}
	for i := range n - n/2 {
		ours = append(ours, user(fmt.Sprintf("tmp-vault-token-terraform-%04d-abcdefghij", i), "vault:dev", "developers"))
	}
	b.WriteString(asSeed(ours, "", "\n"))
	return b.String(), ours
}

// turnover is what the next refresh wants: one entry less, one more.
func turnover(ours []Entry) []Entry {
	return append(append([]Entry{}, ours[1:]...), user("tmp-vault-token-terraform-new", "vault:dev", "developers"))
}

// BenchmarkReencode is the baseline: what a tool does that decodes the list,
// changes it and encodes it again with sigs.k8s.io/yaml.
func BenchmarkReencode(b *testing.B) {
	for _, n := range benchSizes {
		text, _ := benchDocument(n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				var list []struct {
					UserARN  string   `json:"userarn"`
					Username string   `json:"username"`
					Groups   []string `json:"groups"`
				}
				if err := yaml.Unmarshal([]byte(text), &list); err != nil {
					b.Fatal(err)
				}
				if _, err := yaml.Marshal(list[1:]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkCold parses a document never seen before, takes one entry out, puts
// one in, and checks the result.
func BenchmarkCold(b *testing.B) {
	for _, n := range benchSizes {
		text, ours := benchDocument(n)
		want := turnover(ours)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				mustChange(b, read(dataOf(text)), want)
			}
		})
	}
}

// BenchmarkColdJSON is BenchmarkCold for one line of JSON, as CDK writes it,
// which only the general reader can read.
func BenchmarkColdJSON(b *testing.B) {
	for _, n := range benchSizes {
		_, ours := benchDocument(n)
		text := "[" + asJSON(ours) + "]"
		want := turnover(ours)
		b.Run(fmt.Sprint(n/2), func(b *testing.B) {
			for b.Loop() {
				mustChange(b, read(dataOf(text)), want)
			}
		})
	}
}

// BenchmarkWarm does the same to a document whose text is known from the last
// look.
func BenchmarkWarm(b *testing.B) {
	for _, n := range benchSizes {
		text, ours := benchDocument(n)
		want := turnover(ours)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var r Reader
			for b.Loop() {
				mustChange(b, r.Read(dataOf(text), 0), want)
			}
		})
	}
}

func mustChange(b *testing.B, doc *Document, want []Entry) {
	got := doc.Merge(Edit{Owned: temporary, Want: want})
	if len(got.Changed) != 1 || len(got.Problems) != 0 {
		b.Fatalf("changed %v, problems %v", got.Changed, got.Problems)
	}
}

// BenchmarkSteps shows the single steps at 4,000 entries.
func BenchmarkSteps(b *testing.B) {
	text, ours := benchDocument(4000)
	want := turnover(ours)
	list := Read(rules.User, text, true)
	mine := list.ours(temporary)
	next, _ := list.edit(mine, want, nil)
	b.Run("parse", func(b *testing.B) {
		for b.Loop() {
			Read(rules.User, text, true)
		}
	})
	b.Run("settled", func(b *testing.B) {
		for b.Loop() {
			list.settled(list.ours(temporary), ours)
		}
	})
	b.Run("render", func(b *testing.B) {
		for b.Loop() {
			rest := list.without(mine)
			rest.insertBlock(want, 0, "\n")
		}
	})
	b.Run("check", func(b *testing.B) {
		for b.Loop() {
			if err := list.check(mine, want, next); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("authenticator", func(b *testing.B) { // for comparison: reading as EKS does
		for b.Loop() {
			if _, err := decode(rules.User, text); err != nil {
				b.Fatal(err)
			}
		}
	})
}
