package leader

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// paper is a Lease that lies on the table; conflicts is how many writes come too
// late.
type paper struct {
	resourcelock.Interface
	record    resourcelock.LeaderElectionRecord
	conflicts int
	writes    int
}

func (p *paper) Identity() string { return "us" }

func (p *paper) Get(context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	raw, err := json.Marshal(p.record)
	return new(p.record), raw, err
}

func (p *paper) Update(_ context.Context, record resourcelock.LeaderElectionRecord) error {
	if p.conflicts > 0 {
		p.conflicts--
		return apierrors.NewConflict(schema.GroupResource{Resource: "leases"}, "lease", errors.New("another version"))
	}
	p.record = record
	p.writes++
	return nil
}

func (p *paper) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return p.Update(ctx, record)
}

func heldBy(holder string) resourcelock.LeaderElectionRecord {
	return resourcelock.LeaderElectionRecord{HolderIdentity: holder, LeaseDurationSeconds: 15}
}

// TestLockWritesOverNobody: whatever the elector believes, what was read decides.
func TestLockWritesOverNobody(t *testing.T) {
	start := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		reason string
		stands string
		after  time.Duration
		write  string // the holder to write; "": giving up
		err    error
	}{
		{"nobody holds it", "", 0, "us", nil},
		{"it is ours: renewed", "us", 0, "us", nil},
		{"it is ours: given up", "us", 0, "", nil},
		{"somebody else holds it", "them", 14 * time.Second, "us", errHeld},
		{"somebody else's has expired since it was seen", "them", 15 * time.Second, "us", nil},
		{"a late release would clear somebody else's", "them", 0, "", errHeld},
		{"and also where it has expired, since it is not ours to give up", "them", time.Hour, "", errHeld},
		{"given up by somebody else", "", 0, "", errHeld},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			now := start
			stands := &paper{record: heldBy(tt.stands)}
			l := &lock{Interface: stands, now: func() time.Time { return now }, lose: func() {}, patience: time.Hour}
			if _, _, err := l.Get(t.Context()); err != nil {
				t.Fatal(err)
			}
			now = now.Add(tt.after)
			if _, _, err := l.Get(t.Context()); err != nil { // the same as before: it goes on expiring
				t.Fatal(err)
			}
			err := l.Update(t.Context(), heldBy(tt.write))
			if !errors.Is(err, tt.err) {
				t.Errorf("got %v, want %v", err, tt.err)
			}
			want := tt.write
			if tt.err != nil {
				want = tt.stands
			}
			if got := stands.record.HolderIdentity; got != want {
				t.Errorf("the Lease is %q's, want %q's", got, want)
			}
		})
	}
}

// TestLockThatIsLostStaysLost: who has seen another holder, or has not renewed
// for too long, renews no more, though the Lease may be free again.
func TestLockThatIsLostStaysLost(t *testing.T) {
	lost := make(chan struct{})
	stands := &paper{}
	l := &lock{Interface: stands, now: time.Now, lose: func() { close(lost) }, patience: time.Hour}
	if err := l.Create(t.Context(), heldBy("us")); err != nil {
		t.Fatal(err)
	}
	stands.record = heldBy("them")
	for range 2 {
		if _, _, err := l.Get(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	<-lost // and it was told once
	stands.record = heldBy("")
	if _, _, err := l.Get(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.Update(t.Context(), heldBy("us")); !errors.Is(err, errOver) {
		t.Errorf("renewed after it was lost: %v", err)
	}

	lost = make(chan struct{})
	l = &lock{Interface: &paper{}, now: time.Now, lose: func() { close(lost) }, patience: time.Nanosecond}
	if err := l.Create(t.Context(), heldBy("us")); err != nil {
		t.Fatal(err)
	}
	<-lost
	if err := l.Update(t.Context(), heldBy("us")); !errors.Is(err, errOver) {
		t.Errorf("renewed after the time in which it may be: %v", err)
	}
}

// TestRelease: only our own Lease is given up, also where a renewal of ours
// arrived late.
func TestRelease(t *testing.T) {
	for _, tt := range []struct {
		reason    string
		stands    string
		conflicts int
		want      string
		writes    int
	}{
		{"ours", "us", 0, "", 1},
		{"ours, and written in between", "us", 2, "", 1},
		{"somebody else's", "them", 0, "them", 0},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			stands := &paper{}
			l := &lock{Interface: stands, now: time.Now, lose: func() {}, patience: time.Hour}
			if err := l.release(t.Context()); err != nil || stands.writes != 0 {
				t.Errorf("who never held it writes %d times: %v", stands.writes, err)
			}
			if err := l.Create(t.Context(), heldBy("us")); err != nil {
				t.Fatal(err)
			}
			*stands = paper{record: heldBy(tt.stands), conflicts: tt.conflicts}
			if err := l.release(t.Context()); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff([]any{tt.want, tt.writes}, []any{stands.record.HolderIdentity, stands.writes}); diff != "" {
				t.Errorf("holder and writes (-want +got):\n%s", diff)
			}
		})
	}
}
