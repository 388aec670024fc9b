package agent

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/agent/internal/probe"
	"github.com/flopwatch/flopwatch/agent/internal/sampler"
	"github.com/flopwatch/flopwatch/agent/internal/tenancy"
	"github.com/flopwatch/flopwatch/bpf"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// history is a random course of one host: processes fork, open devices, close
// them and end, leases come and go, devices are partitioned anew, lost and let go.
type history struct {
	random  *rand.Rand
	now     int64
	devices []measure.Device
	away    map[measure.DeviceID]bool // does not answer
	holders bpf.HolderTable
	alive   map[int]time.Duration // start by process
	nextPID int
	file    uint64
	leases  []tenancy.Lease
	table   *tenancy.Table // of leases, nil after a change
	counter map[measure.DeviceID]uint64
}

func (h *history) one(n int) bool { return h.random.IntN(n) == 0 }

func (h *history) process() (int, time.Duration) {
	for pid, start := range h.alive {
		return pid, start
	}
	return 0, 0
}

// change makes one thing happen.
func (h *history) change() (partitioned bool) {
	at := time.Duration(h.now)
	pid, start := h.process()
	what := h.random.IntN(9)
	if len(h.alive) > 40 {
		what = 2
	}
	switch what {
	case 0, 1: // a process starts, at times with an id that was used before
		if h.nextPID++; h.one(4) {
			h.nextPID -= h.random.IntN(min(h.nextPID, 50))
		}
		h.alive[h.nextPID] = at
		h.holders.Apply(bpf.Event{Kind: bpf.Forked, Time: at, PID: h.nextPID, Start: at, Cgroup: uint64(h.nextPID % 5), PPID: pid, Creator: pid})
	case 2: // one ends
		delete(h.alive, pid)
		h.holders.Apply(bpf.Event{Kind: bpf.Exited, Time: at, PID: pid, Start: start})
	case 3: // one opens a device
		h.file++
		h.holders.Apply(bpf.Event{Kind: bpf.Opened, Time: at, PID: pid, Start: start, Cgroup: uint64(pid % 5), File: h.file, Major: nvidiaMajor, Minor: uint32(h.random.IntN(4))})
	case 4, 5: // files are closed
		for _, held := range h.holders.Holders() {
			if h.one(3) {
				h.holders.Apply(bpf.Event{Kind: bpf.Closed, Time: at, File: held.File, Major: held.Major, Minor: held.Minor})
			}
		}
	case 6: // a lease begins, or all end
		h.table = nil
		if h.one(20) {
			h.leases = nil
		}
		kinds := []tenancy.Selector{{Kind: tenancy.Host, Value: "h"}, {Kind: tenancy.SlurmJob, Value: fmt.Sprint(h.random.IntN(5))}, {Kind: tenancy.Device, Value: "GPU-1"}}
		h.leases = append(h.leases, tenancy.Lease{
			Selector: kinds[h.random.IntN(len(kinds))], Tenant: measure.TenantID(fmt.Sprintf("t%d", h.random.IntN(3))),
			FromNS: h.now - h.random.Int64N(1e10), ToNS: h.now + h.random.Int64N(1e11),
		})
		if len(h.leases) > 30 {
			h.leases = h.leases[10:]
		}
	case 7: // a device goes or comes back
		id := h.devices[h.random.IntN(len(h.devices))].ID
		h.away[id] = !h.away[id]
	case 8:
		if h.one(10) {
			h.partition()
			return true
		}
	}
	return false
}

// partition gives the host another set of devices.
func (h *history) partition() {
	h.devices = nil
	for i := range 1 + h.random.IntN(3) {
		id := measure.DeviceID(fmt.Sprintf("GPU-%d", i))
		if h.one(3) {
			for j := range 1 + h.random.IntN(3) {
				h.devices = append(h.devices, measure.Device{ID: measure.DeviceID(fmt.Sprintf("MIG-%d-%d-%d", i, j, h.random.IntN(3))), Name: "NVIDIA H100 80GB HBM3", SMCount: 16, Parent: id})
			}
			continue
		}
		h.devices = append(h.devices, measure.Device{ID: id, Name: "NVIDIA H100 80GB HBM3", SMCount: 132})
	}
}

// readings are what the devices that answer say, and whose they were.
func (h *history) readings() []sampler.Reading {
	if h.table == nil {
		h.table = tenancy.NewTable(h.leases)
	}
	holders := h.holders.Holders()
	var out []sampler.Reading
	for i, d := range h.devices {
		if h.away[d.ID] {
			continue
		}
		s := measure.NewSample(d.ID, h.now)
		s.SetGauge(measure.SMClockMHz, 1980)
		if h.counter[d.ID] += h.random.Uint64N(2e9); h.one(50) {
			h.counter[d.ID] = 0 // the driver was loaded anew
		}
		s.SetCounter(measure.CycSMElapsed, h.counter[d.ID])
		s.SetCounter(measure.CycHMMA, h.counter[d.ID]/3)
		subject := tenancy.SubjectOf("h", d)
		var held []tenancy.Process
		for _, holder := range holders {
			if holder.Minor != uint32(i) {
				continue
			}
			job := fmt.Sprint(holder.Cgroup)
			p := probe.Process{PID: holder.PID, UID: -1, Names: probe.Names{SlurmJob: job}, Workload: measure.Workload{Kind: measure.KindSlurmJob, ID: job}}
			if h.one(10) {
				p = probe.Process{} // gone before it could be looked up
			}
			held = append(held, tenancy.Held(subject, p, h.random.Float64()*110-5))
		}
		out = append(out, sampler.Reading{Sample: s, Shares: tenancy.Shares(held, h.table, h.now)})
	}
	return out
}

// TestAttributionBalances is invariant I1 over 100,000 steps of random history:
// the windows of each device follow each other without overlap, and each balances
// to the nanosecond.
func TestAttributionBalances(t *testing.T) {
	steps := 100_000
	if testing.Short() {
		steps = 10_000
	}
	h := &history{
		random: rand.New(rand.NewPCG(4, 2)), now: 1_790_000_000_000_000_000,
		away: map[measure.DeviceID]bool{}, alive: map[int]time.Duration{}, counter: map[measure.DeviceID]uint64{},
	}
	h.partition()
	host := sampler.New(h.devices, measure.FoldConfig{})
	ends := map[measure.DeviceID]int64{}
	states := map[measure.State]time.Duration{}
	var accounted, spanned time.Duration
	check := func(windows []measure.Window) {
		for _, w := range windows {
			if !w.Balanced() {
				t.Fatalf("window %+v does not balance", w)
			}
			if w.StartNS < ends[w.Device] {
				t.Fatalf("window of %s at %d begins before the one before ended, %d", w.Device, w.StartNS, ends[w.Device])
			}
			ends[w.Device] = w.EndNS
			spanned += w.Elapsed()
			for _, e := range w.Entries {
				accounted += e.Duration
				states[e.State] += e.Duration
				// Time in which nobody looked keeps who had the device after it.
				if known := e.Tenant != ""; e.State != measure.Unobserved && known != (e.State == measure.Attributed) {
					t.Fatalf("entry %+v", e)
				}
			}
		}
	}
	for range steps {
		h.now += int64(time.Millisecond) * (1 + h.random.Int64N(1500))
		for range h.random.IntN(4) {
			if h.change() {
				check(host.Replace(h.devices))
			}
		}
		check(host.Step(h.readings()))
	}
	check(host.Flush())
	if accounted != spanned {
		t.Errorf("%s accounted for of %s", accounted, spanned)
	}
	t.Logf("%d steps: attributed %s, idle %s, unattributed %s, unobserved %s", steps,
		states[measure.Attributed], states[measure.Idle], states[measure.Unattributed], states[measure.Unobserved])
	for _, s := range []measure.State{measure.Attributed, measure.Idle, measure.Unattributed, measure.Unobserved} {
		if states[s] < time.Duration(steps)*6*time.Millisecond {
			t.Errorf("%s for %s only: the history does not test it", s, states[s])
		}
	}
}
