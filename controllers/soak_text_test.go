package controllers

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// soakData is the data of a ConfigMap.
type soakData map[string]string

// clone is never nil.
func (d soakData) clone() soakData {
	out := soakData{}
	maps.Copy(out, d)
	return out
}

// soakDoc is aws-auth as it stands, kept by whoever writes it.
type soakDoc struct {
	exists bool
	data   soakData
	// foreign are the folded ARNs of entries that are not ours.
	foreign map[string]bool
	// original is what stood under a key before our first entry, as long as
	// nobody else has written since.
	original map[string]*string
	missing  bool      // somebody deleted it, and nobody has made it again
	deleted  time.Time // when
	// before is what stood there until a replica wrote, at last.
	before soakData
	last   time.Time
}

// soakEntry is one entry as it is read.
type soakEntry struct {
	UserARN  string   `json:"userarn,omitempty"`
	RoleARN  string   `json:"rolearn,omitempty"`
	Username string   `json:"username"`
	Groups   []string `json:"groups"`
}

func (e soakEntry) arn() string { return e.UserARN + e.RoleARN }

func (e soakEntry) ours() bool { return strings.HasPrefix(e.Username, soakMark) }

func (e soakEntry) granted() grantedTo { return says(e.Username, e.Groups) }

// soakReader reads texts and remembers the last ones. The zero value is ready.
type soakReader struct{ read map[string]soakRead }

type soakRead struct {
	list []soakEntry
	ok   bool
}

// entries gives nothing for text that is not a list.
func (r *soakReader) entries(text string) ([]soakEntry, bool) {
	known, ok := r.read[text]
	if !ok {
		err := yaml.Unmarshal([]byte(text), &known.list)
		known.ok = err == nil
		if r.read == nil || len(r.read) > 20 {
			r.read = map[string]soakRead{}
		}
		r.read[text] = known
	}
	return known.list, known.ok
}

func (r *soakReader) readable(text string) bool {
	_, ok := r.entries(text)
	return ok
}

// ours gives our entries of a key, by track key.
func (r *soakReader) ours(data soakData, kind rules.Kind) map[string]grantedTo {
	found := map[string]grantedTo{}
	list, _ := r.entries(data[kind.DataKey()])
	for _, e := range list {
		if e.ours() {
			found[trackKey(kind, e.arn())] = e.granted()
		}
	}
	return found
}

// chunk is an item of a block list, or a line between items.
type chunk struct {
	lines []string // with their line ends
	item  bool
}

func (c chunk) text() string { return strings.Join(c.lines, "") }

func (c chunk) ours() bool { return c.item && strings.Contains(c.text(), soakMark) }

// chunks cuts a block list. An item runs from its dash over the lines that are
// indented further.
func chunks(text string) []chunk {
	indent := -1
	var list []chunk
	for line := range strings.Lines(text) {
		body := strings.TrimRight(line, "\r\n")
		bare := strings.TrimLeft(body, " ")
		depth := len(body) - len(bare)
		blank := bare == "" || bare[0] == '#'
		switch {
		case !blank && strings.HasPrefix(bare, "-") && (indent < 0 || depth == indent):
			indent = depth
			list = append(list, chunk{[]string{line}, true})
		case !blank && depth > indent && len(list) > 0 && list[len(list)-1].item:
			last := &list[len(list)-1]
			last.lines = append(last.lines, line)
		default:
			list = append(list, chunk{[]string{line}, false})
		}
	}
	return list
}

func join(list []chunk) string {
	var b strings.Builder
	for _, c := range list {
		b.WriteString(c.text())
	}
	return b.String()
}

var (
	flowOurs = regexp.MustCompile(`,?\s*\{[^{}]*"` + soakMark + `[^{}]*\}`)
	flowHead = regexp.MustCompile(`^(\s*\[)[,\s]*`)
)

func isFlow(text string) bool { return strings.HasPrefix(strings.TrimSpace(text), "[") }

// foreignText is what is somebody else's in a value.
func foreignText(text string) string {
	ended := strings.HasSuffix(text, "\n")
	if isFlow(text) {
		text = flowHead.ReplaceAllString(flowOurs.ReplaceAllString(text, ""), "$1")
	} else {
		text = join(slices.DeleteFunc(chunks(text), chunk.ours))
	}
	switch strings.TrimSpace(text) {
	case "", "[]", "null":
		return ""
	}
	open := strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
	if ended || strings.HasSuffix(open, "\n") { // the end of a blank line is somebody's
		return text
	}
	return open + "(and no line end)"
}

// foreignARNs gives the ARNs of entries that are not ours, folded.
func (r *soakReader) foreignARNs(data soakData) map[string]bool {
	found := map[string]bool{}
	for _, kind := range rules.Kinds() {
		list, _ := r.entries(data[kind.DataKey()])
		for _, e := range list {
			if !e.ours() {
				found[strings.ToLower(e.arn())] = true
			}
		}
	}
	return found
}

// encodedAgain is the list decoded and encoded again, as eksctl does it, or, as
// CDK does it, as JSON.
func encodedAgain(text string, asJSON bool) string {
	var list []map[string]any
	if err := yaml.Unmarshal([]byte(text), &list); err != nil {
		return text
	}
	if list == nil {
		list = []map[string]any{}
	}
	var out []byte
	var err error
	if asJSON {
		out, err = json.Marshal(list)
	} else {
		out, err = yaml.Marshal(list)
	}
	if err != nil {
		return text
	}
	return string(out)
}
