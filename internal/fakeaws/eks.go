package fakeaws

import (
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"time"
)

// The authentication modes of a cluster: which stores it reads.
const (
	ModeConfigMap    = "CONFIG_MAP"
	ModeAPI          = "API"
	ModeAPIConfigMap = "API_AND_CONFIG_MAP"
)

const (
	maxAccessEntries = 3000 // of a cluster; not adjustable
	maxEKSPage       = 100
)

// cluster is an EKS cluster as far as access to it goes.
type cluster struct {
	name    string
	mode    string
	created time.Time
	entries map[string]*accessEntry // by principal ARN
}

func eksService(s *Server) *restService {
	const entries, entry = "/clusters/{}/access-entries", "/clusters/{}/access-entries/{}"
	return &restService{
		server: s,
		roots:  []string{"clusters", "tags"},
		form: jsonForm{
			media: "application/json",
			words: map[string]words{
				"Throttling":         {"ThrottlingException", http.StatusTooManyRequests},
				"ServiceFailure":     {"ServerException", http.StatusInternalServerError},
				"ServiceUnavailable": {"ServiceUnavailableException", http.StatusServiceUnavailable},
				"ValidationError":    {"InvalidParameterException", http.StatusBadRequest},
			},
			refusal: restRefusal,
		},
		routes: []restRoute{
			{http.MethodGet, "/clusters/{}", "DescribeCluster", describeCluster},
			{http.MethodPost, entries, "CreateAccessEntry", createAccessEntry},
			{http.MethodGet, entries, "ListAccessEntries", listAccessEntries},
			{http.MethodGet, entry, "DescribeAccessEntry", describeAccessEntry},
			{http.MethodPost, entry, "UpdateAccessEntry", updateAccessEntry},
			{http.MethodDelete, entry, "DeleteAccessEntry", deleteAccessEntry},
			{http.MethodPost, entry + "/access-policies", "AssociateAccessPolicy", associateAccessPolicy},
			{http.MethodGet, entry + "/access-policies", "ListAssociatedAccessPolicies", listAssociatedAccessPolicies},
			{http.MethodDelete, entry + "/access-policies/{}", "DisassociateAccessPolicy", disassociateAccessPolicy},
			{http.MethodPost, "/tags/{}", "TagResource", tagResource},
		},
	}
}

func errInvalidParameterException(format string, args ...any) error {
	return &Error{Code: "InvalidParameterException", Message: fmt.Sprintf(format, args...), Status: http.StatusBadRequest}
}

func errResourceNotFound(format string, args ...any) error {
	return &Error{Code: "ResourceNotFoundException", Message: fmt.Sprintf(format, args...), Status: http.StatusNotFound}
}

func (c *restCall) anyCluster() (*cluster, error) {
	k, ok := c.account.clusters[c.labels[0]]
	if !ok {
		return nil, errResourceNotFound("No cluster found for name: %s.", c.labels[0])
	}
	return k, nil
}

// cluster gives the cluster of the path, if it has access entries at all.
func (c *restCall) cluster() (*cluster, error) {
	k, err := c.anyCluster()
	if err == nil && k.mode == ModeConfigMap {
		return nil, &Error{
			Code:    "InvalidRequestException",
			Message: "The cluster's authentication mode must be set to one of [API, API_AND_CONFIG_MAP] to perform this operation.",
			Status:  http.StatusBadRequest,
		}
	}
	return k, err
}

type describeClusterResult struct {
	Cluster clusterJSON `json:"cluster"`
}

type clusterJSON struct {
	Name         string  `json:"name"`
	ARN          string  `json:"arn"`
	CreatedAt    seconds `json:"createdAt"`
	Status       string  `json:"status"`
	AccessConfig struct {
		AuthenticationMode string `json:"authenticationMode"`
	} `json:"accessConfig"`
	Tags map[string]string `json:"tags"`
}

func describeCluster(c *restCall) (any, error) {
	k, err := c.anyCluster()
	if err != nil {
		return nil, err
	}
	result := describeClusterResult{clusterJSON{
		Name: k.name, ARN: "arn:aws:eks:" + c.region + ":" + c.accountID + ":cluster/" + k.name,
		CreatedAt: seconds(k.created), Status: "ACTIVE", Tags: map[string]string{},
	}}
	result.Cluster.AccessConfig.AuthenticationMode = k.mode
	return result, nil
}

// AddCluster makes an EKS cluster with one of the authentication modes.
func (s *Server) AddCluster(name, mode string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.accounts[s.home]
	switch {
	case !regexp.MustCompile(`^[0-9A-Za-z][A-Za-z0-9\-_]{0,99}$`).MatchString(name):
		return errInvalidParameterException("The name %q is invalid.", name)
	case a.clusters[name] != nil:
		return &Error{Code: "ResourceInUseException", Message: "Cluster already exists with name: " + name, Status: http.StatusConflict}
	}
	if a.clusters == nil {
		a.clusters = map[string]*cluster{}
	}
	a.clusters[name] = &cluster{name: name, created: s.now().UTC(), entries: map[string]*accessEntry{}}
	return a.setMode(name, mode)
}

// SetAuthenticationMode changes which stores a cluster reads. As in AWS, access
// entries cannot be turned off again, nor aws-auth on.
func (s *Server) SetAuthenticationMode(name, mode string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.accounts[s.home].setMode(name, mode)
}

func (a *account) setMode(name, mode string) error {
	k, ok := a.clusters[name]
	if !ok {
		return errResourceNotFound("No cluster found for name: %s.", name)
	}
	order := []string{"", ModeConfigMap, ModeAPIConfigMap, ModeAPI}
	if at := slices.Index(order, mode); at < 1 || at < slices.Index(order, k.mode) {
		return errInvalidParameterException("Unsupported authentication mode update from %s to %s", k.mode, mode)
	}
	k.mode = mode
	return nil
}

// AccessEntry is one access entry of a cluster.
type AccessEntry struct {
	PrincipalARN, Type, Username string
	Groups                       []string
	Tags                         map[string]string
	Policies                     []string // ARNs of access policies, sorted
	// Works tells whether it lets its principal in: the one it was made for
	// exists still.
	Works bool
}

// AccessEntries are those of a cluster, by principal ARN.
func (s *Server) AccessEntries(clusterName string) []AccessEntry {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, ok := s.accounts[s.home].clusters[clusterName]
	if !ok {
		return nil
	}
	var list []AccessEntry
	for _, arn := range slices.Sorted(maps.Keys(k.entries)) {
		e := k.entries[arn]
		present, err := s.principal(arn, time.Time{})
		list = append(list, AccessEntry{
			PrincipalARN: arn, Type: e.kind, Username: e.username, Groups: slices.Clone(e.groups),
			Tags: maps.Clone(e.tags), Policies: slices.Sorted(maps.Keys(e.policies)), Works: err == nil && present.id == e.pinned,
		})
	}
	return list
}
