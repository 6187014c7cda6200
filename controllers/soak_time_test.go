package controllers

import (
	"context"
	"net/http"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/iamevents"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// soakClock is a replica's, which at times is not AWS's.
type soakClock struct {
	clock.PassiveClock
	r *replica
}

// Now is what the clock shows.
func (c soakClock) Now() time.Time { return c.r.time() }

// Since goes by that.
func (c soakClock) Since(t time.Time) time.Duration { return c.r.time().Sub(t) }

func (r *replica) time() time.Time { return r.now().Add(r.offset) }

// jump sets the clock of a replica forward or back, for some minutes.
func (s *soak) jump() {
	r := s.replicas[s.rand.IntN(len(s.replicas))]
	if r.offset != 0 {
		return
	}
	s.summary.fault("clock set")
	r.offset = s.between(-4*time.Minute, 4*time.Minute)
	long := s.between(time.Minute, 10*time.Minute)
	s.note("the clock of %s is %s ahead, for %s", r.name, r.offset, long)
	s.clockMoved(long)
	s.after(long, func() { r.offset = 0; s.clockMoved(0); s.poke() })
}

// clockMoved: what was held by one clock may be let go by another.
func (s *soak) clockMoved(long time.Duration) {
	s.calm.clock = later(s.calm.clock, s.now().Add(long+soakHold+5*time.Minute))
	s.calm.process = later(s.calm.process, s.now().Add(long+s.bound()))
	s.calm.aws = later(s.calm.aws, s.now().Add(long))
	s.calm.eks = later(s.calm.eks, s.now().Add(long))
}

// hang has calls to AWS not answer until their deadline, now and then.
func (s *soak) hang() {
	if s.calm.aws.After(s.now()) {
		return
	}
	s.summary.fault("AWS hanging")
	long := s.between(5*time.Second, 2*time.Minute)
	s.note("AWS hangs for %s", long)
	s.hangs = s.now().Add(long)
	s.calm.aws, s.calm.eks = s.hangs, later(s.calm.eks, s.hangs)
}

// soakHanging is a way to IAM that hangs.
type soakHanging struct {
	soakWire
	r *replica
}

// Do is what an aws.HTTPClient does.
func (w soakHanging) Do(req *http.Request) (*http.Response, error) {
	if w.r.hangs.After(w.r.now()) {
		w.r.hung.Store(true)
		return nil, context.DeadlineExceeded
	}
	if answer, err := w.r.refuse(req); answer != nil || err != nil {
		return answer, err
	}
	return w.soakWire.Do(req)
}

// pay lets the time pass that a call hung.
func (r *replica) pay() {
	if !r.hung.Swap(false) || r.depth > 0 {
		return
	}
	r.note("%s has waited for AWS", r.name)
	r.stand(10 * time.Second)
}

// pause has people pause the refresher, perhaps roll back, and resume.
func (s *soak) pause() {
	if s.api.down || s.lost || s.depth > 0 || !s.paused.IsZero() || !s.given.there {
		return
	}
	o := &Operator{ConfigMaps: s.maps, Names: s.config.Names, Clock: s.clock}
	if s.odds(2) {
		s.summary.fault("paused")
		if err := o.Pause(s.Context(), "a test"); err != nil {
			s.Fatal(err)
		}
	} else if !s.rollBack(o) {
		return
	}
	s.paused = s.now()
	s.note("paused")
	s.calm.pause = s.now().Add(24 * time.Hour)
	s.after(s.between(20*time.Second, 8*time.Minute), s.resume)
}

func (s *soak) resume() {
	if s.paused.IsZero() {
		return
	}
	_, err := s.admin.Get(s.Context(), "aws-auth-refresher", metav1.GetOptions{})
	if err != nil { // who makes it again ends the pause
		s.after(10*time.Second, s.resume)
		return
	}
	o := &Operator{ConfigMaps: s.maps, Names: s.config.Names, Clock: s.clock}
	if _, err := o.Resume(s.Context()); err != nil {
		s.Fatal(err)
	}
	s.resumed()
}

// resumed: the replicas go on, and hear that at once.
func (s *soak) resumed() {
	if s.paused.IsZero() {
		return
	}
	s.note("resumed")
	s.paused, s.calm.pause = time.Time{}, s.now().Add(s.bound())
	s.poke()
}

// rollBack brings back our entries of an earlier version.
func (s *soak) rollBack(o *Operator) bool {
	if s.doc.missing || s.calm.doc[rules.User].After(s.now()) || s.calm.doc[rules.Role].After(s.now()) {
		return false
	}
	b, err := o.PlanRollback(s.Context(), 0, false)
	if err != nil {
		s.note("no way back: %v", err)
		return false
	}
	s.summary.fault("rolled back")
	s.given.approved = time.Time{} // it has had its effect
	if err := o.Roll(s.Context(), b); err != nil {
		s.Fatal(err)
	}
	s.check.record, s.check.entries = nil, nil
	old, now := s.doc.data, soakData(s.get("aws-auth").Data).clone()
	for key := range both(old, now) {
		s.judgeText(key, old, now)
	}
	s.doc.data, s.doc.foreign = now, s.reader.foreignARNs(now)
	s.retrack()
	return true
}

// judgePause: a replica that begins while it is paused writes nothing.
func (s *soak) judgePause(r *replica) {
	s.summary.Checks++
	if !s.paused.IsZero() && r.began.After(s.paused) {
		s.violation("%s writes although it is paused", r.name)
	}
}

// tell announces a change of IAM to the replicas: at once, late, twice or not
// at all.
func (s *soak) tell() {
	for range s.rand.IntN(3) {
		late := time.Duration(0)
		if s.odds(3) {
			late = s.between(0, 3*time.Minute)
		}
		s.after(late, func() {
			for _, r := range s.replicas {
				if r.active && !r.busy {
					r.news = append(r.news, s.now())
					s.wakeUp(r)
				}
			}
		})
	}
}

// Wake is never read: the test wakes the replicas.
func (r *replica) Wake() <-chan struct{} { return nil }

// Settle has IAM listed for what is announced.
func (r *replica) Settle(v iamevents.View) time.Time {
	if v.Fresh {
		r.news = nil
	}
	if len(r.news) == 0 {
		return time.Time{}
	}
	return v.Now
}

// Health is well.
func (r *replica) Health() iamevents.Health { return iamevents.Health{Known: true} }
