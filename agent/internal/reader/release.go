package reader

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/flopwatch/flopwatch/agent/internal/nvml"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// All names every device in Release.
const All = measure.DeviceID("all")

// Release lets go of devices, so that they can be reset or partitioned anew:
// afterwards no handle of them is open here. A partition stands for its whole
// device. The others are read on after a short gap. What happened is in the
// events of the next Readings.
func (r *Reader) Release(nowNS int64, ids ...measure.DeviceID) error {
	release := maps.Clone(r.released)
	all := r.all
	for _, id := range ids {
		if id == All {
			all = true
			continue
		}
		at := r.host.index(id)
		if at < 0 {
			at = slices.IndexFunc(r.host.Devices, func(d nvml.Device) bool { return d.Parent == id })
		}
		if at < 0 {
			return fmt.Errorf("release %s: this host reads no such device", id)
		}
		d := &r.host.Devices[at]
		whole := d.ID
		if d.Parent != "" {
			whole = d.Parent
		}
		release[whole] = d.Index
	}
	r.released, r.all = release, all
	r.abandon() // a child that starts now would hold what is let go
	r.replace(nowNS, "devices are let go", false)
	for _, id := range ids {
		if id == All {
			id = ""
		}
		r.tell(nowNS, id, measure.EventReleased, 0, "")
	}
	return nil
}

// abandon ends a start under way.
func (r *Reader) abandon() {
	if !r.starting {
		return
	}
	r.cancel()
	if s := <-r.starts; s.child != nil {
		s.child.kill()
	}
	r.starting = false
}

// Resume reads every device again.
func (r *Reader) Resume(nowNS int64) {
	if !r.all && len(r.released) == 0 {
		return
	}
	r.all = false
	clear(r.released)
	r.abandon()
	r.next = time.Time{}
	r.replace(nowNS, "every device is read again", false)
	r.tell(nowNS, "", measure.EventResumed, 0, "")
}

// Released returns the devices that are let go; All stands for every one.
func (r *Reader) Released() []measure.DeviceID {
	if r.all {
		return []measure.DeviceID{All}
	}
	return slices.Sorted(maps.Keys(r.released))
}
