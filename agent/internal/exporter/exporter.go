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
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// staleAfter is the age from which a reading is not shown as the present. It is
// the age from which Prometheus itself takes a series for ended.
const staleAfter = 5 * time.Minute

// Exporter keeps the newest reading of each device and the sums since the start.
// It is safe for concurrent use.
type Exporter struct {
	hostname string // escaped
	version  string // escaped
	now      func() time.Time

	mu      sync.Mutex
	devices []*device
	byID    map[string]*device // by plain id, as sums are
	sums    sums
	waiting int // batches without a receipt, -1 if not known
}

// device is one device with its newest reading.
type device struct {
	labels    string           // rendered, without braces
	tenant    measure.TenantID // who alone held it in the newest interval, "" if nobody did
	holder    string           // tenant, escaped
	memory    int64            // MiB, 0 if not known
	sample    measure.Sample
	condition nvml.Condition
	readAt    time.Time // of sample and condition, zero if there are none
	up        bool
	xid       int64 // newest, -1 if there was none
}

// shown reports whether the newest reading holds for the present.
func (d *device) shown(now time.Time) bool {
	return d.up && now.Sub(d.readAt) <= staleAfter
}

// New returns an exporter for a host.
func New(hostname, version string) *Exporter {
	return &Exporter{
		hostname: label(hostname), version: label(version), now: time.Now,
		byID: map[string]*device{}, sums: newSums(), waiting: -1,
	}
}

// Devices takes the devices that the host has now. What is known of those that
// it had before is kept.
func (e *Exporter) Devices(devices []nvml.Device) {
	e.mu.Lock()
	defer e.mu.Unlock()
	before := e.byID
	e.byID, e.devices = make(map[string]*device, len(devices)), make([]*device, 0, len(devices))
	for i := range devices {
		id := plain(string(devices[i].ID))
		if e.byID[id] != nil {
			continue // a series must not be there twice
		}
		d := before[id]
		if d == nil {
			d = &device{xid: -1}
		}
		d.labels = deviceLabels(&devices[i], e.hostname)
		d.memory = devices[i].MemoryMiB
		e.byID[id] = d
		e.devices = append(e.devices, d)
	}
}

// device returns what is known of a device, nil for one that the host does not
// have.
func (e *Exporter) device(id measure.DeviceID) *device { return e.byID[plain(string(id))] }

// Read takes the newest readings.
func (e *Exporter) Read(readings []nvml.DeviceReading) {
	now := e.now()
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range readings {
		r := &readings[i]
		d := e.device(r.Device)
		if d == nil {
			continue
		}
		if d.up = r.Err == nil; d.up {
			d.sample, d.condition, d.readAt = r.Sample, r.Condition, now
		}
	}
}

// Holder takes who alone held a device in the newest interval, "" for nobody and
// for several.
func (e *Exporter) Holder(id measure.DeviceID, tenant measure.TenantID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if d := e.device(id); d != nil && d.tenant != tenant {
		d.tenant, d.holder = tenant, label(string(tenant))
	}
}

// Event takes what happened to a device.
func (e *Exporter) Event(event measure.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if d := e.device(event.Device); d != nil && event.Kind == measure.EventXid {
		d.xid = event.Code
	}
}

// Windows adds closed windows to the sums.
func (e *Exporter) Windows(windows []measure.Window) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range windows {
		e.sums.add(&windows[i])
	}
}

// Waiting takes how many batches are spooled and not receipted.
func (e *Exporter) Waiting(batches int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.waiting = batches
}
