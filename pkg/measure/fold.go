package measure

import (
	"fmt"
	"math/bits"
	"time"

	"github.com/flopwatch/flopwatch/pkg/accel"
	"github.com/flopwatch/flopwatch/pkg/compute"
)

// FoldConfig says how samples become windows.
type FoldConfig struct {
	Window time.Duration // length of an aligned slot, 10 s if 0
	Period time.Duration // expected time between samples, 1 s if 0
	MaxGap time.Duration // a longer interval is a gap, 3 × Period if 0
	Band   Band          // DefaultBand if 0
}

func (c FoldConfig) withDefaults() FoldConfig {
	if c.Window <= 0 {
		c.Window = 10 * time.Second
	}
	if c.Period <= 0 {
		c.Period = time.Second
	}
	if c.MaxGap <= 0 {
		c.MaxGap = 3 * c.Period
	}
	if c.Band == (Band{}) {
		c.Band = DefaultBand
	}
	return c
}

// Band is which share of the peak a device does while a kernel runs, in permille:
// at least, most likely and at most.
type Band struct{ Low, Best, High int }

// DefaultBand is the band of published utilization figures.
var DefaultBand = Band{bandLow, bandBest, bandHigh}

// rule names the band as windows carry it.
func (b Band) rule() string {
	return fmt.Sprintf("bf16 band %.2f/%.2f/%.2f", float64(b.Low)/1000, float64(b.Best)/1000, float64(b.High)/1000)
}

// idleShare is what an interval counts as when nobody says who held the device.
var idleShare = []Share{{State: Idle, PPM: wholePPM}}

const wholePPM = 1_000_000

// Folder folds the samples of one device into windows. It is not safe for
// concurrent use.
type Folder struct {
	device  DeviceID
	cfg     FoldConfig
	est     *estimator
	last    Sample
	started bool
	method  Method
	events  []Event
	told    map[EventKind]int64

	startNS int64 // of the window that is being filled
	entries []Entry
	dropped int64
}

// NewFolder returns a folder for a device of the given model.
func NewFolder(dev Device, model accel.Model, grade accel.Grade, cfg FoldConfig) *Folder {
	return &Folder{device: dev.ID, cfg: cfg.withDefaults(), est: newEstimator(model, grade, cfg.withDefaults().Band), method: Method{Name: NoMethod}}
}

// Offer takes what the source of the samples says: the best method that the
// device has, and why it has no better. Windows by that method give the reason.
func (f *Folder) Offer(name MethodName, reason string) { f.est.offered = offer{name, reason} }

// Method returns the method of the newest interval.
func (f *Folder) Method() Method { return f.method }

// Dropped returns how many samples were not later than the one before and were
// left out, so that no time is counted twice.
func (f *Folder) Dropped() int64 { return f.dropped }

// Observe takes the next sample. One in which nothing was read, after one in which
// something was, ends no interval. The shares describe the interval that ends at
// it; none means that nobody held the device, and what is missing to a million
// parts is unattributed. It returns the windows that the sample closes.
func (f *Folder) Observe(s Sample, shares []Share) []Window {
	if !f.started {
		f.started, f.last, f.startNS = true, s, s.TimeNS
		return nil
	}
	if s.TimeNS <= f.last.TimeNS {
		f.dropped++
		return nil
	}
	if s.silent() && !f.last.silent() {
		// Nothing was read: the interval goes on to the next sample, or becomes a gap.
		return nil
	}
	if len(shares) == 0 {
		shares = idleShare
	}
	d := time.Duration(s.TimeNS - f.last.TimeNS)
	gap := d > f.cfg.MaxGap
	iv := interval{d: d, energy: -1, estimate: f.est.interval(&f.last, &s, d, gap)}
	// Averages and utilization say nothing of a hole; only counters bridge it.
	iv.unobserved = gap && iv.method.Name != Cycles
	f.follow(&iv, s.TimeNS)
	if _, counted := growth(&f.last, &s, EnergyMJ); counted || !gap {
		if mj, ok := energyBetween(&f.last, &s, d); ok {
			iv.energy = mj
		}
	}
	var closed []Window
	for from := f.last.TimeNS; from < s.TimeNS; {
		slotEnd := (floorDiv(from, int64(f.cfg.Window)) + 1) * int64(f.cfg.Window)
		to := min(slotEnd, s.TimeNS)
		f.spread(&iv, time.Duration(to-from), shares)
		if to == slotEnd {
			closed = append(closed, f.close(to))
		}
		from = to
	}
	f.last = s
	return closed
}

// follow notes a change of method. A gap is no change: what was read before goes
// on after it.
func (f *Folder) follow(iv *interval, atNS int64) {
	if iv.unobserved {
		return
	}
	if was := f.method; was.Name != NoMethod && was.Name != iv.method.Name {
		f.tell(atNS, EventMethod, fmt.Sprintf("%s after %s: %s", iv.method.Name, was.Name, iv.method.Reason))
	}
	if f.est.doubted != "" {
		f.tell(atNS, EventCounters, f.est.doubted)
	}
	f.method = iv.method
}

// Flush closes the window that is being filled, at the time of the newest
// sample. The next sample goes on from there.
func (f *Folder) Flush() []Window {
	if !f.started || f.last.TimeNS == f.startNS {
		return nil
	}
	return []Window{f.close(f.last.TimeNS)}
}

func (f *Folder) close(endNS int64) Window {
	w := Window{Device: f.device, StartNS: f.startNS, EndNS: endNS, Entries: append([]Entry(nil), f.entries...)}
	f.entries, f.startNS = f.entries[:0], endNS
	f.crossCheck(&w)
	return w
}

// interval is what is known of the time between two samples, and how much of it
// has been spread over entries.
type interval struct {
	d    time.Duration
	done time.Duration
	estimate
	energy     int64
	unobserved bool
}

// part returns what of a total falls on the next piece of the interval. The
// parts of all pieces add up to the total exactly.
func (iv *interval) part(total int64, piece time.Duration) int64 {
	return scale(total, int64(iv.done+piece), int64(iv.d)) - scale(total, int64(iv.done), int64(iv.d))
}

// spread accounts for the next piece of the interval, share by share.
func (f *Folder) spread(iv *interval, piece time.Duration, shares []Share) {
	var ppm int
	var given time.Duration
	for i := range shares {
		ppm += max(shares[i].PPM, 0)
		upTo := time.Duration(scale(int64(piece), int64(min(ppm, wholePPM)), wholePPM))
		f.account(iv, upTo-given, piece, &shares[i])
		given = upTo
	}
	if given < piece {
		f.account(iv, piece-given, piece, &Share{State: Unattributed})
	}
}

func (f *Folder) account(iv *interval, d, piece time.Duration, share *Share) {
	if d <= 0 {
		return
	}
	// Splitting low and the two distances keeps low ≤ best ≤ high in every part.
	low := compute.Operations(iv.part(int64(iv.ops.Low), d))
	best := low + compute.Operations(iv.part(int64(iv.ops.Best-iv.ops.Low), d))
	high := best + compute.Operations(iv.part(int64(iv.ops.High-iv.ops.Best), d))
	float := compute.Operations(iv.part(int64(iv.float), d))
	energy := int64(-1)
	if iv.energy >= 0 {
		energy = iv.part(iv.energy, d)
	}
	iv.done += d

	entry := Entry{
		State: share.State, Workload: share.Workload, Tenant: share.Tenant, Method: iv.method, Duration: d,
		Operations: compute.Bounds{Low: low, Best: best, High: high}, Ceiling: f.est.ceiling.Over(d, compute.Up), EnergyMJ: energy,
		FloatTensor: min(float, best),
	}
	if share.Guessed && !iv.unobserved {
		// It may have been any of them: none of it for certain, at most all of it.
		entry.Operations.Low = 0
		entry.Operations.High = max(high, compute.Operations(scale(int64(iv.ops.High), int64(piece), int64(iv.d))))
		if entry.Method.Reason == "" {
			entry.Method.Reason = whyGuessed
		} else {
			entry.Method.Reason = f.est.reasons.join(entry.Method.Reason, whyGuessed)
		}
	}
	switch {
	case iv.unobserved:
		entry.State = Unobserved
	case share.State == Idle && iv.method.Theoretical():
		// Nobody held the device, and no reading says otherwise.
		entry.Operations, entry.FloatTensor, entry.Method = compute.Bounds{}, 0, Method{Name: NoMethod}
	case share.State == Idle && best > f.est.peak.Over(d, compute.Down)/100:
		// Work without a holder is somebody's whom we did not see.
		entry.State = Unattributed
	}
	f.add(entry)
}

// add merges an entry into the one of the same key, or appends it.
func (f *Folder) add(e Entry) {
	for i := range f.entries {
		have := &f.entries[i]
		if have.State == e.State && have.Tenant == e.Tenant && have.Workload == e.Workload && have.Method == e.Method {
			have.Duration += e.Duration
			have.Operations = have.Operations.Add(e.Operations)
			have.Ceiling = have.Ceiling.Add(e.Ceiling)
			have.FloatTensor = have.FloatTensor.Add(e.FloatTensor)
			if have.EnergyMJ >= 0 && e.EnergyMJ >= 0 {
				have.EnergyMJ += e.EnergyMJ
			} else {
				have.EnergyMJ = -1
			}
			return
		}
	}
	f.entries = append(f.entries, e)
}

// scale returns floor(total × num / den) for 0 ≤ num ≤ den and total ≥ 0.
func scale(total, num, den int64) int64 {
	hi, lo := bits.Mul64(uint64(total), uint64(num))
	q, _ := bits.Div64(hi, lo, uint64(den))
	return int64(q)
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
