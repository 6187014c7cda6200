package removal_test

import (
	"testing"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/removal"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

func TestTooOldOnesGoPastTheBreaker(t *testing.T) {
	t.Parallel()
	cs, own := ungranted(rules.User, account, 101, 120)
	for i := range 80 {
		cs[i].TooOld = true
	}
	cs[0].HeldSince = at(-60)
	d := new(removal.Ledger).Decide(removal.Input{
		Now: at(0), Candidates: cs, Owned: own, Settings: removal.Settings{Hold: 10 * time.Minute, MaxCount: 19, MaxPercent: 50},
	})
	tooOld := 0
	for _, r := range d.Remove {
		if r.Why == removal.TooOld {
			tooOld++
		}
	}
	if tooOld != 80 || len(d.Remove) != 80 || len(d.Held) != 21 {
		t.Errorf("%d of %d go for age and %d are held; want 80 of 80, and the other 21 of the 40 that are left", tooOld, len(d.Remove), len(d.Held))
	}
	if len(d.Removals) != 0 {
		t.Errorf("age counts: %+v", d.Removals)
	}
}

func TestTooOldNeedsNoSecondListing(t *testing.T) {
	t.Parallel()
	cs, own := ungranted(rules.Role, account, 1, 1)
	cs[0].TooOld = true
	d := new(removal.Ledger).Decide(removal.Input{Now: at(0), Candidates: cs, Owned: own, Settings: removal.Settings{Hold: time.Hour}})
	if len(d.Remove) != 1 || d.Remove[0].Why != removal.TooOld {
		t.Errorf("got %+v", d)
	}
}
