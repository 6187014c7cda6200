package rules

import (
	"cmp"
	"slices"
)

// Former says that a rule in force had another text once: whoever that text let
// in counts as let in by the rule, for the groups that both texts give. A frozen
// rule keeps nobody else, and gives nobody more.
type Former struct {
	Kind Kind
	// Rule is the RuleDigest of the rule in force, Was that of the other text.
	Rule, Was string
	// Groups are those that every text since then gives.
	Groups []string
}

// Formers are the earlier texts of the rules in after, which take the place of
// those in before. An edited rule is told by what stayed the same: its user name
// and groups, else its selectors, else its place in the list and its user name or
// one of its groups. Any other is a rule that was deleted, and one that was added.
// known are the Formers of before. Nil rules have none.
func Formers(known []Former, before, after *Set) []Former {
	if before == nil || after == nil {
		return nil
	}
	all := map[formerKey]Former{}
	for _, k := range Kinds() {
		edits := editsOf(before.of(k), after.of(k))
		for _, e := range edits {
			keepFormer(all, e.former(Former{Kind: k, Was: e.old.digest[0], Groups: e.old.groups}))
		}
		inForce := digestsOf(after.of(k))
		for _, f := range known {
			switch {
			case f.Kind != k || inForce[f.Was]:
			case inForce[f.Rule]:
				keepFormer(all, f)
			default:
				for _, e := range edits {
					if e.old.digest[0] == f.Rule {
						keepFormer(all, e.former(f))
					}
				}
			}
		}
	}
	out := make([]Former, 0, len(all))
	for _, f := range all {
		out = append(out, f)
	}
	slices.SortFunc(out, compareFormers)
	return out
}

type formerKey struct {
	kind      Kind
	rule, was string
}

// keepFormer notes a Former; where two ways lead from one text to another, what
// both of them allow counts.
func keepFormer(all map[formerKey]Former, f Former) {
	key := formerKey{f.Kind, f.Rule, f.Was}
	if other, twice := all[key]; twice {
		f.Groups = inBoth(f.Groups, other.Groups)
	}
	all[key] = f
}

func compareFormers(a, b Former) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Was, b.Was))
}

// edit is one rule that became another one.
type edit struct{ old, new *rule }

// former is what an earlier text of the old rule is to the new one.
func (e edit) former(f Former) Former {
	f.Rule, f.Groups = e.new.digest[0], inBoth(f.Groups, e.new.groups)
	return f
}

func digestsOf(list []rule) map[string]bool {
	all := make(map[string]bool, len(list))
	for i := range list {
		all[list[i].digest[0]] = true
	}
	return all
}

// editsOf pairs the rules that are gone with those that are new.
func editsOf(before, after []rule) []edit {
	was, is := digestsOf(before), digestsOf(after)
	var edits []edit
	paired := map[*rule]bool{}
	pair := func(same func(a, b *rule) bool) {
		found := map[*rule]bool{}
		for i := range before {
			old := &before[i]
			if is[old.digest[0]] || paired[old] {
				continue
			}
			for j := range after {
				fresh := &after[j]
				if was[fresh.digest[0]] || paired[fresh] || !same(old, fresh) {
					continue
				}
				edits = append(edits, edit{old, fresh})
				found[old], found[fresh] = true, true
			}
		}
		for r := range found {
			paired[r] = true
		}
	}
	pair(func(a, b *rule) bool { return a.as == b.as && sameSet(a.groups, b.groups) })
	pair(func(a, b *rule) bool { return SelectorOf(a.digest[0]) == SelectorOf(b.digest[0]) })
	for i := range min(len(before), len(after)) {
		old, fresh := &before[i], &after[i]
		related := old.as == fresh.as || len(inBoth(old.groups, fresh.groups)) > 0
		if related && !is[old.digest[0]] && !was[fresh.digest[0]] && !paired[old] && !paired[fresh] {
			edits = append(edits, edit{old, fresh})
		}
	}
	return edits
}

// inBoth are the texts of a that b has, too; never nil.
func inBoth(a, b []string) []string {
	both := []string{}
	for _, s := range a {
		if slices.Contains(b, s) && !slices.Contains(both, s) {
			both = append(both, s)
		}
	}
	return both
}

func sameSet(a, b []string) bool {
	return len(inBoth(a, b)) == len(inBoth(a, a)) && len(inBoth(b, a)) == len(inBoth(b, b))
}

// BeforeBy tells by which texts the rule with this RuleDigest has granted to a
// principal that the rules with the recorded digests let in.
func BeforeBy(recorded []string, known []Former, k Kind, ruleDigest string) (Before, bool) {
	has := func(digest string) int {
		return slices.IndexFunc(recorded, func(r string) bool { return IsOf(r, digest) })
	}
	if has(ruleDigest) >= 0 {
		return Before{}, true
	}
	var before Before
	for _, f := range known {
		if f.Kind != k || f.Rule != ruleDigest {
			continue
		}
		if i := has(f.Was); i >= 0 {
			before.Digests = append(before.Digests, recorded[i])
			before.Groups = append(before.Groups, f.Groups...)
		}
	}
	return before, len(before.Digests) > 0
}
