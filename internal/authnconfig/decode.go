package authnconfig

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Decode reads text, YAML or JSON, over f: keys that do not stand in it keep
// their value. The error has one line for each mistake, with its place; f is
// then not to be used.
func Decode(text []byte, f *File) error {
	decoder := yaml.NewDecoder(strings.NewReader(string(text)))
	var document yaml.Node
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return nil
	} else if err != nil {
		return fmt.Errorf("not YAML: %w", err)
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return errors.New("there is more than one YAML document; only the first would be read")
	}
	var p problems
	p.file(document.Content[0], f)
	return p.err()
}

// problems collects what is wrong. Its methods read one kind of value each;
// what they cannot read they leave at its zero value.
type problems struct{ list []error }

func (p *problems) err() error { return errors.Join(p.list...) }

func (p *problems) add(n *yaml.Node, format string, args ...any) {
	p.list = append(p.list, fmt.Errorf("line %d: %s", n.Line, fmt.Sprintf(format, args...)))
}

// fields are the keys of a mapping, in lower case, and what reads their values.
type fields map[string]func(*yaml.Node)

func (p *problems) mapping(n *yaml.Node, what string, known fields) {
	n = resolve(n)
	if isNull(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		p.add(n, "%s must be a mapping of keys to values", what)
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		folded := strings.ToLower(key.Value)
		read, ok := known[folded]
		switch {
		case !ok:
			p.add(key, "unknown key %q in %s, which has %s, in whatever case", key.Value, what, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		case seen[folded]:
			p.add(key, "the key %q stands twice in %s", key.Value, what)
		default:
			seen[folded] = true
			read(value)
		}
	}
}

func resolve(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// text takes a scalar as it is written, so that an account ID stays what it is
// although YAML takes 012345670123 for a number.
func (p *problems) text(to *string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		n = resolve(n)
		switch {
		case isNull(n):
		case n.Kind != yaml.ScalarNode:
			p.add(n, "a text is expected here")
		default:
			*to = n.Value
		}
	}
}

func (p *problems) number(to *int) func(*yaml.Node) {
	return func(n *yaml.Node) {
		n = resolve(n)
		value, err := strconv.Atoi(n.Value)
		switch {
		case isNull(n):
		case n.Kind != yaml.ScalarNode || err != nil:
			p.add(n, "a number is expected here")
		default:
			*to = value
		}
	}
}

func (p *problems) truth(to *bool) func(*yaml.Node) {
	return func(n *yaml.Node) {
		n = resolve(n)
		value, err := strconv.ParseBool(n.Value)
		switch {
		case isNull(n):
		case n.Kind != yaml.ScalarNode || err != nil:
			p.add(n, "true or false is expected here")
		default:
			*to = value
		}
	}
}

// texts reads a list of texts; one text with commas counts as a list, too.
func (p *problems) texts(to *[]string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		n = resolve(n)
		var list []string
		switch {
		case isNull(n):
			return
		case n.Kind == yaml.ScalarNode:
			for part := range strings.SplitSeq(n.Value, ",") {
				list = append(list, strings.TrimSpace(part))
			}
		default:
			p.items(n, func(item *yaml.Node) {
				var s string
				p.text(&s)(item)
				list = append(list, s)
			})
		}
		*to = list
	}
}

func (p *problems) items(n *yaml.Node, each func(*yaml.Node)) {
	n = resolve(n)
	if isNull(n) {
		return
	}
	if n.Kind != yaml.SequenceNode {
		p.add(n, "a list is expected here")
		return
	}
	for _, item := range n.Content {
		each(item)
	}
}

func (p *problems) file(n *yaml.Node, f *File) {
	p.mapping(n, "the file", fields{
		"clusterid":   p.text(&f.ClusterID),
		"defaultrole": p.text(&f.DefaultRole),
		"server":      func(n *yaml.Node) { p.server(n, &f.Server) },
	})
}

func (p *problems) server(n *yaml.Node, s *Server) {
	known := fields{
		"partition":                   p.text(&s.Partition),
		"address":                     p.text(&s.Address),
		"port":                        p.number(&s.Port),
		"hostname":                    p.text(&s.Hostname),
		"statedir":                    p.text(&s.StateDir),
		"generatekubeconfig":          p.text(&s.GenerateKubeconfig),
		"kubeconfigpregenerated":      p.truth(&s.KubeconfigPregenerated),
		"kubeconfig":                  p.text(&s.Kubeconfig),
		"master":                      p.text(&s.Master),
		"backendmode":                 p.texts(&s.BackendMode),
		"scrubbedaccounts":            p.texts(&s.ScrubbedAccounts),
		"ec2describeinstancesrolearn": p.text(&s.EC2.RoleARN),
		"sourcearn":                   p.text(&s.SourceARN),
		"ec2describeinstancesqps":     p.number(&s.QPS),
		"ec2describeinstancesburst":   p.number(&s.Burst),
		"dynamicfilepath":             p.text(&s.Path),
		"dynamicfileuseridstrict":     p.truth(&s.UserIDStrict),
		"dynamicbackendmodepath":      p.text(&s.BackendModePath),
		"reservedprefixconfig":        func(n *yaml.Node) { p.reserved(n, s) },
	}
	p.addMappings(known, &s.Mappings, false)
	p.mapping(n, "server", known)
}

func (p *problems) reserved(n *yaml.Node, s *Server) {
	s.ReservedPrefixes = map[string][]string{}
	p.items(n, func(item *yaml.Node) {
		var mode string
		var prefixes []string
		p.mapping(item, "reservedPrefixConfig", fields{
			"backendmode":               p.text(&mode),
			"usernameprefixreservelist": p.texts(&prefixes),
		})
		switch {
		case !slices.Contains(Backends(), mode):
			p.add(item, "there is no backend mode %q; choose from %s", mode, strings.Join(Backends(), ", "))
		case s.ReservedPrefixes[mode] != nil:
			p.add(item, "reservedPrefixConfig has the backend mode %s twice", mode)
		}
		s.ReservedPrefixes[mode] = prefixes
	})
}
