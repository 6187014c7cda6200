// Package authnconfig reads the configuration file of the authenticator, in
// the format of aws-iam-authenticator and of its ancestor by Heptio.
//
// It promises that what it accepts can be served: keys that nobody knows, keys
// that stand twice, values of the wrong type and ARNs that no token can ever
// prove are refused, each with its line. Keys are read without regard to case,
// as those programs do (roleARN, rolearn).
package authnconfig

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// File is the whole configuration.
type File struct {
	// ClusterID is what tokens must be made for. No default.
	ClusterID string
	// DefaultRole is the role that the command token assumes. Default: none.
	DefaultRole string
	Server      Server
}

// Server is the part of the server.
type Server struct {
	// Partition is the AWS partition: aws (default), aws-cn, aws-us-gov, ...
	Partition string
	// Address and Port are listened at. Default 127.0.0.1:21362.
	Address string
	Port    int
	// Hostname is how the API server calls this server. Default localhost.
	Hostname string
	// StateDir holds cert.pem and key.pem. Default /var/aws-iam-authenticator.
	StateDir string
	// GenerateKubeconfig is where the webhook kubeconfig is written.
	// Default /etc/kubernetes/aws-iam-authenticator/kubeconfig.yaml.
	GenerateKubeconfig string
	// KubeconfigPregenerated leaves the webhook kubeconfig alone.
	KubeconfigPregenerated bool
	// Kubeconfig and Master say how to reach the cluster that the backends
	// EKSConfigMap and CRD read. Default: the pod's own.
	Kubeconfig, Master string
	// BackendMode are the backends in the order in which they are asked.
	// Default MountedFile.
	BackendMode []string
	// ScrubbedAccounts are accounts whose identities stay out of the log and
	// out of what the API server is told beside name and groups.
	ScrubbedAccounts []string
	// ReservedPrefixes are, by backend, what usernames and groups from that
	// backend must not begin with.
	ReservedPrefixes map[string][]string
	Mappings
	EC2
	Dynamic
}

// EC2 says how instances are looked up for {{EC2PrivateDNSName}}.
type EC2 struct {
	// RoleARN is assumed for the look-up. Default: none.
	RoleARN string
	// SourceARN is passed along when the role is assumed. Default: none.
	SourceARN string
	// QPS and Burst limit the calls. Default 15 a second, 5 at once.
	QPS, Burst int
}

// Dynamic is about the backend DynamicFile.
type Dynamic struct {
	// Path is the file of mappings, in JSON.
	Path string
	// UserIDStrict finds identities by their unique id instead of their ARN.
	UserIDStrict bool
	// BackendModePath is a file of backend modes, in JSON, that go before
	// Server.BackendMode while it is there. Default: none.
	BackendModePath string
}

// Mappings say who is who.
type Mappings struct {
	Roles    []Role
	Users    []User
	Accounts []string
	// Updated is when a dynamic file was written, by what stands in it; zero if
	// nothing does.
	Updated time.Time
}

// Role maps a role, or all roles of an SSO permission set in an account.
type Role struct {
	// ARN is the role's ARN without path; empty if SSO is set or if only
	// UserID tells the role.
	ARN string
	SSO *SSO
	// Username and Groups may hold templates such as {{SessionName}}.
	Username string
	Groups   []string
	// UserID is the unique id (AROA...).
	UserID string
}

// User maps an IAM user.
type User struct {
	ARN      string
	Username string
	Groups   []string
	// UserID is the unique id (AIDA...).
	UserID string
}

// SSO names a permission set of IAM Identity Center in one account.
type SSO struct {
	PermissionSetName, AccountID string
	// Partition is aws by default.
	Partition string
}

// The names of the backends.
const (
	MountedFile  = "MountedFile"
	EKSConfigMap = "EKSConfigMap"
	CRD          = "CRD"
	DynamicFile  = "DynamicFile"
)

// Backends are the names of all backends.
func Backends() []string { return []string{MountedFile, EKSConfigMap, CRD, DynamicFile} }

// Partitions are the partitions that tokens may come from.
func Partitions() []string {
	return []string{"aws", "aws-cn", "aws-us-gov", "aws-iso", "aws-iso-b", "aws-iso-e", "aws-iso-f", "aws-eusc"}
}

// Default is the configuration that an empty file gives.
func Default() File {
	return File{Server: Server{
		Partition: "aws", Address: "127.0.0.1", Port: 21362, Hostname: "localhost",
		StateDir:           "/var/aws-iam-authenticator",
		GenerateKubeconfig: "/etc/kubernetes/aws-iam-authenticator/kubeconfig.yaml",
		BackendMode:        []string{MountedFile},
		EC2:                EC2{QPS: 15, Burst: 5},
	}}
}

// Normalize puts the present names of backends in the place of old ones (File,
// ConfigMap) and tells the first thing that does not fit together.
func (f *File) Normalize() error {
	s := &f.Server
	if f.ClusterID == "" {
		return fmt.Errorf("there is no cluster ID; give --cluster-id or clusterID in the file")
	}
	if err := s.CheckModes(s.BackendMode); err != nil {
		return err
	}
	switch {
	case !slices.Contains(Partitions(), s.Partition):
		return fmt.Errorf("there is no partition %q; choose from %s", s.Partition, strings.Join(Partitions(), ", "))
	case s.Port < 1 || s.Port > 65535:
		return fmt.Errorf("the port is %d; it must be between 1 and 65535", s.Port)
	case s.QPS < 1 || s.Burst < 1:
		return fmt.Errorf("ec2DescribeInstancesQps is %d and ec2DescribeInstancesBurst %d; both must be at least 1", s.QPS, s.Burst)
	case s.Path != "" && s.BackendModePath == "" && !slices.Contains(s.BackendMode, DynamicFile):
		return fmt.Errorf("the backend mode %s and dynamicfilepath go together: give both or none", DynamicFile)
	}
	return nil
}

// CheckModes puts the present names of backends in the place of old ones in
// modes and tells the first one that cannot be served.
func (s *Server) CheckModes(modes []string) error {
	if len(modes) == 0 {
		return fmt.Errorf("there is no backend mode; choose from %s", strings.Join(Backends(), ", "))
	}
	seen := map[string]bool{}
	for i, mode := range modes {
		switch mode {
		case "File":
			mode = MountedFile
		case "ConfigMap":
			mode = EKSConfigMap
		}
		modes[i] = mode
		switch {
		case !slices.Contains(Backends(), mode):
			return fmt.Errorf("there is no backend mode %q; choose from %s", mode, strings.Join(Backends(), ", "))
		case seen[mode]:
			return fmt.Errorf("the backend mode %s is given twice", mode)
		case mode == DynamicFile && s.Path == "":
			return fmt.Errorf("the backend mode %s and dynamicfilepath go together: give both or none", DynamicFile)
		}
		seen[mode] = true
	}
	return nil
}
