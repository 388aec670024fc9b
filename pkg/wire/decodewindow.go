package wire

import (
	"math"
	"slices"
	"time"

	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/measure"
	"google.golang.org/protobuf/encoding/protowire"
)

// windows turns groups back into windows. Entries of one interval and device come
// together, in the order of their groups.
func (d *Decoder) windows() error {
	b := &d.batch
	d.items, d.entries = d.items[:0], d.entries[:0]
	start := b.FirstNS
	for n, raw := range d.groups {
		g, err := d.group(raw)
		if err != nil {
			return err
		}
		if len(d.entries)+len(g.Device) > MaxEntries {
			return invalid("more than %d entries", MaxEntries)
		}
		if g.LengthNs == 0 || g.LengthNs > maxWindowNS || start > math.MaxInt64-maxWindowNS || g.StartDeltaNs > math.MaxInt64-start {
			return invalid("group %d: time", n)
		}
		start += g.StartDeltaNs
		end := start + int64(g.LengthNs)
		if start < b.FirstNS || end > b.LastNS || !g.rectangular() || len(g.Device) == 0 ||
			g.Workload >= uint32(len(d.workloads)) || g.Tenant >= uint32(len(d.tenants)) || g.Method >= uint32(len(d.methods)) {
			return invalid("group %d: shape", n)
		}
		if g.State < uint32(measure.Attributed) || g.State > uint32(measure.Unobserved) {
			return invalid("group %d: state %d", n, g.State)
		}
		for i, device := range g.Device {
			if device >= uint64(len(b.Devices)) || i > 0 && device <= g.Device[i-1] || !g.fits(i) {
				return invalid("group %d: element %d", n, i)
			}
			d.items = append(d.items, item{slot{start, end, uint32(device)}, len(d.entries)})
			d.entries = append(d.entries, measure.Entry{
				State: measure.State(g.State), Workload: d.workloads[g.Workload], Tenant: d.tenants[g.Tenant], Method: d.methods[g.Method],
				Duration: time.Duration(g.DurationNs[i]), Ceiling: compute.Operations(g.Ceiling[i]), EnergyMJ: int64(g.Energy[i]) - 1,
			})
			e := &d.entries[len(d.entries)-1]
			e.Operations.Low = compute.Operations(g.OpsLow[i])
			e.Operations.Best = e.Operations.Low + compute.Operations(g.OpsBest[i])
			e.Operations.High = e.Operations.Best + compute.Operations(g.OpsHigh[i])
			if len(g.OpsFloat) > 0 {
				e.FloatTensor = compute.Operations(g.OpsFloat[i])
			}
		}
	}
	entries := d.entries
	if !slices.IsSortedFunc(d.items, func(a, b item) int { return a.compare(b.slot) }) {
		// Groups bring a device first that shares its first entry's key with an earlier one.
		slices.SortStableFunc(d.items, func(a, b item) int { return a.compare(b.slot) })
		d.merged = d.merged[:0]
		for i := range d.items {
			d.merged = append(d.merged, d.entries[d.items[i].entry])
		}
		entries = d.merged
	}
	for i := 0; i < len(d.items); {
		at, from := d.items[i].slot, i
		for i < len(d.items) && d.items[i].slot == at {
			i++
		}
		if len(b.Windows) >= MaxWindows {
			return invalid("more than %d windows", MaxWindows)
		}
		b.Windows = append(b.Windows, measure.Window{Device: b.Devices[at.device].ID, StartNS: at.start, EndNS: at.end, Entries: entries[from:i:i]})
		if !b.Windows[len(b.Windows)-1].Balanced() {
			return invalid("window %d does not balance", len(b.Windows)-1)
		}
	}
	return nil
}

// columns is a group whose columns are in the decoder's memory.
type columns struct {
	StartDeltaNs                                                            int64
	LengthNs                                                                uint64
	State, Workload, Tenant, Method                                         uint32
	Device, DurationNs, OpsLow, OpsBest, OpsHigh, Ceiling, Energy, OpsFloat []uint64
}

func (d *Decoder) group(raw []byte) (g columns, err error) {
	for i := range d.columns {
		d.columns[i] = d.columns[i][:0]
	}
	in := scanner{message: raw}
	for in.next() {
		f := &in.field
		switch {
		case f.is(1, protowire.VarintType):
			g.StartDeltaNs = protowire.DecodeZigZag(f.n)
		case f.is(2, protowire.VarintType):
			g.LengthNs = f.n
		case f.is(3, protowire.VarintType):
			g.State = uint32(f.n)
		case f.is(4, protowire.VarintType):
			g.Workload = uint32(f.n)
		case f.is(5, protowire.VarintType):
			g.Tenant = uint32(f.n)
		case f.is(6, protowire.VarintType):
			g.Method = uint32(f.n)
		case f.number >= 7 && f.number <= 14 && f.kind == protowire.VarintType:
			d.columns[f.number-7] = append(d.columns[f.number-7], f.n)
		case f.number >= 7 && f.number <= 14 && f.kind == protowire.BytesType:
			c := d.columns[f.number-7]
			for b := f.b; len(b) > 0; {
				v, n := varint(b)
				if n < 0 {
					return g, errNoMessage
				}
				c, b = append(c, v), b[n:]
			}
			d.columns[f.number-7] = c
		}
		if len(d.columns[0]) > MaxEntries {
			return g, invalid("more than %d entries", MaxEntries)
		}
	}
	for i, v := range d.columns[0] {
		d.columns[0][i] = uint64(uint32(v)) // the field has 32 bits
	}
	c := &d.columns
	g.Device, g.DurationNs, g.OpsLow, g.OpsBest, g.OpsHigh, g.Ceiling, g.Energy, g.OpsFloat = c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7]
	return g, in.err()
}

// rectangular reports whether all columns have one element per device.
func (g *columns) rectangular() bool {
	n := len(g.Device)
	return len(g.DurationNs) == n && len(g.OpsLow) == n && len(g.OpsBest) == n && len(g.OpsHigh) == n && len(g.Ceiling) == n && len(g.Energy) == n &&
		(len(g.OpsFloat) == n || len(g.OpsFloat) == 0) // not in the first batches of version 1
}

// fits reports whether element i holds values that int64 sums can take.
func (g *columns) fits(i int) bool {
	const most = math.MaxInt64 / 4
	return g.DurationNs[i] <= g.LengthNs && g.OpsLow[i] <= most && g.OpsBest[i] <= most && g.OpsHigh[i] <= most && g.Ceiling[i] <= most && g.Energy[i] <= most &&
		(len(g.OpsFloat) == 0 || g.OpsFloat[i] <= most)
}
