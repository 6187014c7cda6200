package app_test

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/rogpeppe/go-internal/testscript"
)

// eks does what people do with the cluster in EKS.
func (c *clusterScript) eks(ts *testscript.TestScript, args []string) {
	switch verb := args[0]; verb {
	case "create-cluster":
		ts.Check(c.emulator.AddCluster(args[1], args[2]))
	case "set-mode":
		ts.Check(c.emulator.SetAuthenticationMode(args[1], args[2]))
	case "create-access-entry":
		client := eks.New(eks.Options{
			Region: "us-east-1", BaseEndpoint: &c.url,
			Credentials: credentials.NewStaticCredentialsProvider("AKIAADMIN", "secret", ""),
		})
		_, err := client.CreateAccessEntry(context.Background(), &eks.CreateAccessEntryInput{
			ClusterName: &args[1], PrincipalArn: aws.String("arn:aws:iam::123456789012:user/" + args[2]),
			Username: &args[3], KubernetesGroups: args[4:],
		})
		ts.Check(err)
	default:
		ts.Fatalf("eks %s: no such verb", verb)
	}
}
