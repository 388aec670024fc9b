// Package ledgertest makes up histories of hosts for tests: gaps, restarts,
// overlaps, clocks that step, shared devices, windows of a nanosecond.
package ledgertest

import (
	"fmt"
	"time"

	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// Step is one window that one host reports.
type Step struct {
	Host   ledger.HostID
	Window measure.Window
}

const (
	peak    = compute.Rate(989_000_000)
	ceiling = compute.Rate(1_979_000_000)
	startNS = int64(1_700_000_000_000_000_000)
)

// Device is the row of the device with the given id.
func Device(id measure.DeviceID) ledger.Device {
	return ledger.Device{
		Device: measure.Device{ID: id, Name: "Made Up 80GB", SMCount: 132, MaxSMMHz: 1980},
		SKU:    "made-up", Grade: "A", Peak: peak, Ceiling: ceiling,
	}
}

// History makes up n windows. intn must return a number in [0, n).
func History(n int, intn func(n int) int) []Step {
	hosts, devices := 1+intn(3), 1+intn(4)
	next := map[string]int64{}
	steps := make([]Step, 0, n)
	for range n {
		host := ledger.HostID(fmt.Sprintf("host%d", intn(hosts)))
		device := measure.DeviceID(fmt.Sprintf("GPU-%d", intn(devices)))
		at, ok := next[string(host)+string(device)]
		if !ok {
			at = startNS + int64(intn(1_000_000_000))
		}
		switch intn(12) {
		case 0:
			at += 1 + int64(intn(int(time.Minute))) // a hole
		case 1:
			at += int64(time.Hour) * int64(1+intn(400*24)) // the clock jumps ahead
		case 2:
			at -= 1 + int64(intn(int(20*time.Second))) // overlap
		case 3:
			at -= int64(time.Hour) * int64(1+intn(24)) // the clock is set back
		}
		length := int64(10 * time.Second)
		if intn(3) == 0 {
			length = 1 + int64(intn(int(30*time.Second)))
		}
		w := measure.Window{Device: device, StartNS: at, EndNS: at + length, Entries: entries(length, intn)}
		next[string(host)+string(device)] = w.EndNS
		steps = append(steps, Step{host, w})
	}
	return steps
}

func entries(length int64, intn func(n int) int) []measure.Entry {
	var all []measure.Entry
	for parts := 1 + intn(3); parts > 0; parts-- {
		ns := length
		if parts > 1 {
			ns = int64(intn(int(length) + 1))
		}
		length -= ns
		high := ceiling.Over(time.Duration(ns), compute.Up)
		e := measure.Entry{
			State: measure.State(1 + intn(4)), Method: measure.Method{Name: measure.NoMethod},
			Duration: time.Duration(ns), Ceiling: peak.Over(time.Duration(ns), compute.Nearest), EnergyMJ: int64(intn(3)*1000 - 1),
		}
		switch e.State {
		case measure.Unobserved:
			e.Operations = compute.Bounds{Best: high / 2, High: high}
		case measure.Attributed, measure.Unattributed:
			e.Operations = compute.Bounds{Low: high / 4, Best: high / 3, High: high}
			e.Method = measure.Method{Name: measure.GPM, Version: 1, Grade: "A"}
			e.Workload = measure.Workload{Kind: measure.KindSlurmJob, ID: fmt.Sprint(intn(2))}
			if e.State == measure.Attributed {
				e.Tenant = measure.TenantID(fmt.Sprintf("tenant-%d", intn(2)))
			}
		}
		all = append(all, e)
	}
	return all
}

// Batches cuts a history into batches in its order. cut says whether a batch
// ends after a step; it ends in any case where the host changes.
func Batches(steps []Step, cut func() bool) []*ledger.Batch {
	var all []*ledger.Batch
	at := map[ledger.HostID]ledger.Position{}
	var b *ledger.Batch
	for _, s := range steps {
		if b == nil || b.Host != s.Host {
			p := at[s.Host]
			p.Epoch, p.Seq = 1, p.Seq+1
			p.Hash = [32]byte{byte(p.Seq), byte(p.Seq >> 8)}
			at[s.Host] = p
			b = &ledger.Batch{Host: s.Host, PublicKey: make([]byte, 32), Name: string(s.Host), BootID: "boot", Position: p}
			all = append(all, b)
		}
		if !described(b.Devices, s.Window.Device) {
			b.Devices = append(b.Devices, Device(s.Window.Device))
		}
		b.Windows = append(b.Windows, s.Window)
		if cut() {
			b = nil
		}
	}
	return all
}

func described(rows []ledger.Device, id measure.DeviceID) bool {
	for _, d := range rows {
		if d.ID == id {
			return true
		}
	}
	return false
}

// Rows keeps what a ledger gives out, as a store would.
type Rows struct {
	Hosts    map[int64]ledger.Host
	Accounts map[int64]ledger.Account
	Segments map[int64]ledger.Segment
	Carried  map[int64][]byte
}

// NewRows returns no rows.
func NewRows() *Rows {
	return &Rows{map[int64]ledger.Host{}, map[int64]ledger.Account{}, map[int64]ledger.Segment{}, map[int64][]byte{}}
}

// Write takes changes in. It panics when a segment is opened twice or extended
// before it was opened.
func (r *Rows) Write(c ledger.Changes) {
	for _, h := range c.Hosts {
		r.Hosts[h.No] = h
	}
	for _, a := range c.Accounts {
		r.Accounts[a.No] = a
	}
	for _, s := range c.Opened {
		if _, ok := r.Segments[s.ID]; ok {
			panic(fmt.Sprintf("segment %d is opened twice", s.ID))
		}
		r.Segments[s.ID] = s
	}
	for _, s := range c.Extended {
		if _, ok := r.Segments[s.ID]; !ok {
			panic(fmt.Sprintf("segment %d is extended before it was opened", s.ID))
		}
		r.Segments[s.ID] = s
	}
	for _, no := range c.Settled {
		delete(r.Carried, no)
	}
	for _, k := range c.Carried {
		r.Carried[k.HostNo] = k.State
	}
}

// State returns what a ledger goes on from.
func (r *Rows) State() ledger.State {
	var s ledger.State
	for _, h := range r.Hosts {
		s.Hosts = append(s.Hosts, h)
	}
	for _, a := range r.Accounts {
		s.Accounts = append(s.Accounts, a)
	}
	for _, g := range r.Segments {
		s.LastSegment = max(s.LastSegment, g.ID)
		if g.EndNS == r.Accounts[g.DeviceNo].LastNS {
			s.Open = append(s.Open, g)
		}
	}
	for no, state := range r.Carried {
		s.Carried = append(s.Carried, ledger.Carried{HostNo: no, State: state})
	}
	return s
}
