package lab

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/party"
)

// Revenue is what is known of a customer's money: what it was billed over the
// history, or its price. Zero values are not known.
type Revenue struct {
	Currency           string // as USD
	BilledCents        int64  // over the days of the history
	CentsPerDeviceHour int64  // where no totals were imported
}

// Cents returns what the customer carries, given its device-seconds, and whether
// that is known.
func (r Revenue) Cents(deviceSeconds int64) (int64, bool) {
	switch {
	case r.Currency == "":
		return 0, false
	case r.BilledCents > 0:
		return r.BilledCents, true
	case r.CentsPerDeviceHour > 0:
		return deviceSeconds / 3600 * r.CentsPerDeviceHour, true
	}
	return 0, false
}

// Carried is what a group of customers carries over the history.
type Carried struct {
	Customers     int              `json:"customers"`
	DeviceSeconds int64            `json:"device_seconds"`
	Cents         map[string]int64 `json:"cents"`         // by currency
	NoPrice       int              `json:"without_price"` // customers of whom no price or total is known
}

func (c *Carried) add(deviceSeconds int64, r Revenue) {
	c.Customers++
	c.DeviceSeconds += deviceSeconds
	if cents, known := r.Cents(deviceSeconds); known {
		if c.Cents == nil {
			c.Cents = map[string]int64{}
		}
		c.Cents[r.Currency] += cents
	} else {
		c.NoPrice++
	}
}

// Exposure is what not reporting what crosses may cost, at most.
type Exposure struct {
	Basis      string `json:"basis"`
	Citation   string `json:"citation"`
	Kind       string `json:"kind"`
	Currency   string `json:"currency"`
	Violations int    `json:"violations"`
	Amount     int64  `json:"amount"` // whole units, altogether
	// ByTransaction counts the violations for which a multiple of what the customer
	// paid is more than the fixed amount.
	ByTransaction int `json:"by_transaction,omitempty"`
}

// Money is what the change means for business.
type Money struct {
	All      Carried `json:"all"`      // every customer of the snapshot
	Affected Carried `json:"affected"` // of the changes
	// HeldUp are the affected whose identity is not verified.
	HeldUp         Carried    `json:"held_up"`
	HeldUpPermille int        `json:"held_up_permille"` // of the affected device-seconds
	ByVerification Carried    `json:"freed_by_verification"`
	ByExemption    Carried    `json:"freed_by_exemption"`
	Exposure       []Exposure `json:"exposure"`
}

// carried adds up what customers carry, and those of them that are affected. A
// verification frees customers of whom it is not determined whether they are
// foreign: as US persons the rules would not apply. An exemption frees those that
// are foreign.
func carried(h *History, affected []string) Money {
	var m Money
	slices.Sort(affected)
	for i := range h.Customers {
		c := &h.Customers[i]
		seconds := c.deviceSeconds()
		m.All.add(seconds, c.Revenue)
		if _, is := slices.BinarySearch(affected, c.ID); !is {
			continue
		}
		m.Affected.add(seconds, c.Revenue)
		if !c.Verified {
			m.HeldUp.add(seconds, c.Revenue)
		}
		switch c.Status {
		case party.Foreign:
			m.ByExemption.add(seconds, c.Revenue)
		case party.Undetermined, "":
			m.ByVerification.add(seconds, c.Revenue)
		}
	}
	if m.Affected.DeviceSeconds > 0 {
		m.HeldUpPermille = int(m.HeldUp.DeviceSeconds * 1000 / m.Affected.DeviceSeconds)
	}
	return m
}

func (c *Customer) deviceSeconds() (seconds int64) {
	for i := range c.Runs {
		for j := range c.Runs[i].Days {
			seconds += c.Runs[i].Days[j].ElapsedS
		}
	}
	return seconds
}

// exposure adds up the penalties of what starts a clock.
func exposure(in Inputs, r *Impact) []Exposure {
	crossed := map[string]bool{} // customers with a clock that starts
	for _, p := range r.Findings {
		if p.Clock != "" {
			crossed[p.Customer] = true
		}
	}
	paid := map[string]Carried{}
	for i := range in.Snapshot.history.Customers {
		if c := &in.Snapshot.history.Customers[i]; crossed[c.ID] {
			one := Carried{}
			one.add(c.deviceSeconds(), c.Revenue)
			paid[c.ID] = one
		}
	}
	var out []Exposure
	for _, x := range in.After.PenaltiesOn(in.From.UTC().Format(time.DateOnly)) {
		e := Exposure{Basis: x.Basis, Citation: x.Citation, Kind: x.Kind, Currency: x.Currency}
		for _, customer := range slices.Sorted(maps.Keys(crossed)) {
			if e.Violations++; !x.PerViolation && e.Violations > 1 {
				continue
			}
			amount := x.Amount
			if multiple := int64(float64(paid[customer].Cents[x.Currency]) / 100 * x.Transaction); multiple > amount {
				amount = multiple
				e.ByTransaction++
			}
			e.Amount += amount
		}
		out = append(out, e)
	}
	slices.SortStableFunc(out, func(a, b Exposure) int { return cmp.Compare(a.Kind, b.Kind) })
	return out
}
