// Package lab answers what a policy would find in history: which subjects reach
// which level on which day, and what changes when a line is moved. It is pure;
// the same inputs give the same bytes and the same digest on any machine.
//
// It holds packs against days. A subject reaches a level on the first day at
// whose end the level holds, which is also what live evaluation finds that day.
package lab

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sync"

	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/collector/internal/policy"
	"github.com/flopwatch/flopwatch/pkg/canonical"
	"github.com/flopwatch/flopwatch/pkg/compute"
)

// Day is what was done on one day, numbered from the first of the history.
type Day struct {
	Day        int
	Operations compute.Bounds
	Devices    int   // that did something
	ObservedS  int64 // device-seconds that were measured or allocated
	ElapsedS   int64 // and those that nobody saw with them
}

// Run is a training run by day.
type Run struct {
	ID    string
	Days  []Day // in order; days of nothing may be missing
	EndNS int64 // of its last window, Unix ns; 0 if not known
	Facts policy.Facts
}

// Customer is a customer with its runs, identified as of one date.
type Customer struct {
	ID       string
	Status   party.ForeignStatus
	Country  string
	Reseller string
	Facts    policy.Facts
	FirstUse int // day on which it first used a device; before the history it is below 0
	Runs     []Run

	Verified bool // its identity is; what is not holds up revenue
	Revenue  Revenue
}

// History is a pinned snapshot. Customers and runs are in order of their ids.
type History struct {
	FirstDay  string // as 2026-01-01
	Days      int    // that it covers
	Watermark int64  // newest committed window, Unix ns
	Identity  string // "as recorded then" or "as known now"
	Customers []Customer
	Sets      []Set  // of customers that are taken together, in order of their ids
	Made      []Made // in order
}

// Set is customers that are taken together.
type Set struct {
	ID        string
	Aggregate string // what makes them one, see policy.Subject
	Status    party.ForeignStatus
	Customers []int // indices, in order
}

// Made is a finding that there is already: no policy makes it a second time.
type Made struct{ Pack, Subject, Rule, Level string }

// Engine is the version of the rules by which this package decides. It is a part
// of every digest.
const Engine = "lab/2"

// Snapshot is a history with its digest. The history may not change after.
type Snapshot struct {
	history *History
	digest  string

	once    sync.Once
	extents []extents // of the customers
}

// extents say of a customer what no pack needs to look at its days for.
type extents struct {
	runs []Extent
	all  Extent // of its days together
}

// measured returns the extents of the customers. They are worked out once for
// all packs that are held against the snapshot.
func (s *Snapshot) measured() []extents {
	s.once.Do(func() {
		var total Summer
		s.extents = make([]extents, len(s.history.Customers))
		for i := range s.history.Customers {
			c, x := &s.history.Customers[i], &s.extents[i]
			total.Reset()
			x.runs = make([]Extent, len(c.Runs))
			for j := range c.Runs {
				days := inside(c.Runs[j].Days, s.history.Days)
				x.runs[j] = ExtentOf(days)
				total.Add(days)
			}
			x.all = ExtentOf(total.Days())
		}
	})
	return s.extents
}

// Pin digests a history, once for every simulation on it.
func Pin(h *History) (*Snapshot, error) {
	digest, err := h.Digest()
	if err != nil {
		return nil, err
	}
	return &Snapshot{history: h, digest: digest}, nil
}

// Digest identifies the history.
func (h *History) Digest() (string, error) {
	sum := sha256.New()
	head, err := canonical.Marshal([]string{Engine, h.FirstDay, fmt.Sprint(h.Days), fmt.Sprint(h.Watermark), h.Identity})
	if err != nil {
		return "", fmt.Errorf("digest of history: %w", err)
	}
	sum.Write(head)
	for i := range h.Customers {
		c := &h.Customers[i]
		fmt.Fprintf(sum, "\nc %q %q %q %q %d %d %t %q %d %d", c.ID, c.Status, c.Country, c.Reseller, len(c.Runs), c.FirstUse, c.Verified, c.Revenue.Currency, c.Revenue.BilledCents, c.Revenue.CentsPerDeviceHour)
		writeFacts(sum, c.Facts)
		for j := range c.Runs {
			r := &c.Runs[j]
			fmt.Fprintf(sum, "\nr %q %d %d", r.ID, len(r.Days), r.EndNS)
			writeFacts(sum, r.Facts)
			writeDays(sum, r.Days)
		}
	}
	for _, x := range h.Sets {
		fmt.Fprintf(sum, "\ns %q %q %q %v", x.ID, x.Aggregate, x.Status, x.Customers)
	}
	for _, m := range h.Made {
		fmt.Fprintf(sum, "\nm %q %q %q %q", m.Pack, m.Subject, m.Rule, m.Level)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
