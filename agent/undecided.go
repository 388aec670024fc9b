package agent

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/agent/internal/sampler"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

const (
	// undecidedEvery is how often undecided time is told.
	undecidedEvery = time.Minute
	// maxUndecided is how many lines are told at once, the longest times.
	maxUndecided = 16
	// maxStep bounds the time since the sample before: a longer one was a gap.
	maxStep = 10 * time.Second
)

// undecided adds up device time that leases are about and could not give to a
// tenant, by why, and whether the split over holders was measured. The time itself
// is unattributed in the windows; this says what to repair.
type undecided struct {
	told  time.Time
	last  map[measure.DeviceID]int64 // time of the newest sample
	times map[doubtful]int64         // ns
}

type doubtful struct {
	device   measure.DeviceID
	doubt    measure.Doubt
	workload measure.Workload
	guessed  bool
}

// add takes the readings of one step.
func (u *undecided) add(readings []sampler.Reading) {
	if u.last == nil {
		u.last, u.times = map[measure.DeviceID]int64{}, map[doubtful]int64{}
	}
	for i := range readings {
		s := &readings[i].Sample
		before, seen := u.last[s.Device]
		step := s.TimeNS - before
		u.last[s.Device] = s.TimeNS
		if !seen || step <= 0 || step > int64(maxStep) {
			continue
		}
		for _, share := range readings[i].Shares {
			if share.Open != "" {
				u.times[doubtful{s.Device, share.Open, share.Workload, share.Guessed}] += step / 1_000_000 * int64(share.PPM)
			}
		}
	}
}

// events tells what was added since the last time, once a minute.
func (u *undecided) events(now time.Time) []measure.Event {
	if len(u.times) == 0 || now.Sub(u.told) < undecidedEvery {
		return nil
	}
	u.told = now
	var out []measure.Event
	for d, ns := range u.times {
		text := string(d.doubt)
		if w := strings.TrimSpace(string(d.workload.Kind) + " " + d.workload.ID); w != "" {
			text += ": " + w
		}
		if d.guessed {
			text += ", one of several holders, split not measured"
		}
		out = append(out, measure.Event{TimeNS: now.UnixNano(), Device: d.device, Kind: measure.EventUndecided, Code: ns / int64(time.Millisecond), Detail: text})
	}
	slices.SortFunc(out, func(a, b measure.Event) int {
		return cmp.Or(cmp.Compare(b.Code, a.Code), cmp.Compare(a.Device, b.Device), cmp.Compare(a.Detail, b.Detail))
	})
	if n := len(out) - maxUndecided; n > 0 {
		var rest int64
		for _, e := range out[maxUndecided:] {
			rest += e.Code
		}
		out = append(out[:maxUndecided], measure.Event{TimeNS: now.UnixNano(), Kind: measure.EventUndecided, Code: rest, Detail: fmt.Sprintf("%d more of devices and workloads", n)})
	}
	clear(u.times)
	return out
}
