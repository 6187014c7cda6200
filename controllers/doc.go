// Package controllers keeps aws-auth in step with the rules and with the IAM
// users and roles that exist.
//
// Compute decides, as a function of values; AWSAuthReconciler reads what it
// decides from, writes what it decided, and reports. Nothing that AWS, the API
// server or a ConfigMap says ends the process or removes what is not ours.
package controllers
