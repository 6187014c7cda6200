package app

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/aws-auth-refresher/aws-auth-refresher/controllers"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/arn"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// inputs reads files; - is standard input.
type inputs struct{ stdin io.Reader }

// onceStdin refuses more than one - among file names.
func onceStdin(names ...string) error {
	seen := false
	for _, name := range names {
		if seen && name == "-" {
			return errors.New("only one file can be -, because standard input can be read only once")
		}
		seen = seen || name == "-"
	}
	return nil
}

func (in *inputs) read(flag, name string) ([]byte, error) {
	if name != "-" {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", flag, err)
		}
		return b, nil
	}
	b, err := io.ReadAll(in.stdin)
	if err != nil {
		return nil, fmt.Errorf("%s: reading standard input: %w", flag, err)
	}
	return b, nil
}

// configMap reads a ConfigMap manifest, YAML or JSON, as kubectl prints it or
// as written by hand.
func (in *inputs) configMap(flag, name string) (*corev1.ConfigMap, error) {
	text, err := in.read(flag, name)
	if err != nil {
		return nil, err
	}
	whole := text
	text, err = oneDocument(whole)
	if err != nil {
		return nil, fmt.Errorf("%s %w", fileName(name), err)
	}
	if text == nil {
		return nil, fmt.Errorf("%s is empty; write a manifest with kind: ConfigMap and apiVersion: v1", fileName(name))
	}
	var cm corev1.ConfigMap
	err = yaml.UnmarshalStrict(text, &cm)
	if line := tabbedLine(whole, err); line > 0 {
		return nil, fmt.Errorf("%s line %d is indented with a tab, which YAML does not allow; indent with spaces", fileName(name), line)
	}
	switch {
	case err != nil && strings.Contains(err.Error(), "ConfigMap.data of type string"):
		return nil, fmt.Errorf("%s: a value under data is not text; write it as a block of text, with a | behind the key: mapUsers: |",
			fileName(name))
	case err != nil && strings.Contains(err.Error(), `unknown field "map`):
		return nil, fmt.Errorf("%s is not a ConfigMap manifest, but what belongs into one; put mapUsers and mapRoles under data, in a manifest with kind: ConfigMap and apiVersion: v1",
			fileName(name))
	case err != nil:
		return nil, fmt.Errorf("%s is not a ConfigMap manifest: %s", fileName(name), parseError(err))
	case cm.Kind != "ConfigMap" || cm.APIVersion != "v1":
		return nil, fmt.Errorf("%s holds kind %q of apiVersion %q; write a manifest with kind: ConfigMap and apiVersion: v1",
			fileName(name), cm.Kind, cm.APIVersion)
	}
	return &cm, nil
}

// tabbedLine is the first line that is indented with a tab, 0 if that is not
// what the error is about: in a block of text a tab is like any letter.
func tabbedLine(text []byte, err error) int {
	if err == nil || !strings.Contains(err.Error(), "tab character") && !strings.Contains(err.Error(), "cannot start any token") {
		return 0
	}
	number := 0
	for line := range bytes.Lines(text) {
		number++
		if content := bytes.TrimLeft(line, " \t"); bytes.ContainsRune(line[:len(line)-len(content)], '\t') {
			return number
		}
	}
	return 0
}

// oneDocument returns the only YAML document with content, byte for byte: the
// end of the file may be the end of a block scalar.
func oneDocument(text []byte) ([]byte, error) {
	var only []byte
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for {
		doc, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return only, nil
		}
		if err != nil {
			return nil, fmt.Errorf("cannot be read: %w", err)
		}
		var content any
		if err := yaml.Unmarshal(doc, &content); err == nil && content == nil {
			continue
		}
		if only != nil {
			return nil, errors.New("holds more than one manifest; give the ConfigMap alone")
		}
		only = doc
	}
}

func fileName(name string) string {
	if name == "-" {
		return "standard input"
	}
	return name
}

// parseError is what is wrong with a YAML or JSON text, on one line and without
// Go's types and the packages that say so.
func parseError(err error) string {
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		kind := "a " + e.Value
		if e.Value == "array" || e.Value == "object" {
			kind = "an " + e.Value
		}
		return cmp.Or(e.Field, "it") + " cannot be " + kind
	}
	text := strings.Join(strings.Fields(err.Error()), " ")
	for _, way := range []string{"error converting YAML to JSON: ", "error unmarshaling JSON: ", "while decoding JSON: ", "yaml: ", "json: "} {
		text = strings.TrimPrefix(text, way)
	}
	return text
}

// awsPrincipal is one element of what `aws iam list-users` and `aws iam
// list-roles` print (IAM API reference, data types User and Role).
type awsPrincipal struct {
	Path       string    `json:"Path"`
	UserName   string    `json:"UserName"`
	RoleName   string    `json:"RoleName"`
	UserID     string    `json:"UserId"`
	RoleID     string    `json:"RoleId"`
	ARN        string    `json:"Arn"`
	CreateDate time.Time `json:"CreateDate"`
}

// principals reads a listing that the AWS CLI printed, as JSON or YAML.
func (in *inputs) principals(flag, name string, kind rules.Kind) ([]rules.Principal, error) {
	text, err := in.read(flag, name)
	if err != nil {
		return nil, err
	}
	var list struct {
		Users       *[]awsPrincipal `json:"Users"`
		Roles       *[]awsPrincipal `json:"Roles"`
		IsTruncated bool            `json:"IsTruncated"`
		NextToken   string          `json:"NextToken"`
	}
	field, command, items := "Users", "aws iam list-users", &list.Users
	if kind == rules.Role {
		field, command, items = "Roles", "aws iam list-roles", &list.Roles
	}
	switch err := yaml.Unmarshal(text, &list); {
	case err != nil:
		return nil, fmt.Errorf("%s is not what `%s` prints: %s", fileName(name), command, parseError(err))
	case *items == nil:
		return nil, fmt.Errorf("%s has no %s; it should be what `%s --output json` prints", fileName(name), field, command)
	case list.IsTruncated || list.NextToken != "":
		return nil, fmt.Errorf("%s is only a part of the listing; run `%s` without --max-items and --no-paginate", fileName(name), command)
	}
	all := make([]rules.Principal, 0, len(**items))
	for i, p := range **items {
		principal, err := p.principal(kind)
		if err != nil {
			return nil, fmt.Errorf("%s: %s[%d]: %w", fileName(name), field, i, err)
		}
		all = append(all, principal)
	}
	return all, nil
}

func (p awsPrincipal) principal(kind rules.Kind) (rules.Principal, error) {
	a, err := arn.Parse(p.ARN)
	if err != nil {
		return rules.Principal{}, err
	}
	if a.Type != string(kind) {
		return rules.Principal{}, fmt.Errorf("%s is not a %s", p.ARN, kind)
	}
	return rules.Principal{
		Kind: kind, ARN: p.ARN, AccountID: a.AccountID, Path: a.Path, Name: a.Name,
		ID: p.UserID + p.RoleID, CreateDate: p.CreateDate,
	}, nil
}

// printManifest writes the ConfigMap as a manifest that can be applied: what
// the API server adds to it is left out.
func printManifest(w io.Writer, cm *corev1.ConfigMap, asJSON bool) error {
	manifest := struct {
		metav1.TypeMeta `json:",inline"`
		Metadata        map[string]any    `json:"metadata"`
		Data            map[string]string `json:"data,omitempty"`
		BinaryData      map[string][]byte `json:"binaryData,omitempty"`
	}{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		Metadata:   map[string]any{"name": cm.Name, "namespace": cm.Namespace},
		Data:       cm.Data,
		BinaryData: cm.BinaryData,
	}
	if len(cm.Labels) > 0 {
		manifest.Metadata["labels"] = cm.Labels
	}
	if len(cm.Annotations) > 0 {
		manifest.Metadata["annotations"] = cm.Annotations
	}
	text, err := json.MarshalIndent(manifest, "", "  ")
	if err == nil && !asJSON {
		text, err = yaml.JSONToYAML(text)
	} else {
		text = append(text, '\n')
	}
	_, writeErr := w.Write(text)
	return errors.Join(err, writeErr)
}

// misplaced says which manifests are not those that the controller reads.
func (s *sources) misplaced(d controllers.PlanData) (notes []string) {
	for _, m := range []struct {
		what, flag, name string
		cm               *corev1.ConfigMap
	}{
		{"rules", "--rules-configmap", s.Rules, d.Rules},
		{"aws-auth", "--aws-auth-configmap", s.AWSAuth, d.AWSAuth},
		{"state", "--rules-configmap", s.Names().State, d.State},
	} {
		switch {
		case m.cm == nil:
		case m.cm.Name != m.name:
			notes = append(notes, fmt.Sprintf("the %s manifest is named %q; the controller reads only %q (%s)", m.what, m.cm.Name, m.name, m.flag))
		case m.cm.Namespace == "" && m.what == "rules":
			notes = append(notes, fmt.Sprintf("the rules manifest names no namespace; apply it with: kubectl -n %s apply -f FILE", s.Namespace))
		case m.cm.Namespace != "" && m.cm.Namespace != s.Namespace:
			notes = append(notes, fmt.Sprintf("the %s manifest is for the namespace %q; the controller reads only %q (--namespace)",
				m.what, m.cm.Namespace, s.Namespace))
		}
	}
	return notes
}
