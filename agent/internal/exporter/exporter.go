// Package exporter shows what the agent reads and counts as Prometheus metrics,
// under names and labels that dashboards for NVIDIA's exporter know.
//
// A reading that is not there is not exported: a gap in a graph is true, a zero
// is not. Tenants are the opaque ids of leases; processes, names of workloads
// and addresses are not shown at all.
package exporter

import (
	"sync"
	"time"

	"github.com/flopwatch/flopwatch/agent/internal/nvml"
	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// maxSeries bounds the sums that are kept. Beyond it new tenants of a device
// share one series without a name, and how often that was is a metric.
const maxSeries = 5_000

// Exporter keeps the newest reading of each device and the sums since the start.
// It is safe for concurrent use.
type Exporter struct {
	hostname string
	version  string

	mu       sync.Mutex
	devices  []*device
	byID     map[measure.DeviceID]*device
	sums     map[sumKey]*sum
	order    []sumKey // of sums, as they appeared
	overflow int64
	waiting  int // batches without a receipt, -1 if not known
}

// device is one device with its newest reading.
type device struct {
	labels    string           // rendered, without braces
	tenant    measure.TenantID // who alone held it in the newest interval, "" if nobody did
	memory    int64            // MiB
	sample    measure.Sample
	condition nvml.Condition
	seen      bool // sample and condition hold
	up        bool
	xid       int64 // newest, -1 if there was none
}

type sumKey struct {
	device           measure.DeviceID
	tenant           measure.TenantID
	state            measure.State
	method           measure.MethodName
	precision, grade string
}

type sum struct {
	ops  compute.Bounds
	time time.Duration
}

// New returns an exporter for a host.
func New(hostname, version string) *Exporter {
	return &Exporter{hostname: hostname, version: version, byID: map[measure.DeviceID]*device{}, sums: map[sumKey]*sum{}, waiting: -1}
}

// Devices takes the devices that the host has now. What is known of those that
// it had before is kept.
func (e *Exporter) Devices(devices []nvml.Device) {
	e.mu.Lock()
	defer e.mu.Unlock()
	before := e.byID
	e.byID, e.devices = make(map[measure.DeviceID]*device, len(devices)), e.devices[:0]
	for i := range devices {
		d := before[devices[i].ID]
		if d == nil {
			d = &device{xid: -1}
		}
		d.labels = deviceLabels(&devices[i], e.hostname)
		d.memory = devices[i].MemoryMiB
		e.byID[devices[i].ID] = d
		e.devices = append(e.devices, d)
	}
}

// Read takes the newest readings.
func (e *Exporter) Read(readings []nvml.DeviceReading) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range readings {
		r := &readings[i]
		d := e.byID[r.Device]
		if d == nil {
			continue
		}
		if d.up = r.Err == nil; d.up {
			d.sample, d.condition, d.seen = r.Sample, r.Condition, true
		}
	}
}

// Holder takes who alone held a device in the newest interval, "" for nobody and
// for several.
func (e *Exporter) Holder(id measure.DeviceID, tenant measure.TenantID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if d := e.byID[id]; d != nil {
		d.tenant = tenant
	}
}

// Event takes what happened to a device.
func (e *Exporter) Event(event measure.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if d := e.byID[event.Device]; d != nil && event.Kind == measure.EventXid {
		d.xid = event.Code
	}
}

// Windows adds closed windows to the sums.
func (e *Exporter) Windows(windows []measure.Window) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range windows {
		for j := range windows[i].Entries {
			n := &windows[i].Entries[j]
			key := sumKey{windows[i].Device, n.Tenant, n.State, n.Method.Name, n.Method.Precision, n.Method.Grade}
			s := e.sums[key]
			if s == nil && len(e.order) >= maxSeries {
				e.overflow++
				key.tenant = "_other"
				s = e.sums[key]
			}
			if s == nil {
				s = &sum{}
				e.sums[key] = s
				e.order = append(e.order, key)
			}
			s.ops = s.ops.Add(n.Operations)
			s.time += n.Duration
		}
	}
}

// Waiting takes how many batches are spooled and not receipted.
func (e *Exporter) Waiting(batches int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.waiting = batches
}
