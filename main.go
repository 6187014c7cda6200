// Command aws-auth-refresher keeps the ConfigMap kube-system/aws-auth of an
// Amazon EKS cluster in step with the IAM users and roles that exist.
package main

import (
	"os"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/app"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/demo"
)

func main() {
	os.Exit(app.Main(app.Arguments(os.Args[0], os.Args[1:]), append(app.Commands(), demo.Command())...))
}
