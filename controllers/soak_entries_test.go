package controllers

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eks"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/accessentry"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// soakEKS is the cluster's access entries as they stand.
type soakEKS struct {
	mode    string
	changed time.Time              // until when nobody need know the mode or the target
	entries map[string]soakEKSItem // by folded ARN
	client  *eks.Client            // of other people
	fault   *fakeaws.Fault         // of EKS
	lag     time.Duration          // of its listings
	past    []soakEKSList          // what they showed
	refused map[string]time.Time   // when EKS last did not know a principal
	touched map[string]time.Time   // when somebody else changed an entry of ours
	gone    map[string]soakEKSGone // who deleted an entry of ours
	dropped map[string]time.Time   // when somebody else deleted one, whosever
}

// soakEKSItem is an access entry; ours carries our tag.
type soakEKSItem struct {
	arn         string
	ours, works bool
	grantedTo
}

type soakEKSGone struct {
	by *AWSAuthReconciler
	at time.Time
}

type soakEKSList struct {
	at   time.Time
	arns []string
}

func (e soakEKS) String() string {
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(e.entries)) {
		fmt.Fprintf(&b, "\n%s %s: %+v", e.mode, key, e.entries[key])
	}
	return b.String()
}

const (
	// soakLook is how long EKS may hide from us what others did to our entries.
	soakLook = 10 * time.Minute
	// soakWait is how long after EKS did not know a principal it is asked again.
	soakWait = 5 * time.Minute
	// soakMode is how old the known authentication mode may be.
	soakMode = 5 * time.Minute
)

func (s *soak) beginEKS() {
	s.eks = soakEKS{mode: fakeaws.ModeConfigMap, refused: map[string]time.Time{}, touched: map[string]time.Time{}, dropped: map[string]time.Time{}, gone: map[string]soakEKSGone{}}
	if err := s.aws.AddCluster(eksCluster, s.eks.mode); err != nil {
		s.Fatal(err)
	}
	s.config.Cluster, s.config.Target = eksCluster, TargetAuto
	s.eks.client = s.eksClient(soakWire{s.aws})
}

func (s *soak) eksClient(wire aws.HTTPClient) *eks.Client {
	return eks.NewFromConfig(s.awsConfig(wire), func(o *eks.Options) { o.HTTPSignerV4 = s.signer() })
}

func (s *soak) eksOwner() string { return s.namespace + "/rules" }

// accessEntries is a replica's way to EKS, one call after the other.
func (r *replica) accessEntries() EntryTarget {
	return accessentry.New(accessentry.Config{
		EKS: r.eksClient(soakEKSWire{soakWire{r.aws}, r}), Name: eksCluster, Owner: r.eksOwner(), Now: r.time, AtOnce: 1,
	})
}

// soakEKSWire is where a replica's calls to EKS pass.
type soakEKSWire struct {
	soakWire
	r *replica
}

// Do is what an aws.HTTPClient does.
func (w soakEKSWire) Do(req *http.Request) (*http.Response, error) {
	r := w.r
	if r.hangs.After(r.now()) && r.odds(8) {
		r.hung.Store(true)
		r.calm.eks = later(r.calm.eks, r.now())
		return nil, context.DeadlineExceeded
	}
	r.calls++
	if r.dead || r.calls == r.dieAt && r.odds(2) {
		r.dead = true
		return nil, errKilled
	}
	if req.Method == http.MethodGet && strings.HasSuffix(req.URL.Path, "/access-entries") {
		r.looked = r.now()
		if r.eks.lag > 0 {
			return r.oldListing()
		}
	}
	if req.Method == http.MethodGet {
		return w.soakWire.Do(req)
	}
	body, err := whole(req.Body)
	if err != nil {
		return nil, err
	}
	req.Body = io.NopCloser(bytes.NewReader(body))
	r.lookAtEKS() // who was deleted since is no longer let in
	before := r.eks.entries
	answer, err := w.soakWire.Do(req)
	r.lookAtEKS()
	r.judgeEntries(r, before)
	if err == nil && answer.StatusCode == http.StatusBadRequest {
		r.noteRefusal(body)
	}
	if r.calls == r.dieAt {
		r.dead = true
		return nil, errKilled
	}
	return answer, err
}

// noteRefusal keeps in mind when EKS did not know a principal.
func (s *soak) noteRefusal(body []byte) {
	var in struct{ PrincipalARN string }
	if err := json.Unmarshal(body, &in); err == nil && in.PrincipalARN != "" {
		s.eks.refused[strings.ToLower(in.PrincipalARN)] = s.now()
	}
}

// oldListing is what EKS listed some time ago.
func (s *soak) oldListing() (*http.Response, error) {
	list := []string{}
	for _, past := range s.eks.past {
		if past.at.Add(s.eks.lag).After(s.now()) {
			break
		}
		list = past.arns
	}
	body, err := json.Marshal(map[string]any{"accessEntries": list})
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(body)),
	}, err
}

// lookAtEKS takes over what stands there.
func (s *soak) lookAtEKS() {
	if !s.entries {
		return
	}
	entries, list := map[string]soakEKSItem{}, soakEKSList{at: s.now()}
	for _, e := range s.aws.AccessEntries(eksCluster) {
		groups := e.Groups
		for _, policy := range e.Policies {
			if strings.HasSuffix(policy, "/AmazonEKSClusterAdminPolicy") {
				groups = append(groups, "system:masters")
			}
		}
		list.arns = append(list.arns, e.PrincipalARN)
		entries[strings.ToLower(e.PrincipalARN)] = soakEKSItem{
			arn: e.PrincipalARN, ours: e.Type == "STANDARD" && e.Tags[accessentry.OwnerTag] == s.eksOwner(),
			works: e.Works, grantedTo: says(e.Username, groups),
		}
	}
	s.eks.entries = entries
	if n := len(s.eks.past); n == 0 || !slices.Equal(s.eks.past[n-1].arns, list.arns) {
		s.eks.past = append(s.eks.past[max(0, n-500):], list)
	}
	s.retrack()
}

// remode changes the cluster's authentication mode.
func (s *soak) remode(mode string) {
	if err := s.aws.SetAuthenticationMode(eksCluster, mode); err != nil {
		s.Fatal(err)
	}
	s.eks.mode = mode
	s.eks.changed = later(s.eks.changed, s.now().Add(soakMode))
	s.note("authentication mode %s", mode)
	s.retrack()
}

// retarget rolls out another target: the next replica has it.
func (s *soak) retarget() {
	r := s.leader()
	if r == nil || s.depth > 0 || s.other(r).active {
		return
	}
	s.config.Target = []Target{TargetConfigMap, TargetAccessEntries, TargetBoth, TargetBoth, TargetAuto}[s.rand.IntN(5)]
	s.summary.fault("target changed")
	s.note("target %s", s.config.Target)
	s.other(r).start()
	long := s.between(0, 40*time.Second)
	s.eks.changed = later(s.eks.changed, s.now().Add(long))
	s.after(long, func() { r.active = r.busy })
	s.retrack()
}

// entryChanges are what happens to access entries in any weather.
func (s *soak) entryChanges() []func() {
	return []func(){s.theirEntry, s.theirEntry, s.theirEntryGoes, s.dropOurEntry, s.editOurEntry, s.takeOverEntry, s.retarget}
}

func (s *soak) anEntry(ours bool) *soakEKSItem {
	var list []string
	for _, key := range slices.Sorted(maps.Keys(s.eks.entries)) {
		if s.eks.entries[key].ours == ours {
			list = append(list, key)
		}
	}
	if len(list) == 0 {
		return nil
	}
	e := s.eks.entries[list[s.rand.IntN(len(list))]]
	return &e
}

// theirEntry is somebody else's access entry for who has none.
func (s *soak) theirEntry() {
	if list := s.living(); len(list) > 0 {
		s.makeTheirs(list[s.rand.IntN(len(list))].arn())
	}
}

func (s *soak) makeTheirs(arn string) {
	in := &eks.CreateAccessEntryInput{ClusterName: aws.String(eksCluster), PrincipalArn: &arn, KubernetesGroups: []string{"viewers"}}
	if _, err := s.eks.client.CreateAccessEntry(s.Context(), in); err == nil {
		s.note("somebody makes an access entry of %s", arn)
	}
	s.lookAtEKS()
}

func (s *soak) dropEntry(e *soakEKSItem) bool {
	if e == nil {
		return false
	}
	_, err := s.eks.client.DeleteAccessEntry(s.Context(), &eks.DeleteAccessEntryInput{ClusterName: aws.String(eksCluster), PrincipalArn: &e.arn})
	if err == nil {
		s.eks.dropped[strings.ToLower(e.arn)] = s.now()
		s.note("somebody deletes the access entry of %s", e.arn)
	}
	s.lookAtEKS()
	return err == nil
}

func (s *soak) theirEntryGoes() { s.dropEntry(s.anEntry(false)) }

// dropOurEntry is drift.
func (s *soak) dropOurEntry() { s.dropEntry(s.anEntry(true)) }

// takeOverEntry is an entry of somebody else's in place of ours.
func (s *soak) takeOverEntry() {
	if e := s.anEntry(true); s.dropEntry(e) {
		s.eks.touched[strings.ToLower(e.arn)] = s.now()
		s.makeTheirs(e.arn)
	}
}

// editOurEntry is drift, too.
func (s *soak) editOurEntry() {
	e := s.anEntry(true)
	if e == nil {
		return
	}
	in := &eks.UpdateAccessEntryInput{ClusterName: aws.String(eksCluster), PrincipalArn: &e.arn, KubernetesGroups: []string{"edited"}}
	if _, err := s.eks.client.UpdateAccessEntry(s.Context(), in); err == nil {
		s.eks.touched[strings.ToLower(e.arn)] = s.now()
		s.note("somebody edits the access entry of %s", e.arn)
	}
	s.lookAtEKS()
}

// failEKS has calls to EKS fail or lie for some minutes.
func (s *soak) failEKS() {
	if s.calm.eks.After(s.now()) {
		return
	}
	long := s.between(5*time.Second, 5*time.Minute)
	s.calm.eks = s.now().Add(long)
	if s.odds(4) {
		s.summary.fault("EKS list lag")
		s.eks.lag = s.between(time.Second, 90*time.Second)
		s.note("EKS lists what was %s ago, for %s", s.eks.lag, long)
		s.after(long, func() { s.eks.lag = 0 })
		return
	}
	actions := []string{
		"DescribeCluster", "ListAccessEntries", "DescribeAccessEntry", "ListAssociatedAccessPolicies", "CreateAccessEntry",
		"UpdateAccessEntry", "DeleteAccessEntry", "AssociateAccessPolicy", "DisassociateAccessPolicy",
	}
	f := fakeaws.Fault{Action: actions[s.rand.IntN(len(actions))]}
	answers := []fakeaws.Effect{fakeaws.Throttled, fakeaws.Failing, fakeaws.Unavailable, fakeaws.Denied, fakeaws.Dropped}
	if f.Effect = answers[s.rand.IntN(len(answers))]; s.odds(3) {
		f.Action = "ListAccessEntries"
		f.Effect = []fakeaws.Effect{fakeaws.EmptyListing, fakeaws.RepeatedMarker}[s.rand.IntN(2)]
	}
	s.summary.fault("EKS " + string(f.Effect))
	s.note("EKS %s of %s for %s", f.Effect, f.Action, long)
	s.eks.fault = &f
	s.setFaults()
	s.after(long, func() { s.eks.fault = nil; s.setFaults() })
}

// lagEKS changes how long EKS does not know who was just made.
func (s *soak) lagEKS() {
	s.summary.fault("EKS knows nobody new")
	s.iam.lag.Principal = []time.Duration{0, 0, 3 * time.Second, 20 * time.Second}[s.rand.IntN(4)]
	s.aws.SetLag(s.iam.lag)
	s.note("lag: %+v", s.iam.lag)
}

// setFaults gives the emulator the faults that last.
func (s *soak) setFaults() {
	s.aws.ClearFaults()
	for _, f := range []*fakeaws.Fault{s.iam.fault, s.eks.fault} {
		if f != nil {
			s.aws.Inject(*f)
		}
	}
}

// selected tells which stores are to hold what is granted.
func (s *soak) selected(store soakStore) bool {
	switch t := s.config.Target; {
	case !s.entries:
		return store == inDoc
	case t == TargetBoth:
		return store == inDoc || s.eks.mode != fakeaws.ModeConfigMap
	case t == TargetAuto:
		return (store == inEntries) == (s.eks.mode == fakeaws.ModeAPI)
	case t == TargetAccessEntries:
		return store == inEntries && s.eks.mode != fakeaws.ModeConfigMap
	default:
		return store == inDoc
	}
}

// reads tells which stores let people in.
func (s *soak) reads(store soakStore) bool {
	return !s.entries || s.eks.mode == fakeaws.ModeAPIConfigMap || (store == inDoc) == (s.eks.mode == fakeaws.ModeConfigMap)
}

// letIn reports whether somebody has access, by whosever entry.
func (s *soak) letIn(p *soakPrincipal) bool {
	if e, ok := s.eks.entries[strings.ToLower(p.arn())]; ok && e.works && s.entries && s.reads(inEntries) {
		return true
	}
	_, ours := s.reader.ours(s.doc.data, p.kind)[trackKey(p.kind, p.entryARN())]
	return s.reads(inDoc) && (ours || s.doc.foreign[strings.ToLower(p.entryARN())])
}

func entryKindOf(arn string) rules.Kind {
	if strings.Contains(arn, ":role/") {
		return rules.Role
	}
	return rules.User
}
