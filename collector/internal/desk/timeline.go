package desk

import "github.com/flopwatch/flopwatch/pkg/compute"

// Timeline is what hosts did of a run, over time.
type Timeline struct {
	FromNS int64
	SlotNS int64 // length of a slot
	Slots  int
	Hosts  int
	Rows   []TimelineRow // by name of host
}

// TimelineRow is one host, or some that follow one another by name.
type TimelineRow struct {
	First, Last string // names of hosts; equal of one host
	Hosts       int
	Devices     int
	Cells       []TimelineCell // one per slot
}

// TimelineCell is what was done in a slot. A stretch that reaches over several
// slots is taken to be even.
type TimelineCell struct {
	Held    DeviceTime // by the run, seen or not
	Unseen  DeviceTime // of it, what nobody saw
	Best    compute.Operations
	Ceiling compute.Operations // peak × the time held
}

// Add returns both together.
func (c TimelineCell) Add(o TimelineCell) TimelineCell {
	return TimelineCell{c.Held + o.Held, c.Unseen + o.Unseen, c.Best + o.Best, c.Ceiling + o.Ceiling}
}
