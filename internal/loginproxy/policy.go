package loginproxy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Policy says which claims of a login may take which identities. Make it with
// ParsePolicy.
type Policy struct{ rules []policyRule }

type policyRule struct {
	// Claim is the name of a claim, or several joined by dots for one inside
	// another, such as realm_access.roles.
	Claim string `yaml:"claim"`
	// Values are compared whole and with case; a claim that is a list has to hold
	// one of them.
	Values []string `yaml:"values"`
	// Everyone stands instead of Claim and Values.
	Everyone bool `yaml:"everyone"`
	// Identities are role ARNs, or vault: and a name.
	Identities []string `yaml:"identities"`
}

// ParsePolicy reads a policy in YAML:
//
//	rules:
//	- claim: groups
//	  values: [platform]
//	  identities: ["arn:aws:iam::111122223333:role/admin"]
//	- everyone: true
//	  identities: ["arn:aws:iam::111122223333:role/viewer", "vault:dev"]
//
// A login may take what any rule grants it. The error has one sentence for each
// mistake; what is unknown or misspelled is one.
func ParsePolicy(text []byte) (*Policy, error) {
	var file struct {
		Rules []policyRule `yaml:"rules"`
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	err := decoder.Decode(&file)
	if mistakes, ok := errors.AsType[*yaml.TypeError](err); ok {
		var errs []error
		for _, mistake := range mistakes.Errors {
			errs = append(errs, fmt.Errorf("role policy: %s", inWords(mistake)))
		}
		return nil, errors.Join(errs...)
	}
	switch {
	case errors.Is(err, io.EOF) || err == nil && len(file.Rules) == 0:
		return nil, errors.New("role policy: there is no rule in it, so that nobody could log in")
	case err != nil:
		return nil, fmt.Errorf("role policy: %w", err)
	}
	if err := decoder.Decode(&struct{}{}); !errors.Is(err, io.EOF) {
		return nil, errors.New("role policy: there is more than one document in it")
	}
	var errs []error
	for i, r := range file.Rules {
		if err := r.check(); err != nil {
			errs = append(errs, fmt.Errorf("role policy: rule %d %w", i+1, err))
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return &Policy{file.Rules}, nil
}

// Names tells whether a rule decides by a claim.
func (p *Policy) Names(claim string) bool {
	return slices.ContainsFunc(p.rules, func(r policyRule) bool { return r.Claim == claim })
}

// Everyone tells whether a rule grants something to everybody.
func (p *Policy) Everyone() bool {
	return slices.ContainsFunc(p.rules, func(r policyRule) bool { return r.Everyone })
}

// inWords puts a mistake that the decoder found without the types of Go.
func inWords(mistake string) string {
	if m := regexp.MustCompile(`^(line \d+): field (.+) not found in type (\S+)`).FindStringSubmatch(mistake); m != nil {
		if strings.HasSuffix(m[3], "policyRule") {
			return fmt.Sprintf("%s: a rule has no field %q; it has claim, values, everyone and identities", m[1], m[2])
		}
		return fmt.Sprintf("%s: there is no field %q beside rules", m[1], m[2])
	}
	m := regexp.MustCompile(`(?s)^(line \d+): cannot unmarshal .+ into (.+)$`).FindStringSubmatch(mistake)
	if m == nil {
		return mistake
	}
	switch what := m[2]; {
	case what == "bool":
		return m[1] + ": here belongs true or false"
	case what == "string":
		return m[1] + ": here belongs one text"
	case what == "[]string":
		return m[1] + ": here belongs a list, as [one, two]"
	case strings.HasPrefix(what, "[]"):
		return m[1] + ": here belongs a list of rules, each of which begins with a dash"
	case strings.HasSuffix(what, "policyRule"):
		return m[1] + ": here belongs a rule, with claim, values and identities"
	}
	return m[1] + ": here belongs rules: with a list of rules"
}

func (r policyRule) check() error {
	switch {
	case len(r.Identities) == 0:
		return errors.New("grants no identities")
	case r.Everyone && (r.Claim != "" || len(r.Values) > 0):
		return errors.New("is for everyone and also names a claim; make two of it")
	case r.Everyone:
		return nil
	case r.Claim == "":
		return errors.New("names no claim; if it is meant for everyone, say everyone: true")
	case len(r.Values) == 0:
		return errors.New("lists no values of the claim")
	case slices.Contains(r.Values, ""):
		return errors.New("lists an empty value")
	}
	return nil
}

// check refuses a policy that grants what nobody can choose.
func (p *Policy) check(identities []identity) error {
	var errs []error
	known := make([]string, 0, len(identities))
	for _, i := range identities {
		known = append(known, i.key)
	}
	for i, r := range p.rules {
		for _, key := range r.Identities {
			if !has(identities, key) {
				errs = append(errs, fmt.Errorf("role policy: rule %d grants %s, which is not among the identities; these are %s: correct it, or add a role with --iam-role, or a Vault, which is called vault: and its --vault-name", i+1, key, strings.Join(known, ", ")))
			}
		}
	}
	return errors.Join(errs...)
}

func (r policyRule) matches(claims map[string]any) bool {
	if r.Everyone {
		return true
	}
	return slices.ContainsFunc(claimValues(claims, r.Claim), func(v string) bool { return slices.Contains(r.Values, v) })
}

// claimValues are a claim's values as text; none for one that is absent or an
// object.
func claimValues(claims map[string]any, name string) []string {
	v, ok := claims[name]
	for !ok {
		first, rest, nested := strings.Cut(name, ".")
		if !nested {
			return nil
		}
		inner, isObject := claims[first].(map[string]any)
		if !isObject {
			return nil
		}
		claims, name = inner, rest
		v, ok = claims[name]
	}
	list, isList := v.([]any)
	if !isList {
		list = []any{v}
	}
	var out []string
	for _, v := range list {
		switch v := v.(type) {
		case string:
			out = append(out, v)
		case bool:
			out = append(out, strconv.FormatBool(v))
		case float64:
			out = append(out, strconv.FormatFloat(v, 'f', -1, 64))
		case json.Number:
			out = append(out, v.String())
		}
	}
	return out
}

// allowed are the identities that a login with these claims may take, in the
// order of the list.
func (p *Proxy) allowed(claims map[string]any) []identity {
	if p.c.Policy == nil {
		return slices.Clone(p.identities)
	}
	granted := map[string]bool{}
	for _, r := range p.c.Policy.rules {
		if r.matches(claims) {
			for _, key := range r.Identities {
				granted[key] = true
			}
		}
	}
	var out []identity
	for _, i := range p.identities {
		if granted[i.key] {
			out = append(out, i)
		}
	}
	return out
}

func (p *Proxy) allows(claims map[string]any, key string) bool { return has(p.allowed(claims), key) }
