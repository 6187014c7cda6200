package demo_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// objects are those that are ours, as namespace/kind/name in lower case; an empty
// namespace: the object has none.
type objects map[string]bool

// objectsOfManifests are those that deploy/ installs, those that the program
// makes, and those that it reads.
func objectsOfManifests(t *testing.T) objects {
	t.Helper()
	all := objects{}
	for _, name := range []string{"aws-auth", "aws-auth-refresher", "aws-auth-refresher-state", "aws-auth-refresher-status", "aws-auth-refresher-history"} {
		all["kube-system/configmap/"+name] = true
	}
	all["kube-system/lease/aws-auth-refresher"] = true
	for _, name := range []string{"login-proxy", "login-proxy-redis"} { // which people make
		all["login-proxy/secret/"+name] = true
	}
	for _, file := range filesOf(t, ".yaml") {
		if !strings.HasPrefix(file, "deploy/") || strings.HasPrefix(file, "deploy/chart/") || strings.HasPrefix(file, "deploy/events/") {
			continue
		}
		documents := yaml.NewYAMLOrJSONDecoder(bytes.NewReader([]byte(readFile(t, file))), 4096)
		for {
			var o metav1.PartialObjectMetadata
			if err := documents.Decode(&o); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			all[o.Namespace+"/"+strings.ToLower(o.Kind)+"/"+o.Name] = true
		}
	}
	return all
}

// kubectlVerbs are those that are printed, with how many words belong to the verb
// and whether it names objects.
func kubectlVerbs() map[string]struct {
	words int
	names bool
} {
	type verb = struct {
		words int
		names bool
	}
	return map[string]verb{
		"annotate": {1, true}, "apply": {1, false}, "auth": {2, false}, "config": {2, false}, "create": {1, false}, "delete": {1, true},
		"describe": {1, true}, "edit": {1, true}, "events": {1, false}, "get": {1, true}, "label": {1, true}, "logs": {1, false},
		"patch": {1, true}, "rollout": {2, true}, "set": {2, true},
	}
}

// checkKubectl wants a verb, flags that kubectl has, and names that are ours.
func checkKubectl(words []string, ours objects) error {
	flags := pflag.NewFlagSet("kubectl", pflag.ContinueOnError)
	namespace := flags.StringP("namespace", "n", "", "")
	files := flags.StringArrayP("filename", "f", nil, "")
	label := flags.StringP("selector", "l", "", "")
	about := flags.String("for", "", "")
	for _, name := range []string{"kubeconfig", "type", "token", "clusterrole", "group"} {
		flags.String(name, "", "")
	}
	flags.StringP("output", "o", "", "")
	flags.StringP("patch", "p", "", "")
	flags.StringArray("from-literal", nil, "")
	flags.Bool("overwrite", false, "")
	flags.BoolP("watch", "w", false, "")
	if err := flags.Parse(words); err != nil {
		return err
	}
	args := flags.Args()
	if len(args) == 0 {
		return errors.New("there is no verb")
	}
	verb, known := kubectlVerbs()[args[0]]
	if !known || len(args) < verb.words {
		return fmt.Errorf("kubectl %s is not known here", args[0])
	}
	for _, file := range *files {
		if made := []string{"rules.yaml", "FILE", "-"}; !slices.Contains(made, file) {
			if _, err := os.Stat(file); err != nil {
				return err
			}
		}
	}
	if args[0] == "delete" && *label != "" {
		return errors.New("what goes by a label may not be ours alone; name it")
	}
	if *label != "" && *label != "app=aws-auth-refresher" && *label != "app.kubernetes.io/name=aws-auth-refresher" {
		return fmt.Errorf("nothing of ours has the label %s", *label)
	}
	var named []string
	if *about != "" {
		named = append(named, *about)
	}
	if args = args[verb.words:]; verb.names {
		named = append(named, namesIn(args)...)
	}
	for _, name := range named {
		if strings.Contains(name, something) {
			continue
		}
		at := *namespace
		if at == something {
			at = "kube-system"
		}
		if !ours[at+"/"+name] {
			return fmt.Errorf("nothing of ours is %s in namespace %q", name, *namespace)
		}
	}
	return nil
}

// namesIn are the objects that are named, as kind/name; not what is to be set.
func namesIn(args []string) (names []string) {
	kind := ""
	for _, arg := range args {
		switch {
		case strings.ContainsAny(arg, "=") || strings.HasSuffix(arg, "-"):
		case strings.Contains(arg, "/"):
			names = append(names, arg)
		case kind == "":
			kind = arg
		default:
			for _, name := range braces(arg) {
				names = append(names, kind+"/"+name)
			}
		}
	}
	return names
}

// braces expands a{b,c} as bash does.
func braces(word string) []string {
	m := regexp.MustCompile(`^(.*)\{(.*)\}(.*)$`).FindStringSubmatch(word)
	if m == nil {
		return []string{word}
	}
	var all []string
	for part := range strings.SplitSeq(m[2], ",") {
		all = append(all, m[1]+part+m[3])
	}
	return all
}
