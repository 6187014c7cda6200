// Command aws-auth-refresher keeps kube-system/aws-auth in step with the IAM
// users and roles that exist right now.
package main

func main() {}
