package rules_test

import (
	"fmt"
	"regexp"
	"runtime"
	"testing"

	"github.com/aws-auth-refresher/aws-auth-refresher/api/v1alpha1"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

const (
	benchUsers = 5000
	benchRules = 100
)

// shapes are ways in which a hundred patterns differ: in %03d, a number.
func shapes() []struct{ name, pattern, username string } {
	const head = "^arn:aws:iam::123456789012:user/"
	return []struct{ name, pattern, username string }{
		{"different-prefixes", head + "team-%03d/vault-.*$", "team"},
		{"different-prefixes-captures", head + "team-%03d/vault-(?P<who>[a-z]+)-[0-9-]+$", "vault:${who}:${userName}"},
		{"shared-prefixes", head + "team-.*/vault-.*-%03d$", "team"},
		{"shared-prefixes-and-ends", head + "t.*-%03d/vault-.*$", "team"},
		{"shared-prefixes-captures", head + "team-0*%d/vault-(?P<who>[a-z]+)-[0-9-]+$", "vault:${who}:${userName}"},
		{"no-prefixes", "^arn:aws:iam::[0-9]{12}:user/[^/]+-%03d/vault-[a-z]+-[0-9-]+$", "team"},
	}
}

func benchInput(pattern, username string) (v1alpha1.Rules, []rules.Principal) {
	var in v1alpha1.Rules
	for i := range benchRules {
		in.MapUsers = append(in.MapUsers, v1alpha1.Rule{
			ArnRegex: fmt.Sprintf(pattern, i), Username: username, Groups: []string{"developers", fmt.Sprint("team-", i)},
		})
	}
	var ps []rules.Principal
	for i := range benchUsers {
		// A step that shares no factor with their number brings them in no
		// particular order.
		n := i * 1237 % benchUsers
		path := fmt.Sprintf("/team-%03d/", n%250)
		name := fmt.Sprintf("vault-%c%c-%d-%03d", 'a'+n%26, 'a'+n%7, 1700000+n, n%250)
		ps = append(ps, rules.Principal{
			Kind: rules.User, ARN: "arn:aws:iam::123456789012:user" + path + name,
			AccountID: "123456789012", Path: path, Name: name, ID: fmt.Sprintf("AIDA%016d", n),
		})
	}
	return in, ps
}

func reportPairs(b *testing.B, pairs int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(pairs), "ns/pair")
}

// BenchmarkEvaluate evaluates a full account: 5,000 users and 100 rules.
func BenchmarkEvaluate(b *testing.B) {
	for _, s := range shapes() {
		b.Run(s.name, func(b *testing.B) {
			in, ps := benchInput(s.pattern, s.username)
			set, err := rules.Compile(in, rules.Options{})
			if err != nil {
				b.Fatal(err)
			}
			grants := len(set.Evaluate(ps, nil).Grants)
			if want := benchUsers * benchRules / 250; grants != want {
				b.Fatalf("%d grants, want %d", grants, want)
			}
			b.ReportAllocs()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for b.Loop() {
				set.Evaluate(ps, nil)
			}
			runtime.ReadMemStats(&after)
			reportPairs(b, benchUsers*benchRules)
			b.ReportMetric(float64(after.Mallocs-before.Mallocs)/float64(b.N)/float64(grants), "allocs/grant")
		})
	}
}

// BenchmarkEvaluateEverybody grants to every user, or to every role under a
// path and with capitals in its name, by several rules each.
func BenchmarkEvaluateEverybody(b *testing.B) {
	for _, kind := range rules.Kinds() {
		b.Run(string(kind), func(b *testing.B) {
			head := "arn:aws:iam::123456789012:" + string(kind) + "/"
			in, ps := benchInput("^"+head+"team-%03d/.*$", "${path}")
			in.MapUsers = append(in.MapUsers, v1alpha1.Rule{
				ArnRegex: "^" + head + "(?P<team>[^/]+)/.*$", Username: "v:${team}", Groups: []string{"all"},
			})
			if kind == rules.Role {
				in.MapUsers, in.MapRoles = nil, in.MapUsers
			}
			for i := range ps {
				ps[i].Kind, ps[i].ARN = kind, head+ps[i].Path[1:]+"V"+ps[i].Name[1:]
			}
			set, err := rules.Compile(in, rules.Options{})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for b.Loop() {
				if n := len(set.Evaluate(ps, nil).Grants); n != benchUsers {
					b.Fatalf("%d grants", n)
				}
			}
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(after.Mallocs-before.Mallocs)/float64(b.N)/benchUsers, "allocs/grant")
		})
	}
}

// BenchmarkBaselineCompiledOnce matches every pair with patterns compiled
// once, and does nothing else.
func BenchmarkBaselineCompiledOnce(b *testing.B) {
	for _, s := range shapes() {
		b.Run(s.name, func(b *testing.B) {
			in, ps := benchInput(s.pattern, s.username)
			var compiled []*regexp.Regexp
			for _, r := range in.MapUsers {
				compiled = append(compiled, regexp.MustCompile(`\A(?:`+r.ArnRegex+`)\z`))
			}
			for b.Loop() {
				matched := 0
				for i := range ps {
					for _, re := range compiled {
						if re.MatchString(ps[i].ARN) {
							matched++
						}
					}
				}
				if want := benchUsers * benchRules / 250; matched != want {
					b.Fatalf("%d matches, want %d", matched, want)
				}
			}
			reportPairs(b, benchUsers*benchRules)
		})
	}
}

// BenchmarkBaselineCompiledEachTime compiles the pattern for every pair, as an
// older tool does, for 50 users.
func BenchmarkBaselineCompiledEachTime(b *testing.B) {
	const users = 50
	for _, s := range shapes() {
		b.Run(s.name, func(b *testing.B) {
			in, ps := benchInput(s.pattern, s.username)
			for b.Loop() {
				for i := range ps[:users] {
					for _, r := range in.MapUsers {
						if _, err := regexp.MatchString(`\A(?:`+r.ArnRegex+`)\z`, ps[i].ARN); err != nil {
							b.Fatal(err)
						}
					}
				}
			}
			reportPairs(b, users*benchRules)
		})
	}
}

// BenchmarkCompile compiles 100 rules.
func BenchmarkCompile(b *testing.B) {
	for _, s := range shapes() {
		b.Run(s.name, func(b *testing.B) {
			in, _ := benchInput(s.pattern, s.username)
			for b.Loop() {
				if _, err := rules.Compile(in, rules.Options{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
