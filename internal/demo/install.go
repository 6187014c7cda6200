package demo

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/aws-auth-refresher/aws-auth-refresher/deploy"
)

const (
	awsAuthName = "aws-auth"
	rulesName   = "aws-auth-refresher"
	stateName   = "aws-auth-refresher-state"
	statusName  = "aws-auth-refresher-status"
	historyName = "aws-auth-refresher-history"
	leaseName   = "aws-auth-refresher"

	// markLabel stands on what the demo has put into a cluster. What it made goes
	// with it; an aws-auth that was there, empty, is emptied again.
	markLabel    = "aws-auth-refresher.io/demo"
	markMade     = "made"
	markBorrowed = "borrowed"
)

//go:embed rules.yaml
var rulesManifest string

// awsAuthManifest is an aws-auth as EKS and a person leave it.
//
//go:embed aws-auth.yaml
var awsAuthManifest string

func readConfigMap(manifest string) (*corev1.ConfigMap, error) {
	var cm corev1.ConfigMap
	if err := yaml.UnmarshalStrict([]byte(manifest), &cm); err != nil {
		return nil, err
	}
	return &cm, nil
}

// installation is what the demo puts into a cluster.
type installation struct {
	client client.Client
	rights []*unstructured.Unstructured // deploy/common.yaml
}

func newInstallation(admin *rest.Config) (*installation, error) {
	c, err := client.New(admin, client.Options{})
	if err != nil {
		return nil, err
	}
	i := &installation{client: c}
	for documents := utilyaml.NewYAMLOrJSONDecoder(strings.NewReader(deploy.Common()), 4096); ; {
		object := &unstructured.Unstructured{}
		err := documents.Decode(object)
		if errors.Is(err, io.EOF) {
			return i, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading deploy/common.yaml: %w", err)
		}
		i.rights = append(i.rights, object)
	}
}

// claim removes what an earlier demo left behind. It refuses, having changed
// nothing, while another one runs, and if something stands there that no demo has
// made.
func (i *installation) claim(ctx context.Context) (leftovers bool, err error) {
	if leftovers, err = i.marked(ctx); err != nil {
		return false, err
	}
	if leftovers {
		if err := i.refuseRunning(ctx); err != nil {
			return false, err
		}
		if err := i.remove(ctx); err != nil {
			return true, fmt.Errorf("removing what an earlier demo left: %w", err)
		}
	}
	return leftovers, i.refuseOthers(ctx)
}

// put installs the controller's rights and an aws-auth with entries of others,
// after claim.
func (i *installation) put(ctx context.Context) error {
	for _, object := range i.rights {
		made := object.DeepCopy()
		setMark(made, markMade)
		if err := i.client.Create(ctx, made); err != nil {
			return err
		}
	}
	return i.putAWSAuth(ctx)
}

func (i *installation) putAWSAuth(ctx context.Context) error {
	wanted, err := readConfigMap(awsAuthManifest)
	if err != nil {
		return fmt.Errorf("reading the demo's aws-auth: %w", err)
	}
	there := &corev1.ConfigMap{}
	err = i.client.Get(ctx, client.ObjectKeyFromObject(wanted), there)
	switch {
	case apierrors.IsNotFound(err):
		setMark(wanted, markMade)
		return i.client.Create(ctx, wanted, client.FieldOwner("vpcLambda")) // EKS's own name
	case err != nil:
		return err
	default:
		there.Data = wanted.Data
		setMark(there, markBorrowed)
		return i.client.Update(ctx, there, client.FieldOwner("vpcLambda"))
	}
}

// marked tells whether a demo has been here: its ServiceAccount is the first
// thing that it makes and the last that it removes.
func (i *installation) marked(ctx context.Context) (bool, error) {
	account := i.rights[0].DeepCopy()
	if err := i.client.Get(ctx, client.ObjectKeyFromObject(account), account); err != nil {
		return false, client.IgnoreNotFound(err)
	}
	return markOf(account) == markMade, nil
}

// refuseRunning is nil if no controller of another demo is at work in the cluster.
// Its Lease says so; a demo that ended by itself has taken it along.
func (i *installation) refuseRunning(ctx context.Context) error {
	lease := &coordinationv1.Lease{}
	if err := i.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: leaseName}, lease); err != nil {
		return client.IgnoreNotFound(err)
	}
	held := lease.Spec
	if held.HolderIdentity == nil || *held.HolderIdentity == "" || held.RenewTime == nil || held.LeaseDurationSeconds == nil {
		return nil
	}
	term := time.Duration(*held.LeaseDurationSeconds) * time.Second
	if time.Since(held.RenewTime.Time) > term {
		return nil
	}
	return fmt.Errorf("another demo is running in this cluster: end it first (if it was killed, try again in %s)", term)
}

// refuseOthers is nil if nothing of an aws-auth-refresher is in the cluster, and
// no aws-auth with anything in it.
func (i *installation) refuseOthers(ctx context.Context) error {
	awsAuth := &corev1.ConfigMap{}
	err := i.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: awsAuthName}, awsAuth)
	switch {
	case client.IgnoreNotFound(err) != nil:
		return err
	case err == nil && len(awsAuth.Data)+len(awsAuth.BinaryData) > 0:
		return errors.New("kube-system/aws-auth has content that the demo did not put there, and it is left alone: " +
			"use a cluster without aws-auth, or leave out --kubeconfig")
	}
	for _, object := range slices.Concat(i.rights, written()) {
		there := object.DeepCopy()
		err := i.client.Get(ctx, client.ObjectKeyFromObject(there), there)
		switch {
		case client.IgnoreNotFound(err) != nil:
			return err
		case err == nil:
			return fmt.Errorf("%s %s/%s is there already, and the demo did not make it: "+
				"use a cluster without aws-auth-refresher, or leave out --kubeconfig",
				there.GetKind(), there.GetNamespace(), there.GetName())
		}
	}
	return nil
}

// written are the objects that appear while the demo runs: the rules, and what
// the controller makes.
func written() []*unstructured.Unstructured {
	var objects []*unstructured.Unstructured
	add := func(apiVersion, kind, name string) {
		object := &unstructured.Unstructured{}
		object.SetAPIVersion(apiVersion)
		object.SetKind(kind)
		object.SetNamespace(namespace)
		object.SetName(name)
		objects = append(objects, object)
	}
	add("v1", "ConfigMap", rulesName)
	add("v1", "ConfigMap", stateName)
	add("v1", "ConfigMap", statusName)
	add("v1", "ConfigMap", historyName)
	add("coordination.k8s.io/v1", "Lease", leaseName)
	return objects
}

// remove takes everything out again that the demo has put into the cluster. The
// controller must have ended.
func (i *installation) remove(ctx context.Context) error {
	if ours, err := i.marked(ctx); err != nil || !ours {
		return err
	}
	if err := i.removeAWSAuth(ctx); err != nil {
		return err
	}
	for _, object := range written() {
		if err := client.IgnoreNotFound(i.client.Delete(ctx, object)); err != nil {
			return err
		}
	}
	for _, object := range slices.Backward(i.rights) {
		there := object.DeepCopy()
		err := i.client.Get(ctx, client.ObjectKeyFromObject(there), there)
		if err == nil && markOf(there) == markMade {
			err = i.client.Delete(ctx, there)
		}
		if client.IgnoreNotFound(err) != nil {
			return err
		}
	}
	return nil
}

func (i *installation) removeAWSAuth(ctx context.Context) error {
	there := &corev1.ConfigMap{}
	err := i.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: awsAuthName}, there)
	if err != nil {
		return client.IgnoreNotFound(err)
	}
	switch markOf(there) {
	case markMade:
		return client.IgnoreNotFound(i.client.Delete(ctx, there, client.Preconditions{UID: &there.UID}))
	case markBorrowed:
		there.Data = nil
		delete(there.Labels, markLabel)
		return i.client.Update(ctx, there)
	default:
		return nil // somebody put another one in its place
	}
}

func setMark(object client.Object, mark string) {
	labels := object.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	labels[markLabel] = mark
	object.SetLabels(labels)
}

func markOf(object client.Object) string { return object.GetLabels()[markLabel] }
