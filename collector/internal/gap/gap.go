// Package gap finds silence: hosts and devices that should report and do not,
// clocks that are wrong, and boots without a reason. What is missing is charged
// by the ledger at the ceiling; this package says that it is missing, since when,
// and how it looks. It is pure: time is an argument.
//
// The rules carry the numbers under which they are documented (docs/gaps.md).
package gap

import (
	"cmp"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// Rule names a rule.
type Rule string

// The rules.
const (
	SilentHost        Rule = "G1 silent host"
	MissingDevice     Rule = "G4 missing device"
	ZeroWithPower     Rule = "G5 no use with power"
	CounterBreak      Rule = "G6 counter break"
	ManyBoots         Rule = "G7 boots without a reason"
	WrongClock        Rule = "G8 clock"
	LateFlood         Rule = "G9 late"
	CorrelatedSilence Rule = "G10 correlated silence"
	MissingCanary     Rule = "G11 canary"
	LowCoverage       Rule = "G12 coverage"
)

// When rules hold. Silence is counted from when something valid last came.
const (
	SilentWarning = 90 * time.Second
	SilentFinding = 15 * time.Minute
	SilentReport  = 24 * time.Hour
	DeviceMissing = 2 * time.Minute
	BootsPerDay   = 3
	ClockOff      = 5 * time.Minute
	Late          = time.Hour
	Correlated    = 10 * time.Minute
	CorrelatedMin = 3
)

// Seen is a device and the end of its newest window.
type Seen struct {
	Device measure.DeviceID
	LastNS int64
}

// Report is what one checkpoint says of a host.
type Report struct {
	Host       ledger.HostID
	ReceivedNS int64 // by the collector's clock
	LastNS     int64 // end of the host's newest window, by its clock
	BootID     string
	Epoch      uint64
	Devices    []Seen
	Idle       []Idle
	Events     []measure.Event
}

// Expected is a host that should report over a time, and the devices that it
// should have, where they are known.
type Expected struct {
	Host    ledger.HostID
	Site    string
	FromNS  int64
	Devices []measure.DeviceID
}

// Finding is silence, or what makes a report hard to believe.
type Finding struct {
	ID       string // follows from rule, level and what it is about: the same silence has one
	Rule     Rule
	Level    string // warning, finding or report
	Severity string // info, warning, high, critical
	Host     ledger.HostID
	Device   measure.DeviceID // "" for the host
	SinceNS  int64
	Cause    string // network, declared, unknown
	Reason   string
}

// host is what is remembered of a host.
type host struct {
	received int64
	last     int64
	boot     string
	epoch    uint64
	starts   []int64 // when new boots and epochs were seen, the last day's
	devices  map[measure.DeviceID]int64
	released map[measure.DeviceID]bool // an operator asked the agent to let go
}

// Watch remembers what hosts reported. It belongs to one goroutine.
type Watch struct {
	sinceNS int64 // when watching began: silence before is not known
	hosts   map[ledger.HostID]*host
}

// New returns a watch that begins at an instant of the collector's clock.
func New(nowNS int64) *Watch {
	return &Watch{sinceNS: nowNS, hosts: map[ledger.HostID]*host{}}
}

// Begin says that silence before an instant is not known, but for who was heard of.
func (w *Watch) Begin(nowNS int64) { w.sinceNS = nowNS }

// Hear takes that something came of a host, elsewhere: lastNS is the end of its newest
// window. It counts as received when that has moved.
func (w *Watch) Hear(id ledger.HostID, receivedNS, lastNS int64, devices map[measure.DeviceID]int64) {
	h := w.hosts[id]
	if h == nil {
		// When it came is not known: before watching began.
		w.hosts[id] = &host{last: lastNS, devices: devices, released: map[measure.DeviceID]bool{}}
		return
	}
	if lastNS > h.last {
		h.received, h.last = max(h.received, receivedNS), lastNS
	}
	for device, ns := range devices {
		h.devices[device] = max(h.devices[device], ns)
	}
}

// Report takes what came and returns what it makes hard to believe.
func (w *Watch) Report(r Report) []Finding {
	var found []Finding
	h := w.hosts[r.Host]
	if h == nil {
		h = &host{boot: r.BootID, epoch: r.Epoch, devices: map[measure.DeviceID]int64{}, released: map[measure.DeviceID]bool{}}
		w.hosts[r.Host] = h
	}
	if h.boot == "" && h.epoch == 0 { // it was heard of only
		h.boot, h.epoch = r.BootID, r.Epoch
	}
	if r.BootID != h.boot || r.Epoch != h.epoch {
		h.starts = append(h.starts, r.ReceivedNS)
		h.starts = slices.DeleteFunc(h.starts, func(ns int64) bool { return ns <= r.ReceivedNS-int64(24*time.Hour) })
		h.boot, h.epoch = r.BootID, r.Epoch
		if len(h.starts) > BootsPerDay {
			found = append(found, finding(ManyBoots, "finding", "high", r.Host, "", dayOf(r.ReceivedNS), "unknown",
				fmt.Sprintf("the host or its agent started %d times within a day", len(h.starts))))
		}
	}
	switch off := time.Duration(r.LastNS - r.ReceivedNS); {
	case off > ClockOff:
		found = append(found, finding(WrongClock, "warning", "warning", r.Host, "", dayOf(r.ReceivedNS), "unknown",
			fmt.Sprintf("its newest window ends %s in the future: its clock is ahead, or it was set", off.Round(time.Second))))
	case r.LastNS < h.last-int64(ClockOff):
		found = append(found, finding(WrongClock, "warning", "warning", r.Host, "", dayOf(r.ReceivedNS), "unknown",
			fmt.Sprintf("its windows went back by %s: its clock was set", time.Duration(h.last-r.LastNS).Round(time.Second))))
	case -off > Late && r.LastNS > h.last:
		found = append(found, finding(LateFlood, "finding", "info", r.Host, "", dayOf(r.LastNS), "network",
			fmt.Sprintf("batches arrive %s late: the spool is being emptied", (-off).Round(time.Minute))))
	}
	found = append(found, h.power(r)...)
	found = append(found, h.events(r)...)
	h.received, h.last = max(h.received, r.ReceivedNS), r.LastNS
	for _, d := range r.Devices {
		h.devices[d.Device] = max(h.devices[d.Device], d.LastNS)
	}
	return found
}

// Tick returns what is silent at an instant of the collector's clock. The same
// silence is told at every call, under the same id.
func (w *Watch) Tick(nowNS int64, expected []Expected) []Finding {
	var found []Finding
	silent := map[string][]Finding{} // by site: those silent for long
	alive := map[string]int{}
	for _, e := range expected {
		h := w.hosts[e.Host]
		since := max(w.sinceNS, e.FromNS)
		if h != nil {
			since = max(since, h.received)
		}
		quiet := time.Duration(nowNS - since)
		if quiet <= SilentWarning {
			alive[e.Site]++
			found = append(found, w.missing(e, h)...)
			continue
		}
		f := silence(e.Host, since, quiet)
		found = append(found, f)
		if quiet > SilentFinding {
			silent[e.Site] = append(silent[e.Site], f)
		}
	}
	for _, site := range slices.Sorted(maps.Keys(silent)) {
		found = append(found, together(site, silent[site], alive[site])...)
	}
	return found
}

func silence(id ledger.HostID, since int64, quiet time.Duration) Finding {
	level, severity := "warning", "warning"
	switch {
	case quiet > SilentReport:
		level, severity = "report", "critical"
	case quiet > SilentFinding:
		level, severity = "finding", "high"
	}
	return finding(SilentHost, level, severity, id, "", since, "unknown", fmt.Sprintf("nothing valid came for %s", threshold(level)))
}

// threshold is how long a level says that nothing came, so that the words of a
// finding do not depend on when it was looked for.
func threshold(level string) string {
	switch level {
	case "report":
		return "more than 24 hours"
	case "finding":
		return "more than 15 minutes"
	}
	return "more than 90 seconds"
}

// missing finds devices that a host that is alive does not report.
func (w *Watch) missing(e Expected, h *host) []Finding {
	if h == nil {
		return nil
	}
	var found []Finding
	for _, id := range e.Devices {
		last, known := h.devices[id]
		since := last
		if !known {
			since = e.FromNS
		}
		if h.last-since <= int64(DeviceMissing) {
			continue
		}
		what := "is not in its reports any more"
		if !known {
			what = "was never in its reports"
		}
		cause := "unknown"
		if h.released[id] {
			cause = "declared"
		}
		found = append(found, finding(MissingDevice, "finding", "high", e.Host, id, since, cause, fmt.Sprintf("device %s of the inventory %s, while the host is alive", id, what)))
	}
	return found
}

// together finds hosts of one site that fell silent at about the same time.
func together(site string, silent []Finding, alive int) []Finding {
	slices.SortFunc(silent, func(a, b Finding) int { return cmp.Or(cmp.Compare(a.SinceNS, b.SinceNS), cmp.Compare(a.Host, b.Host)) })
	var found []Finding
	for first := 0; first < len(silent); {
		end := first + 1
		for end < len(silent) && silent[end].SinceNS-silent[first].SinceNS <= int64(Correlated) {
			end++
		}
		if n := end - first; n >= CorrelatedMin {
			reason, cause := fmt.Sprintf("%d hosts of site %q fell silent within %s, while others report", n, site, Correlated), "unknown"
			if alive == 0 && n == len(silent) {
				reason, cause = fmt.Sprintf("all %d hosts of site %q fell silent within %s: look at the network and at this collector first", n, site, Correlated), "network"
			}
			found = append(found, finding(CorrelatedSilence, "finding", "critical", silent[first].Host, "", silent[first].SinceNS, cause, reason))
		}
		first = end
	}
	return found
}

func dayOf(ns int64) int64 { return ns - ns%int64(24*time.Hour) }

func finding(rule Rule, level, severity string, id ledger.HostID, device measure.DeviceID, sinceNS int64, cause, reason string) Finding {
	sum := sha256.Sum256([]byte(strings.Join([]string{string(rule), level, string(id), string(device), fmt.Sprint(sinceNS)}, "\x00")))
	return Finding{ID: "fnd_" + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:20], Rule: rule, Level: level, Severity: severity,
		Host: id, Device: device, SinceNS: sinceNS, Cause: cause, Reason: reason}
}
