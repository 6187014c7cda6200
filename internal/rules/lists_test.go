package rules_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/gzipjson"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

func selectors(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("%016x", i*0x9e3779b97f4a7c)
	}
	return list
}

// granted are entries of as many users, each by its own list of selectors.
func granted(users int, by func(user int) []string) rules.Record {
	var r rules.Record
	for i := range users {
		r.Entries = append(r.Entries, rules.Owned{
			Kind: rules.User, ARN: fmt.Sprintf("arn:aws:iam::123456789012:user/u%04d", i),
			Digest: rules.ContentDigest(fmt.Sprint(i), nil), Selectors: by(i),
		})
	}
	return r
}

// TestRecordOfManyRulesFits: whoever writes 500 rules that all match everybody
// must be able to put them right.
func TestRecordOfManyRulesFits(t *testing.T) {
	t.Parallel()
	all := selectors(500)
	lacking := make([][]string, len(all))
	for i := range all {
		lacking[i] = slices.Concat(all[:i], all[i+1:])
	}
	for reason, by := range map[string]func(user int) []string{
		"equal lists": func(i int) []string {
			if i%10 == 0 {
				return slices.Clone(all)
			}
			return all
		},
		"everybody lacks another": func(i int) []string { return lacking[i/10] },
		"another tenth for everybody": func(i int) []string {
			rnd := rand.New(rand.NewPCG(1, uint64(i)))
			var tenth []string
			for at := rnd.IntN(20); at < len(all); at += 1 + rnd.IntN(19) {
				tenth = append(tenth, all[at])
			}
			return tenth
		},
	} {
		r := granted(5000, by)
		b, err := r.Encode()
		if err != nil {
			t.Errorf("%s: %v", reason, err)
			continue
		}
		t.Logf("%s: 5,000 entries of 500 rules take %d KiB", reason, len(b)>>10)
		if len(b) > 900<<10 {
			t.Errorf("%s: 5,000 entries of 500 rules take %d KiB, and a ConfigMap holds 1 MiB", reason, len(b)>>10)
		}
		got, err := rules.DecodeRecord(b)
		if err != nil {
			t.Errorf("%s: what was written cannot be read: %v", reason, err)
			continue
		}
		for i := 0; i < len(got.Entries); i += 13 {
			if o := got.Entries[i]; !slices.Equal(o.Selectors, r.Entries[i].Selectors) {
				t.Errorf("%s: %s came back with other rules", reason, o.ARN)
				break
			}
		}
	}
}

// TestEncodeRefusesARecordThatIsTooLarge: what cannot be read back is never
// written.
func TestEncodeRefusesARecordThatIsTooLarge(t *testing.T) {
	t.Parallel()
	all := selectors(1500)
	many := granted(len(all), func(i int) []string { return slices.Concat(all[:i], all[i+1:]) })
	large := rules.Record{Rules: map[string]string{"mapUsers": string(make([]byte, 3<<20))}} // six bytes of JSON each
	for reason, r := range map[string]rules.Record{"lists of 2.2 million in all": many, "18 MiB of JSON": large} {
		if _, err := r.Encode(); !errors.Is(err, gzipjson.ErrTooLarge) {
			t.Errorf("%s: %v, want ErrTooLarge", reason, err)
		}
	}
	long := rules.SelectorLists{Selectors: []string{"a"}, Lists: [][]int32{make([]int32, 1<<20), make([]int32, 1<<20), {0}}}
	if _, err := long.Read(); err == nil {
		t.Error("lists that are not written for their length are read")
	}
}

// TestEqualListsAreOneInMemory: a list of rules may be long, and shared by all
// principals there are.
func TestEqualListsAreOneInMemory(t *testing.T) {
	t.Parallel()
	r := granted(3, func(i int) []string { return selectors(2 + i/2) })
	b, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := rules.DecodeRecord(b)
	if err != nil {
		t.Fatal(err)
	}
	if e := got.Entries; &e[0].Selectors[0] != &e[1].Selectors[0] {
		t.Error("equal lists of a record stand in memory twice")
	}
	if e := got.Entries; cap(e[0].Selectors) != len(e[0].Selectors) {
		t.Error("whoever appends to one list writes into another")
	}
	set := mustParse(t, map[string]string{"mapUsers": `
- {arnRegex: '^arn:aws:iam::000000000001:user/[a-z]$', username: a, groups: [g]}
- {arnRegex: '^arn:aws:iam::000000000001:user/[a-y]$', username: b, groups: [h]}
- {arnRegex: '^arn:aws:iam::000000000001:user/[b-z]$', username: c, groups: [i]}`})
	var principals []rules.Principal
	for _, name := range []string{"a", "b", "c", "z"} {
		principals = append(principals, user("arn:aws:iam::000000000001:user/"+name))
	}
	grants := map[string]rules.Grant{}
	for _, g := range set.Evaluate(principals, nil).Grants {
		grants[g.PrincipalARN[len(g.PrincipalARN)-1:]] = g
	}
	if &grants["b"].Selectors[0] != &grants["c"].Selectors[0] || &grants["b"].Groups[0] != &grants["c"].Groups[0] {
		t.Error("equal lists of two grants stand in memory twice")
	}
	if slices.Equal(grants["a"].Selectors, grants["z"].Selectors) || slices.Equal(grants["a"].Groups, grants["z"].Groups) {
		t.Error("other rules give the same lists")
	}
}
