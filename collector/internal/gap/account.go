package gap

import (
	"fmt"
	"time"

	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// When the rules about figures hold.
const (
	IdleLongEnough = 2 * time.Minute
	CanaryMissing  = 2 * time.Minute // before the agent tells
	IdlePowerShare = 0.4             // of the board's power limit; boards without work stay below a quarter of it
	CoverageOfDay  = 0.99            // of the device time that was expected
)

// Idle is a stretch in which a device is said to have done nothing.
type Idle struct {
	Device   measure.DeviceID
	StartNS  int64
	Duration time.Duration
	EnergyMJ int64 // -1 if unknown
	LimitW   int64 // the board's power limit, 0 if unknown
}

// power finds devices that draw power and are said to do nothing.
func (h *host) power(r Report) (found []Finding) {
	for _, i := range r.Idle {
		if i.Duration < IdleLongEnough || i.EnergyMJ < 0 || i.LimitW <= 0 {
			continue
		}
		watts := float64(i.EnergyMJ) / 1e3 / i.Duration.Seconds()
		if share := watts / float64(i.LimitW); share > IdlePowerShare {
			found = append(found, finding(ZeroWithPower, "finding", "high", r.Host, i.Device, i.StartNS, "unknown",
				fmt.Sprintf("device %s is said to do nothing and draws more than %.0f %% of its power limit", i.Device, 100*IdlePowerShare)))
		}
	}
	return found
}

// events heeds what the host reports of itself.
func (h *host) events(r Report) (found []Finding) {
	for i := range r.Events {
		e := &r.Events[i]
		switch e.Kind {
		case measure.EventReleased:
			h.released[e.Device] = true
		case measure.EventResumed, measure.EventBack:
			delete(h.released, e.Device)
		case measure.EventCanary:
			found = append(found, finding(MissingCanary, "finding", "high", r.Host, "", dayOf(e.TimeNS), "unknown",
				fmt.Sprintf("what watches its processes did not see the agent's own for more than %s: it is blind, or was blinded", CanaryMissing)))
		case measure.EventCounters:
			found = append(found, finding(CounterBreak, "finding", "warning", r.Host, e.Device, dayOf(e.TimeNS), "unknown",
				fmt.Sprintf("a reading of device %s cannot be true: %s", e.Device, e.Detail)))
		}
	}
	return found
}

// Coverage returns the finding that too little of a host's device time of a day
// was observed, nil if enough was. Nothing was missed of nothing.
func Coverage(id ledger.HostID, dayNS int64, expected, observed time.Duration) *Finding {
	if expected <= 0 || float64(observed) >= CoverageOfDay*float64(expected) {
		return nil
	}
	f := finding(LowCoverage, "finding", "warning", id, "", dayNS, "unknown",
		fmt.Sprintf("%.1f %% of its device time of the day was observed, %.0f %% is expected", 100*float64(observed)/float64(expected), 100*CoverageOfDay))
	return &f
}
