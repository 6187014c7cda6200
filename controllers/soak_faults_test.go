package controllers

import (
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// soakAPI is the trouble with the API server.
type soakAPI struct {
	down    bool // its process has ended
	failing bool // calls fail, some after they were carried out
	contend int  // how many writes of ours somebody else is faster than
}

// soakCalm is until when each kind of trouble lasts, or lasted.
type soakCalm struct {
	aws     time.Time // listings and questions
	other   time.Time // of the other account
	api     time.Time // reading and writing ConfigMaps
	eks     time.Time // access entries
	process time.Time // nobody refreshes
	pause   time.Time // nothing may be written
	clock   time.Time // a clock was wrong, so that holds may be, too
	doc     map[rules.Kind]time.Time
}

// troubled: a refresh may end badly.
func (s *soak) troubled() bool {
	return s.api.down || s.api.failing || s.api.contend > 0 || s.depth > 0
}

// act has something happen, and again in a while.
func (s *soak) act() {
	if s.closing {
		return
	}
	if s.odds(8) {
		s.backUp()
	}
	changes, troubles := s.changes(), s.troubles()
	if s.entries {
		changes = append(changes, s.entryChanges()...)
		troubles = append(troubles, s.failEKS, s.failEKS, s.failEKS, s.lagEKS)
	}
	if !s.storm {
		s.pick(changes)
		s.after(s.between(30*time.Second, 6*time.Minute), s.act)
		return
	}
	if s.odds(2) {
		s.pick(changes)
	} else {
		s.pick(troubles)
	}
	s.after(s.between(2*time.Second, 100*time.Second), s.act)
}

func (s *soak) pick(from []func()) {
	from[s.rand.IntN(len(from))]()
	s.retrack()
	s.poke()
}

func (s *soak) troubles() []func() {
	return []func(){
		s.failAWS, s.failAWS, s.failAWS, s.lagAWS, s.wrongAccount,
		s.failAPI, s.contend,
		s.kill, s.kill, s.handOver, s.noLeader, s.standStill, s.standStill,
		s.slowListings, s.denyProof, s.denyProof, s.loseRecord, s.restore, s.restore, s.freeze, s.jump, s.hang, s.hang, s.flap, s.flap, s.flap, s.blindSpot, s.blindSpot,
	}
}

// failAWS has calls of an action fail or lie for some minutes.
func (s *soak) failAWS() {
	if s.calm.aws.After(s.now()) {
		return
	}
	actions := []string{"ListUsers", "ListRoles", "GetUser", "GetRole", "GetAccountAuthorizationDetails", ""}
	f := fakeaws.Fault{Action: actions[s.rand.IntN(len(actions))]}
	answers := []fakeaws.Effect{
		fakeaws.Throttled, fakeaws.Failing, fakeaws.Unavailable, fakeaws.Denied, fakeaws.Dropped, fakeaws.OtherAccount,
		fakeaws.EmptyListing, fakeaws.EmptyListing, fakeaws.TruncatedWithoutMarker, fakeaws.RepeatedMarker,
	}
	f.Effect = answers[s.rand.IntN(len(answers))]
	s.troubleAWS("AWS "+string(f.Effect), f)
}

func (s *soak) troubleAWS(kind string, f fakeaws.Fault) {
	s.summary.fault(kind)
	long := s.between(5*time.Second, 5*time.Minute)
	s.note("%s of %q for %s", kind, f.Action, long)
	s.iam.fault = &f
	s.setFaults()
	s.calm.aws = s.now().Add(long)
	if f.Action == "" {
		s.calm.eks = later(s.calm.eks, s.calm.aws)
	}
	s.after(long, func() { s.iam.fault = nil; s.setFaults(); s.renewCredentials(); s.note("AWS is well again") })
}

// renewCredentials has every replica ask again who it is.
func (s *soak) renewCredentials() {
	for _, r := range s.replicas {
		r.lister = r.newLister()
	}
}

// wrongAccount gives the replicas credentials of another account.
func (s *soak) wrongAccount() {
	if s.calm.aws.After(s.now()) {
		return
	}
	s.renewCredentials()
	s.troubleAWS("wrong account", fakeaws.Fault{Effect: fakeaws.OtherAccount})
}

// slowListings has listings of IAM take minutes.
func (s *soak) slowListings() {
	r := s.leader()
	if r == nil || s.calm.aws.After(s.now()) {
		return
	}
	s.summary.fault("slow listing")
	long := s.between(20*time.Second, 6*time.Minute)
	s.note("listings of %s take until %s from now", r.name, long)
	r.slow = s.now().Add(long)
	s.calm.aws = r.slow
}

// lagAWS changes how far IAM's answers run behind.
func (s *soak) lagAWS() {
	s.summary.fault("list lag")
	lists := []time.Duration{0, 4 * time.Second, 12 * time.Second, time.Minute}
	s.iam.lag = fakeaws.Lag{List: lists[s.rand.IntN(len(lists))], Principal: s.iam.lag.Principal}
	if s.odds(2) {
		s.iam.lag.Get = s.iam.lag.List
	}
	s.aws.SetLag(s.iam.lag)
	s.note("lag: %+v", s.iam.lag)
}

// flap deletes somebody and makes them again, perhaps elsewhere.
func (s *soak) flap() {
	list := s.living()
	if len(list) == 0 {
		return
	}
	s.summary.fault("flapping user")
	p := list[s.rand.IntN(len(list))]
	s.remove(p)
	again := p.soakName
	if p.kind == rules.User && s.odds(6) {
		again.path = map[string]string{"/": "/moved/"}[p.path]
		if again.path == "" {
			again.path = "/"
		}
	}
	most := 90 * time.Second
	if s.odds(2) {
		most = 10 * time.Second
	}
	s.after(s.between(0, most), func() { s.create(again) })
}

// blindSpot makes somebody again so that, at the time of the next listing, AWS
// shows no longer who was there and not yet who is.
func (s *soak) blindSpot() {
	const lag = 5 * time.Second
	r, list := s.leader(), s.living()
	if r == nil || len(list) == 0 || r.wake.Sub(s.now()) < 2*lag {
		return
	}
	s.summary.fault("blind spot")
	p := list[s.rand.IntN(len(list))]
	wake := r.wake.Sub(s.now())
	s.iam.lag.List, s.iam.lag.Get = lag, lag
	s.aws.SetLag(s.iam.lag)
	s.after(wake-lag-3*time.Second, func() { s.remove(p) })
	s.after(wake-2*time.Second, func() { s.create(p.soakName) })
}

// failAPI has calls to the API server fail for a while.
func (s *soak) failAPI() {
	if s.api.failing {
		return
	}
	s.summary.fault("API failing")
	long := s.between(5*time.Second, 2*time.Minute)
	s.note("API server failing for %s", long)
	s.api.failing = true
	s.calm.api = later(s.calm.api, s.now().Add(long))
	s.after(long, func() { s.api.failing = false })
}

// endAPIServer ends the API server's process, for some simulated minutes.
func (s *soak) endAPIServer() {
	if s.depth > 0 {
		s.after(time.Minute, s.endAPIServer)
		return
	}
	s.summary.fault("API server restart")
	if !s.memory {
		if err := bed.KillAPIServer(); err != nil {
			s.Fatal(err)
		}
	}
	s.apiServer(false)
	long := s.between(10*time.Second, 4*time.Minute)
	s.note("the API server is gone for %s", long)
	s.calm.api = later(s.calm.api, s.now().Add(long))
	s.after(long, func() {
		if !s.memory {
			if err := bed.StartAPIServer(); err != nil {
				s.Fatal(err)
			}
		}
		s.apiServer(true)
		s.poke()
	})
}

func (s *soak) apiServer(up bool) {
	s.api.down = !up
	if m, ok := s.maps.(*soakMaps); ok {
		m.down = !up
	}
}

// contend has somebody write aws-auth between our reads and writes.
func (s *soak) contend() { s.api.contend = 1 + s.rand.IntN(4) }

// leader is a replica that refreshes, nil if there is none.
func (s *soak) leader() *replica {
	for _, r := range s.replicas {
		if r.active && !r.busy {
			return r
		}
	}
	return nil
}

func (s *soak) other(r *replica) *replica {
	if s.replicas[0] == r {
		return s.replicas[1]
	}
	return s.replicas[0]
}

// kill ends the leader's process at one of the next refresh's calls.
func (s *soak) kill() {
	if r := s.leader(); r != nil && r.stallAt == 0 {
		s.summary.fault("process killed")
		r.dieAt = 1 + s.rand.IntN(12)
		r.note("%s is to die at call %d", r.name, r.dieAt)
	}
}

// handOver gives the Lease to the other replica; the old one goes on for a
// while, as one does that has not noticed.
func (s *soak) handOver() {
	r := s.leader()
	if r == nil || s.other(r).active {
		return
	}
	s.summary.fault("Lease lost")
	s.other(r).start()
	s.after(s.between(0, 40*time.Second), func() { r.active = r.busy })
}

// noLeader has nobody hold the Lease for a while.
func (s *soak) noLeader() {
	r := s.leader()
	if r == nil || s.other(r).active {
		return
	}
	s.summary.fault("nobody leads")
	long := s.between(5*time.Second, 3*time.Minute)
	s.note("nobody leads for %s", long)
	r.active = false
	s.calm.process = later(s.calm.process, s.now().Add(long))
	next := s.other(r)
	if s.odds(2) {
		next = r
	}
	s.after(long, func() {
		if s.leader() == nil {
			next.start()
		}
	})
}

// standStill has the leader stand still at one of the next refresh's calls.
func (s *soak) standStill() {
	if r := s.leader(); r != nil && s.depth == 0 && r.dieAt == 0 && !s.other(r).active {
		if r.stallAt = 1 + s.rand.IntN(8); s.odds(3) {
			r.stallAt = listStall
		}
		r.note("%s is to stand still at %d", r.name, r.stallAt)
	}
}

// stall is a process that stands still, loses the Lease, and goes on with what
// it was at minutes later.
func (s *soak) stall(r *replica) {
	next := s.other(r)
	if s.depth > 0 || next.active {
		return
	}
	s.summary.fault("process stood still")
	r.stand(s.between(time.Second, 90*time.Second))
}

// stand lets time pass for everybody else.
func (r *replica) stand(long time.Duration) {
	s, next := r.soak, r.other(r)
	s.note("%s stands still for %s at call %d", r.name, long, r.calls)
	began, calls, applied := r.began, r.calls, r.applied
	r.busy, s.depth = true, s.depth+1
	if takeover := 15 * time.Second; long > takeover && !next.active {
		s.calm.process = later(s.calm.process, s.now().Add(takeover))
		s.after(takeover, next.start)
		s.after(long+s.between(0, 5*time.Second), func() { r.active = false })
	} else {
		s.calm.process = later(s.calm.process, s.now().Add(long))
	}
	s.run(s.now().Add(long))
	s.note("%s goes on", r.name)
	s.calm.process = later(s.calm.process, s.now()) // what it read is old
	r.busy, s.depth = false, s.depth-1
	r.began, r.calls, r.applied = began, calls, applied
	r.met = true
}
