// Package deploy carries the manifest that gives the controller its rights, for
// programs that install it without kubectl.
package deploy

import _ "embed"

//go:embed common.yaml
var common string

// Common is deploy/common.yaml: the ServiceAccount, its Roles and their
// bindings, all in kube-system, as YAML documents.
func Common() string { return common }
