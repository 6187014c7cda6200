package rules

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// resolve follows an alias to what it stands for.
func resolve(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null"
}

// text reads a scalar that every reader of YAML, old or new, takes for the
// same text.
func text(n *yaml.Node) (string, error) {
	const quoted = yaml.SingleQuotedStyle | yaml.DoubleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle
	switch {
	case isNull(n):
		return "", errors.New("has no value; write one or drop the field")
	case n.Kind == yaml.MappingNode && n.Style&yaml.FlowStyle != 0:
		return "", errors.New(`must be text and is a mapping; put a value that begins with { in quotes`)
	case n.Kind != yaml.ScalarNode:
		return "", fmt.Errorf("must be text and is %s", describe(n))
	case n.Style&yaml.TaggedStyle != 0 && n.ShortTag() != "!!str":
		return "", fmt.Errorf("must be text and is %s; drop the tag", describe(n))
	case n.Value == "":
		return "", errors.New("is empty; write a value or drop the field")
	case n.Style&(quoted|yaml.TaggedStyle) != 0:
		return n.Value, nil
	}
	if other := readsAs(n); other != "" {
		return "", fmt.Errorf("must be text, but YAML reads %s as %s; write %q", clip(n.Value), other, clip(n.Value))
	}
	return n.Value, nil
}

// readsAs says what a plain scalar means other than its text to a reader of
// YAML 1.1 or 1.2, or nothing. The words and forms beyond the parser's own are
// those of https://yaml.org/type/bool.html, int.html and float.html.
func readsAs(n *yaml.Node) string {
	switch n.ShortTag() {
	case "!!bool":
		return "true or false"
	case "!!int", "!!float":
		return "a number"
	case "!!timestamp":
		return "a date"
	case "!!merge":
		return "a merge key"
	}
	if slices.Contains([]string{"y", "n", "yes", "no", "on", "off"}, strings.ToLower(n.Value)) {
		return "true or false"
	}
	if isSexagesimal(n.Value) {
		return "a number"
	}
	return ""
}

// isSexagesimal holds more than numbers to the base of 60, such as 10.0.0.1:80;
// it costs only a pair of quotes.
func isSexagesimal(s string) bool {
	return strings.Contains(s, ":") && strings.Trim(s, "+-0123456789_:.") == ""
}

// isEmptyText recognizes "" and the like.
func isEmptyText(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.Value == "" && n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0
}

// age reads a duration as it is written. What is not one is refused later,
// with a better word than that it should be in quotes.
func age(n *yaml.Node) (string, error) {
	if n.Kind != yaml.ScalarNode || isNull(n) || n.Style&yaml.TaggedStyle != 0 || n.Value == "" {
		return "", fmt.Errorf("must be a duration, as in 24h, and is %s", describe(n))
	}
	return n.Value, nil
}

// count reads a whole number from 1 in decimal digits.
func count(n *yaml.Node) (int, error) {
	const most = 1_000_000
	switch {
	case isNull(n):
		return 0, errors.New("has no value; write a number or drop the field")
	case n.Kind != yaml.ScalarNode || n.Style&yaml.TaggedStyle != 0:
		return 0, fmt.Errorf("must be a number and is %s", describe(n))
	}
	v, err := strconv.Atoi(n.Value)
	switch {
	case err != nil || strconv.Itoa(v) != n.Value:
		return 0, fmt.Errorf("must be a whole number in decimal digits and is %s", describe(n))
	case n.ShortTag() != "!!int":
		return 0, errors.New("must be a number and is text; write it without quotes")
	case v < 1:
		return 0, errors.New("must be at least 1; drop the field for no limit")
	case v > most:
		return 0, fmt.Errorf("must be at most %d; drop the field for no limit", most)
	}
	return v, nil
}
