package measure

import (
	"fmt"
	"time"
)

// EventKind says what happened to a device or host beside its figures.
type EventKind string

// The kinds of event. Those of one device carry its id.
const (
	EventMethod          EventKind = "method_changed"      // another estimate method is in use
	EventCounters        EventKind = "counters_distrusted" // a reading cannot be true; Detail says which
	EventEnergy          EventKind = "energy_disagrees"    // operations and energy of a window cannot both be right
	EventXid             EventKind = "xid"                 // the driver reported an error; Code is the Xid
	EventECC             EventKind = "ecc_uncorrected"     // Code is how many more memory errors there are
	EventLost            EventKind = "device_lost"
	EventBack            EventKind = "device_back"
	EventDevices         EventKind = "devices_changed" // devices or partitions came or went
	EventDriver          EventKind = "driver_changed"
	EventReader          EventKind = "reader_restarted" // the process that reads the devices was replaced
	EventReleased        EventKind = "released"         // an operator asked the agent to let go of the device
	EventResumed         EventKind = "resumed"
	EventMissed          EventKind = "process_events_missed" // Code is how many; who held a device may be unattributed
	EventCommunicator    EventKind = "communicator_joined"   // Code is how many ranks; Detail names hash, rank and workload
	EventImage           EventKind = "image_seen"            // Detail names a hash of the image and the workload that runs it
	EventReadCheckpoint  EventKind = "checkpoint_read"       // Detail names a hash of it and the workload that read it
	EventWroteCheckpoint EventKind = "checkpoint_written"    // likewise, that wrote it
	// Time that leases are about and that nobody's tenant got: Code is milliseconds,
	// Detail says why, whose workload, and whether the split was measured.
	EventUndecided    EventKind = "tenant_undecided"
	EventDropped      EventKind = "batches_dropped"   // the spool was full; Code is how many, Detail of which times
	EventCanary       EventKind = "canary_missed"     // what watches processes did not see the agent's own; Code is for how many seconds
	EventConfidential EventKind = "confidential_mode" // Code 1: the device computes in confidential mode
)

// Event is something that bears on how figures are to be read.
type Event struct {
	TimeNS int64    // Unix nanoseconds, UTC
	Device DeviceID // "" for the host
	Kind   EventKind
	Code   int64
	Detail string // for people, at most 256 bytes
}

// quiet is how long a kind of event of one device stays silent after it was
// told, so that a reading that flickers is not a flood.
const quiet = int64(time.Minute)

// tell keeps an event until Events takes it.
func (f *Folder) tell(atNS int64, kind EventKind, detail string) {
	if last, told := f.told[kind]; told && atNS-last < quiet {
		return
	}
	if f.told == nil {
		f.told = map[EventKind]int64{}
	}
	f.told[kind] = atNS
	f.events = append(f.events, Event{TimeNS: atNS, Device: f.device, Kind: kind, Detail: detail})
}

// Events returns what happened since the last call, in order. The slice is valid
// until the next Observe.
func (f *Folder) Events() []Event {
	events := f.events
	f.events = f.events[:0]
	return events
}

// crossCheckFrom is the shortest observed time that is checked: power readings
// are averages of about a second.
const crossCheckFrom = 5 * time.Second

// The most work that energy can pay for, in multiples of the peak's share: at
// its power limit a board reaches its peak at most, so a share of the peak that
// is this many times the share of power is not possible.
const efficiencyLimit = 2.5

// crossCheck compares the operations of a window with its energy.
func (f *Folder) crossCheck(w *Window) {
	var d time.Duration
	var mj, best int64
	for i := range w.Entries {
		e := &w.Entries[i]
		if e.State == Unobserved || e.Method.Theoretical() || e.Method.Precision == ruleEnergy {
			continue
		}
		if e.EnergyMJ < 0 {
			return
		}
		d, mj, best = d+e.Duration, mj+e.EnergyMJ, best+int64(e.Operations.Best)
	}
	peak := f.est.peak.OpsPerSecond() / 1e9 * d.Seconds()
	if d < crossCheckFrom || peak <= 0 || f.est.model.TDPWatts <= 0 {
		return
	}
	use, load := float64(best)/peak, float64(mj)/1e3/d.Seconds()/float64(f.est.model.TDPWatts)
	if use > 0.05 && use > efficiencyLimit*load {
		f.tell(w.EndNS, EventEnergy, fmt.Sprintf("operations at %.0f %% of the peak with power at %.0f %% of the limit", 100*use, 100*load))
	}
}
