package app

import (
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/spf13/pflag"

	"github.com/aws-auth-refresher/aws-auth-refresher/controllers"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/accessentry"
)

// Stores say what grants are written to: aws-auth, access entries of EKS.
type Stores struct {
	Target      string
	ClusterName string
}

// BindFlags adds the flags with their defaults.
func (s *Stores) BindFlags(flags *pflag.FlagSet) {
	flags.StringVar(&s.Target, "target", string(controllers.TargetConfigMap),
		"where to write who gets in: configmap (aws-auth), access-entries (of EKS), both, or auto: "+
			"access-entries if the cluster's authentication mode is API, else configmap")
	flags.StringVar(&s.ClusterName, "cluster-name", "", "name of the cluster in EKS; access entries need it")
}

// Validate refuses options that contradict themselves.
func (s *Stores) Validate() error {
	switch controllers.Target(s.Target) {
	case controllers.TargetConfigMap, "":
		return nil
	case controllers.TargetAccessEntries, controllers.TargetBoth, controllers.TargetAuto:
		if s.ClusterName == "" {
			return fmt.Errorf("--target %s needs --cluster-name, the cluster's name in EKS", s.Target)
		}
		return nil
	}
	return errors.New("--target is \"" + s.Target + "\"; use configmap, access-entries, both or auto")
}

// accessEntries are those of the cluster, nil without a name.
func (s *Stores) accessEntries(c aws.Config, t Target) controllers.EntryTarget {
	if entries := s.cluster(c, t); entries != nil {
		return entries
	}
	return nil
}

// cluster is the cluster in EKS, nil without a name.
func (s *Stores) cluster(c aws.Config, t Target) *accessentry.Cluster {
	if s.ClusterName == "" {
		return nil
	}
	return accessentry.New(accessentry.Config{
		EKS: eks.NewFromConfig(c), Name: s.ClusterName, Owner: t.Namespace + "/" + t.Rules, Now: time.Now,
	})
}
