package controllers

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

const (
	soakSeed  = "3"
	soakHours = "10"
	soakHold  = 10 * time.Minute
	soakTrail = 80 // how many of the last happenings a violation prints
)

// TestSoak drives the refresher through hours of trouble, on a clock that the
// test moves: AWS that fails and lies, an API server that ends and comes back,
// replicas that die, stand still and take over, people and programs that write
// aws-auth and the rules. After each step it holds the cluster against what
// must always be true; see soakCheck.
//
// SOAK_SEED repeats one run, SOAK_HOURS is how many simulated hours it takes,
// SOAK_TIME (such as 10m) goes on with new seeds for that long, all scenarios
// together.
func TestSoak(t *testing.T) { soakFor(t, soakScenario{}) }

// TestSoakAccessEntries does the same where grants go into access entries, too:
// the target changes, and the cluster's authentication mode, EKS fails and lies,
// and others make, change and delete access entries. The ConfigMaps are in
// memory, so that the hours pass faster.
func TestSoakAccessEntries(t *testing.T) { soakFor(t, soakScenario{entries: true, memory: true}) }

// TestSoakSmall does the same in a cluster of two to eight users, where a slip
// that takes access from all or from the last one of a group is never too many.
func TestSoakSmall(t *testing.T) { soakFor(t, soakScenario{memory: true, small: true}) }

// soakScenario says what world it is.
type soakScenario struct {
	small   bool // few users
	entries bool // the cluster is in EKS
	memory  bool // no API server
}

func soakFor(t *testing.T, scenario soakScenario) {
	t.Helper()
	hours, err := strconv.Atoi(cmp.Or(os.Getenv("SOAK_HOURS"), soakHours))
	if err != nil {
		t.Fatal(err)
	}
	seed, err := strconv.ParseUint(cmp.Or(os.Getenv("SOAK_SEED"), soakSeed), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	var total soakSummary
	begun := time.Now()
	if text := os.Getenv("SOAK_TIME"); text != "" {
		length, err := time.ParseDuration(text)
		if err != nil {
			t.Fatal(err)
		}
		for time.Since(begun) < length/3 && !t.Failed() { // there are three scenarios
			total.add(soakOnce(t, scenario, seed, hours))
			seed = rand.Uint64N(1_000_000_000)
		}
	} else {
		total = soakOnce(t, scenario, seed, hours)
	}
	t.Logf("soak: %s, in %s", total, time.Since(begun).Round(time.Second))
}

// soakOnce runs one seed; API-server processes are few, because each takes
// seconds to come back.
func soakOnce(t *testing.T, scenario soakScenario, seed uint64, hours int) soakSummary {
	t.Helper()
	var summary soakSummary
	t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
		s := newSoak(t, scenario, seed)
		begun := s.now()
		s.begin()
		s.run(begun.Add(time.Duration(hours) * time.Hour))
		s.finish()
		s.summary.Simulated = s.now().Sub(begun)
		s.summary.Seeds = 1
		summary = s.summary
		t.Logf("soak: seed %d: %s", seed, s.summary)
	})
	return summary
}

// soak is a world in which time passes by itself.
type soak struct {
	*world
	soakScenario
	maps     corev1client.ConfigMapInterface // what replicas use
	rand     *rand.Rand
	replicas []*replica
	happens  []happening // to come
	seq      int
	storm    bool
	closing  bool // no more trouble
	depth    int  // of steps within a call that stands still
	trail    []string
	summary  soakSummary

	iam   soakIAM
	given soakRules
	doc   soakDoc
	calm  soakCalm
	check soakCheck
	api   soakAPI
	eks   soakEKS

	paused, hangs time.Time // since when; until when

	proof   soakProof
	lost    bool // the record is
	lostAt  time.Time
	backups []soakData // of aws-auth
	// restored is when one was written back.
	restored time.Time

	reader soakReader
}

// happening is something that is due at a time.
type happening struct {
	at  time.Time
	seq int
	do  func()
}

// soakSummary counts what a run went through.
type soakSummary struct {
	Seeds, Steps, Refreshes, Checks, Violations int
	Simulated                                   time.Duration
	Faults                                      map[string]int
}

func (s *soakSummary) fault(kind string) {
	if s.Faults == nil {
		s.Faults = map[string]int{}
	}
	s.Faults[kind]++
}

func (s *soakSummary) add(o soakSummary) {
	s.Seeds += o.Seeds
	s.Steps += o.Steps
	s.Refreshes += o.Refreshes
	s.Checks += o.Checks
	s.Violations += o.Violations
	s.Simulated += o.Simulated
	for kind, n := range o.Faults {
		s.fault(kind)
		s.Faults[kind] += n - 1
	}
}

func (s soakSummary) String() string {
	kinds := make([]string, 0, len(s.Faults))
	for kind, n := range s.Faults {
		kinds = append(kinds, fmt.Sprintf("%s %d", kind, n))
	}
	slices.Sort(kinds)
	return fmt.Sprintf("%s simulated, %d seeds, %d steps, %d refreshes, faults: %s; %d invariants checked, violations %d",
		s.Simulated.Round(time.Second), s.Seeds, s.Steps, s.Refreshes, strings.Join(kinds, ", "), s.Checks, s.Violations)
}

func newSoak(t *testing.T, scenario soakScenario, seed uint64) *soak {
	t.Helper()
	s := &soak{world: newWorld(t), soakScenario: scenario, rand: rand.New(rand.NewPCG(seed, 2019)), storm: true}
	s.clock.SetTime(time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC))
	s.aws = fakeaws.New(fakeaws.Config{
		AccountID: accountID, AccessKeyID: "AKIAADMIN", SecretAccessKey: "secret", Now: s.clock.Now,
	})
	if s.maps = s.core.ConfigMaps(s.namespace); s.memory {
		s.maps = &soakMaps{objects: map[string]*soakObject{}}
		s.admin = s.maps
	}
	s.config.RefreshInterval = []time.Duration{time.Minute, 15 * time.Second, 30 * time.Second, 2 * time.Minute}[seed%4]
	s.config.Removal.Hold = soakHold
	s.iam = soakIAM{all: map[string]*soakPrincipal{}, tracks: map[string]*soakTrack{}}
	s.check = soakCheck{given: map[string]map[string]bool{}, window: map[string]map[string]time.Time{}, off: map[string]time.Time{}, held: map[string]time.Time{}}
	s.doc.original = map[string]*string{}
	for _, name := range []string{"A", "B"} {
		s.replicas = append(s.replicas, &replica{soak: s, name: name})
	}
	s.beginIAM()
	if s.entries {
		s.beginEKS()
	}
	return s
}

func (s *soak) now() time.Time { return s.clock.Now() }

// odds is true once in n times.
func (s *soak) odds(n int) bool { return s.rand.IntN(n) == 0 }

// many is how many there are of something.
func (s *soak) many(usually, small int) int {
	if s.small {
		return small
	}
	return usually
}

// between is a random duration.
func (s *soak) between(least, most time.Duration) time.Duration {
	return least + time.Duration(s.rand.Int64N(int64(most-least)+1)).Round(time.Millisecond)
}

// after has something happen in a while.
func (s *soak) after(d time.Duration, do func()) {
	s.seq++
	s.happens = append(s.happens, happening{s.now().Add(d), s.seq, do})
}

// note leaves a line in the trail, which a violation prints.
func (s *soak) note(format string, args ...any) {
	line := s.now().Format("15:04:05.000 ") + fmt.Sprintf(format, args...)
	if s.trail = append(s.trail, line); len(s.trail) > soakTrail {
		s.trail = s.trail[1:]
	}
}

// violation is what must never be.
func (s *soak) violation(format string, args ...any) {
	s.Helper()
	if s.summary.Violations++; s.summary.Violations > 1 {
		return
	}
	s.Errorf("violation at %s: %s\nwhat happened last:\n%s\naws-auth: %q%s",
		s.now().Format("15:04:05.000"), fmt.Sprintf(format, args...), strings.Join(s.trail, "\n"), s.doc.data, s.eks)
}

// begin lets people in and starts the first replica.
func (s *soak) begin() {
	s.writeDoc("kubectl-create", soakData{
		"mapRoles":    "- rolearn: arn:aws:iam::123456789012:role/node\n  username: system:node:{{EC2PrivateDNSName}}\n  groups:\n  - system:nodes\n",
		"mapUsers":    person,
		"mapAccounts": "- \"210987654321\"\n",
	})
	s.editRules(ruleChoice{foo: true, vault: true, ci: true, guests: true, team: true})
	for i := range s.many(16, 3) {
		s.create(fooUser(i))
	}
	s.create(soakName{accountID, rules.Role, "/ci/", "deploy-1"})
	s.replicas[0].start()
	s.after(time.Minute, s.act)
	s.after(20*time.Minute, s.turn)
	// The API server's process ends in each run, whatever else happens.
	s.after(s.between(time.Hour, 8*time.Hour), s.endAPIServer)
	if s.entries {
		s.after(s.between(time.Hour, 2*time.Hour), func() { s.remode(fakeaws.ModeAPIConfigMap) })
		s.after(s.between(6*time.Hour, 8*time.Hour), func() { s.remode(fakeaws.ModeAPI) })
	}
}

// turn changes between stormy and calm weather.
func (s *soak) turn() {
	s.storm = !s.storm
	s.note("storm: %v", s.storm)
	if s.storm {
		s.after(s.between(10*time.Minute, 30*time.Minute), s.turn)
	} else {
		s.after(s.between(12*time.Minute, 25*time.Minute), s.turn)
	}
}

// run lets time pass until then.
func (s *soak) run(until time.Time) {
	for s.summary.Violations == 0 {
		at, do := s.next()
		if at.After(until) {
			break
		}
		if at.After(s.now()) {
			s.clock.SetTime(at)
			s.retrack() // somebody may be too old now
		}
		do()
		s.retrack()
		s.summary.Steps++
		s.checkAll()
	}
	if until.After(s.now()) {
		s.clock.SetTime(until)
	}
}

// next is what is due first.
func (s *soak) next() (time.Time, func()) {
	first := slices.MinFunc(s.happens, func(a, b happening) int {
		if c := a.at.Compare(b.at); c != 0 {
			return c
		}
		return a.seq - b.seq
	})
	at, do := first.at, func() {
		s.happens = slices.DeleteFunc(s.happens, func(h happening) bool { return h.seq == first.seq })
		first.do()
	}
	for _, r := range s.replicas {
		if r.active && !r.busy && r.wake.Before(at) {
			at, do = r.wake, r.refresh
		}
	}
	return at, do
}

// finish takes the rules away, and with them everything of ours.
func (s *soak) finish() {
	s.closing, s.storm = true, false
	s.run(s.now().Add(15 * time.Minute)) // all trouble ends by itself
	if s.summary.Violations > 0 {
		return
	}
	s.checkEmptied()
	s.editRules(ruleChoice{})
	s.run(s.now().Add(soakHold + 5*time.Minute))
	for _, key := range slices.Sorted(maps.Keys(s.eks.entries)) {
		if s.eks.entries[key].ours {
			s.violation("the access entry of %s is an orphan of ours", key)
		}
	}
	for _, kind := range rules.Kinds() {
		if text := s.doc.data[kind.DataKey()]; strings.Contains(text, soakMark) {
			s.violation("orphans of ours under %s", kind.DataKey())
		}
	}
	s.summary.Checks++
}
