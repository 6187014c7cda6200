package rules_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/aws-auth-refresher/aws-auth-refresher/api/v1alpha1"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/arn"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

func mustCompile(t interface{ Fatal(...any) }, list ...v1alpha1.Rule) *rules.Set {
	set, err := rules.Compile(v1alpha1.Rules{MapUsers: list}, rules.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// selecting is a rule for the users whose names have this beginning.
func selecting(prefix, username string, groups ...string) v1alpha1.Rule {
	return v1alpha1.Rule{ArnRegex: "^arn:aws:iam::123456789012:user/" + prefix + "[a-z]*$", Username: username, Groups: groups}
}

func TestFormers(t *testing.T) {
	t.Parallel()
	dev, admin := selecting("dev", "dev", "developers"), selecting("", "admin", "system:masters")
	wider := selecting("de", "dev", "developers")
	tests := []struct {
		reason        string
		before, after []v1alpha1.Rule
		want          []string
	}{
		{"nothing changed", []v1alpha1.Rule{dev, admin}, []v1alpha1.Rule{dev, admin}, nil},
		{"the order is no edit", []v1alpha1.Rule{dev, admin}, []v1alpha1.Rule{admin, dev}, nil},
		{"another rule edited, or gone, is none of this one", []v1alpha1.Rule{dev, admin}, []v1alpha1.Rule{admin}, nil},
		{"other selectors for the same user name and groups", []v1alpha1.Rule{dev, admin}, []v1alpha1.Rule{wider, admin}, []string{"de was dev grants developers"}},
		{"and in another place", []v1alpha1.Rule{dev, admin}, []v1alpha1.Rule{admin, wider}, []string{"de was dev grants developers"}},
		{"the same selectors for other groups", []v1alpha1.Rule{selecting("dev", "dev", "developers", "a")},
			[]v1alpha1.Rule{selecting("dev", "x", "b", "developers")}, []string{"dev was dev grants developers"}},
		{"another user name is the same rule", []v1alpha1.Rule{dev}, []v1alpha1.Rule{selecting("dev", "x", "developers")}, nil},
		{"both edited, in the same place, with a group in common", []v1alpha1.Rule{selecting("dev", "dev", "developers", "a")},
			[]v1alpha1.Rule{selecting("de", "x", "developers", "b")}, []string{"de was dev grants developers"}},
		{"another rule in the same place keeps nobody", []v1alpha1.Rule{dev}, []v1alpha1.Rule{selecting("de", "x", "system:masters")}, nil},
		{"a rule that is added has no earlier text", []v1alpha1.Rule{dev}, []v1alpha1.Rule{dev, selecting("x", "dev", "developers")}, nil},
	}
	for _, tc := range tests {
		var got []string
		name := func(digest string) string {
			for _, prefix := range []string{"dev", "de", "x", ""} {
				if strings.HasPrefix(digest, rules.SelectorDigest(rules.User, selecting(prefix, ""))) {
					return prefix
				}
			}
			return digest
		}
		for _, f := range rules.Formers(nil, mustCompile(t, tc.before...), mustCompile(t, tc.after...)) {
			got = append(got, name(f.Rule)+" was "+name(f.Was)+" grants "+strings.Join(f.Groups, ","))
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
		}
	}
}

// frozenModel is what a controller remembers: who got what by which texts.
type frozenModel struct {
	set    *rules.Set
	former []rules.Former
	by     map[string][]string // digests, by folded ARN
	groups map[string][]string
}

func (m *frozenModel) before(_ rules.Kind, folded, rule string) (rules.Before, bool) {
	return rules.BeforeBy(m.by[folded], m.former, rules.User, rule)
}

func (m *frozenModel) evaluate(ps []rules.Principal) rules.Evaluation {
	e := m.set.Evaluate(ps, m.before)
	m.by, m.groups = map[string][]string{}, map[string][]string{}
	for _, g := range e.Grants {
		m.by[arn.Fold(g.PrincipalARN)], m.groups[g.PrincipalARN] = g.Selectors, g.Groups
	}
	return e
}

func drawRules(t *rapid.T) []v1alpha1.Rule {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) v1alpha1.Rule {
		r := selecting(rapid.SampledFrom([]string{"", "a", "ab", "b", "abc"}).Draw(t, "prefix"),
			rapid.SampledFrom([]string{"x", "y"}).Draw(t, "username"),
			rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"dev", "ops", "system:masters"}), 0, 2, rapid.ID[string]).Draw(t, "groups")...)
		r.MaxMatches = rapid.IntRange(0, 3).Draw(t, "maxMatches")
		return r
	}), 1, 4).Draw(t, "rules")
}

// TestNoEditAddsAGroupByAFrozenRule: whatever is edited, whoever gains a group
// gains it by a rule that is not frozen; and whom the very text of a frozen rule
// let in stays with all its groups.
func TestNoEditAddsAGroupByAFrozenRule(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		list := drawRules(t)
		m := &frozenModel{set: mustCompile(t, list...)}
		for range rapid.IntRange(2, 6).Draw(t, "steps") {
			var ps []rules.Principal
			for _, name := range []string{"a", "aa", "ab", "abc", "abd", "b", "ba", "c"} {
				if rapid.Bool().Draw(t, name) {
					ps = append(ps, user("arn:aws:iam::123456789012:user/"+name))
				}
			}
			if rapid.Bool().Draw(t, "edit") {
				list = slices.Clone(list)
				switch i := rapid.IntRange(0, len(list)-1).Draw(t, "which"); {
				case rapid.Bool().Draw(t, "all"):
					list = drawRules(t)
				case len(list) > 1 && rapid.Bool().Draw(t, "delete"):
					list = slices.Delete(list, i, i+1)
				default:
					list[i] = drawRules(t)[0]
				}
				set := mustCompile(t, list...)
				m.former, m.set = rules.Formers(m.former, m.set, set), set
			}
			had, by := m.groups, m.by
			e := m.evaluate(ps)
			for _, g := range e.Grants {
				allowed, kept := map[string]bool{}, map[string]bool{}
				for i, r := range list {
					alone := mustCompile(t, r).Evaluate([]rules.Principal{user(g.PrincipalARN)}, func(rules.Kind, string, string) (rules.Before, bool) { return rules.Before{}, true })
					for _, group := range r.Groups {
						allowed[group] = allowed[group] || len(alone.Grants) > 0 && !e.Rules[i].Frozen
						kept[group] = kept[group] || len(alone.Grants) > 0 && slices.Contains(by[arn.Fold(g.PrincipalARN)], rules.RuleDigest(rules.User, r))
					}
				}
				for _, group := range g.Groups {
					if !allowed[group] && !slices.Contains(had[g.PrincipalARN], group) {
						t.Fatalf("%s gets %s, which only a frozen rule gives, and had %v\nrules %+v", g.PrincipalARN, group, had[g.PrincipalARN], list)
					}
				}
				for group, is := range kept {
					if is && !slices.Contains(g.Groups, group) {
						t.Fatalf("%s loses %s, which the same rule gave it before: %v", g.PrincipalARN, group, fmt.Sprint(list))
					}
				}
			}
		}
	})
}
