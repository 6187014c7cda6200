package rules

import (
	"errors"
	"fmt"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/gzipjson"
)

// recordFormat: version 1 had every entry's selectors in the entry, version 2 no
// groups in their digests.
func recordFormat() gzipjson.Format {
	return gzipjson.Format{Version: 3, Oldest: 1, MaxMiB: 16} // 7,000 entries with their rules take about 2
}

// ErrRecord is what every error of DecodeRecord wraps.
var ErrRecord = errors.New("the record is not usable")

// Record is what is known for certain to be ours in a cluster's aws-auth. It
// is written before aws-auth is, so it may be ahead of it, never behind.
type Record struct {
	// Entries are those that we may have written: while a change is under way
	// both the old and the new ones, so the same ARN may stand there twice
	// with different digests.
	Entries []Owned
	// Originals are, by data key of aws-auth, the values without entries that
	// stood there before our first one; they come back when our last one goes.
	Originals map[string]Original
	// Rules is the last accepted rules data, verbatim; nil when none has been
	// accepted yet.
	Rules map[string]string
	// Removals are the recent ones that count towards the breaker.
	Removals []Removal
	// Seen: there was an aws-auth. Whoever deletes it may be about to make it
	// again.
	Seen bool
	// Former are earlier texts of the rules.
	Former []Former
	// Missing is since when listings lack a principal of ours, by folded ARN.
	Missing map[string]time.Time
	// Approval is the approval of removals that stood beside the rules last, as
	// the controller's annotation has it.
	Approval Approval
	// Spent are approvals that have let entries go, or that nobody needed in
	// time, the last one last. None of them counts again.
	Spent []string
	// Lost is what an earlier record may have held that was lost; nil: nothing.
	Lost *Loss
}

// Approval is an approval of removals, and since when it stands there.
type Approval struct {
	Value string    `json:"value"`
	Since time.Time `json:"since"`
}

// Loss is about a record that was lost.
type Loss struct {
	// At is when that was noticed.
	At time.Time
	// Entries stood in aws-auth then and may be ours; there is no telling.
	// AccessEntries are such principals with an access entry.
	Entries, AccessEntries []Owned
}

// Owned is one entry that we may have written.
type Owned struct {
	Kind Kind
	// ARN is the principal's, with its path.
	ARN string
	// Digest is the ContentDigest of the entry's decoded user name and groups.
	Digest string
	// Selectors are the RuleDigests of the rules that granted it; from a record
	// of version 2, SelectorDigests. Entries share them: do not modify.
	Selectors []string
	// Groups are those of the entry; nil where a record of version 2 had it.
	// Entries share them: do not modify.
	Groups []string
	// HeldSince is when its removal was first held back, or would have been for
	// the hold to be over: then it may go at once. Zero: neither.
	HeldSince time.Time
	// Out is when the entry was found to be out of the document, and Forget until
	// when it still counts as ours, should somebody write back what they had
	// before. Zero: it stands.
	Out, Forget time.Time
}

// Original is a value of aws-auth from before our first entry.
type Original struct {
	// Present tells an empty value from a missing key.
	Present bool
	// Value is the text, verbatim.
	Value string
}

// Removal counts entries that were taken out at once, because no rule granted
// them any longer.
type Removal struct {
	Kind      Kind
	AccountID string
	At        time.Time
	Count     int
}

// Encode gives the record as compressed JSON, always the same bytes for the
// same content, in whatever order entries and removals are. It refuses text
// that is not UTF-8, which it could not give back, and what DecodeRecord would
// refuse: if that is for its size, the error wraps gzipjson.ErrTooLarge.
func (r Record) Encode() ([]byte, error) {
	wire, err := r.wire()
	if err != nil {
		return nil, fmt.Errorf("encoding the record: %w", err)
	}
	if err := wire.check(); err != nil {
		return nil, err
	}
	b, err := gzipjson.Encode(wire, recordFormat())
	if err != nil {
		return nil, fmt.Errorf("encoding the record: %w", err)
	}
	return b, nil
}

// DecodeRecord reads what Encode wrote. Anything else, and what a newer
// version of this program wrote, is an error that wraps ErrRecord and no
// record at all: half a record would make somebody else's of what is ours.
func DecodeRecord(b []byte) (Record, error) {
	wire, err := gzipjson.Decode[recordJSON](b, recordFormat())
	if err != nil {
		return Record{}, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	if err := wire.check(); err != nil {
		return Record{}, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	r, err := wire.record()
	if err != nil {
		return Record{}, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	return r, nil
}
