package app_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/controlplane"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
)

// clusterScript is what one script works with: a namespace of its own, $NS, in
// the real API server, and an AWS account of its own.
type clusterScript struct {
	emulator   *fakeaws.Server
	url        string // of the emulator
	configMaps corev1client.ConfigMapInterface
}

// TestClusterScripts runs the commands that need a cluster, as a user would.
// Beside the commands there are:
//
//	kube apply FILE             create the ConfigMap, or replace its data
//	kube get NAME KEY           print a value of its data
//	kube append NAME KEY FILE   edit it by hand
//	kube delete NAME
//	kube corrupt NAME           overwrite its binaryData with garbage
//	kube await NAME KEY REGEXP  until the value matches; ! until it does not
//	iam create-user|delete-user NAME
//	iam next-second             wait for it: IAM dates in whole seconds
//	eks create-cluster NAME MODE
//	eks set-mode NAME MODE
//	eks create-access-entry CLUSTER USER USERNAME GROUP...  somebody else's
func TestClusterScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/cluster", RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error { return setUpCluster(t, env) },
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"kube": func(ts *testscript.TestScript, neg bool, args []string) { cluster(ts).kube(ts, neg, args) },
			"eks":  func(ts *testscript.TestScript, _ bool, args []string) { cluster(ts).eks(ts, args) },
			"iam": func(ts *testscript.TestScript, _ bool, args []string) {
				switch args[0] {
				case "create-user":
					_, err := cluster(ts).emulator.CreateUser("/", args[1])
					ts.Check(err)
				case "delete-user":
					ts.Check(cluster(ts).emulator.DeleteUser(args[1]))
				case "next-second":
					begun := time.Now().Unix()
					ts.Check(wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, time.Minute, true,
						func(context.Context) (bool, error) { return time.Now().Unix() > begun, nil }))
				}
			},
		},
	})
}

func cluster(ts *testscript.TestScript) *clusterScript {
	c, _ := ts.Value("cluster").(*clusterScript)
	return c
}

func setUpCluster(t *testing.T, env *testscript.Env) error {
	t.Helper()
	core, err := corev1client.NewForConfig(bed.RESTConfig())
	if err != nil {
		return err
	}
	namespace, err := core.Namespaces().Create(t.Context(),
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "script-"}}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	kubeconfig, err := controlplane.Kubeconfig(bed.RESTConfig())
	if err != nil {
		return err
	}
	file := filepath.Join(env.WorkDir, ".kubeconfig")
	if err := os.WriteFile(file, kubeconfig, 0o600); err != nil {
		return err
	}
	emulator := fakeaws.New(fakeaws.Config{AccessKeyID: "AKIAADMIN", SecretAccessKey: "secret"})
	server := httptest.NewServer(emulator)
	env.Defer(server.Close)
	env.Setenv("KUBECONFIG", file)
	env.Setenv("NS", namespace.Name)
	env.Setenv("AWS_ENDPOINT_URL", server.URL)
	env.Setenv("AWS_ACCESS_KEY_ID", "AKIAADMIN")
	env.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	env.Setenv("AWS_REGION", "us-east-1")
	env.Values["cluster"] = &clusterScript{emulator: emulator, url: server.URL, configMaps: core.ConfigMaps(namespace.Name)}
	return nil
}

func (c *clusterScript) kube(ts *testscript.TestScript, neg bool, args []string) {
	switch verb := args[0]; verb {
	case "apply":
		var cm corev1.ConfigMap
		ts.Check(yaml.UnmarshalStrict([]byte(ts.ReadFile(args[1])), &cm))
		c.edit(ts, cm.Name, func(now *corev1.ConfigMap) { now.Data = cm.Data })
	case "get":
		_, _ = fmt.Fprint(ts.Stdout(), c.get(ts, args[1]).Data[args[2]])
	case "append":
		c.edit(ts, args[1], func(now *corev1.ConfigMap) { now.Data[args[2]] += ts.ReadFile(args[3]) })
	case "delete":
		ts.Check(c.configMaps.Delete(context.Background(), args[1], metav1.DeleteOptions{}))
	case "corrupt":
		c.edit(ts, args[1], func(now *corev1.ConfigMap) {
			for key := range now.BinaryData {
				now.BinaryData[key] = []byte("garbage")
			}
		})
	case "await":
		c.await(ts, neg, args[1:])
	default:
		ts.Fatalf("kube %s: no such verb", verb)
	}
}

func (c *clusterScript) get(ts *testscript.TestScript, name string) *corev1.ConfigMap {
	cm, err := c.configMaps.Get(context.Background(), name, metav1.GetOptions{})
	ts.Check(err)
	return cm
}

// edit changes a ConfigMap as a person would, or makes it.
func (c *clusterScript) edit(ts *testscript.TestScript, name string, change func(*corev1.ConfigMap)) {
	for {
		cm, err := c.configMaps.Get(context.Background(), name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			cm = &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}
			change(cm)
			_, err = c.configMaps.Create(context.Background(), cm, metav1.CreateOptions{FieldManager: "kubectl-create"})
		} else if err == nil {
			change(cm)
			_, err = c.configMaps.Update(context.Background(), cm, metav1.UpdateOptions{FieldManager: "kubectl-edit"})
		}
		if !apierrors.IsConflict(err) {
			ts.Check(err)
			return
		}
	}
}

func (c *clusterScript) await(ts *testscript.TestScript, neg bool, args []string) {
	pattern := regexp.MustCompile("(?s)" + strings.Join(args[2:], " "))
	last := ""
	err := wait.PollUntilContextTimeout(context.Background(), 50*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		cm, err := c.configMaps.Get(ctx, args[0], metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		last = cm.Data[args[1]]
		return pattern.MatchString(last) != neg, nil
	})
	if err != nil {
		ts.Fatalf("%s of ConfigMap %s is still:\n%s", args[1], args[0], last)
	}
}
