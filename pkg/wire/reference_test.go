package wire

import (
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/klauspost/compress/zstd"
	"google.golang.org/protobuf/proto"

	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// decodeReference is what Decode was when it read through generated code: what the
// Decoder is held against. It reads the bytes of a batch. It accepts only what Encode writes: known
// version, bounded sizes, clean strings, windows that balance and lie between
// the header's first and last time. Every error wraps ErrInvalid.
func decodeReference(body []byte) (*Batch, error) {
	var m BatchMessage
	header, err := m.header(body)
	if err != nil {
		return nil, err
	}
	b := &Batch{Header: header}
	payload, err := unpack(&m)
	if err != nil {
		return nil, err
	}
	var p PayloadMessage
	if err := proto.Unmarshal(payload, &p); err != nil {
		return nil, invalid("payload is not protobuf")
	}
	if err := b.tables(&p); err != nil {
		return nil, err
	}
	if err := b.windows(&p); err != nil {
		return nil, err
	}
	for _, e := range p.Events {
		event := measure.Event{TimeNS: e.TimeNs, Kind: measure.EventKind(e.Kind), Code: e.Code, Detail: e.Detail}
		if e.Device > 0 {
			event.Device = b.Devices[e.Device-1].ID
		}
		b.Events = append(b.Events, event)
	}
	b.traffic(&p)
	return b, nil
}

func unpack(m *BatchMessage) ([]byte, error) {
	switch m.Codec {
	case Codec_CODEC_NONE:
		return m.Payload, nil
	case Codec_CODEC_ZSTD:
		d := decoders.Get().(*zstd.Decoder)
		defer decoders.Put(d)
		out, err := d.DecodeAll(m.Payload, nil)
		if err != nil {
			return nil, invalid("payload does not decompress within %d bytes", MaxPayload)
		}
		if len(out) > MaxPayload || len(out) > len(m.Payload)*MaxRatio {
			return nil, invalid("payload of %d bytes grows to %d", len(m.Payload), len(out))
		}
		return out, nil
	}
	return nil, invalid("codec %d", m.Codec)
}

// windows turns groups back into windows. Entries of one interval and device
// come together; a window begins with the first group of its interval.
func (b *Batch) windows(p *PayloadMessage) error {
	words := newWordTables(p)
	index := map[slot]int{}
	var slots []slot
	entries := 0
	start := b.FirstNS
	for n, g := range p.Groups {
		if entries += len(g.Device); entries > MaxEntries {
			return invalid("more than %d entries", MaxEntries)
		}
		if g.LengthNs == 0 || g.LengthNs > maxWindowNS || start > math.MaxInt64-maxWindowNS || g.StartDeltaNs > math.MaxInt64-start {
			return invalid("group %d: time", n)
		}
		start += g.StartDeltaNs
		end := start + int64(g.LengthNs)
		if start < b.FirstNS || end > b.LastNS || !g.rectangular() || len(g.Device) == 0 ||
			g.Workload > uint32(len(p.Workloads)) || g.Tenant > uint32(len(p.Tenants)) || g.Method >= uint32(len(p.Methods)) {
			return invalid("group %d: shape", n)
		}
		entry := measure.Entry{State: measure.State(g.State), Workload: words.workloads[g.Workload], Tenant: words.tenants[g.Tenant], Method: words.methods[g.Method]}
		if g.State < uint32(measure.Attributed) || g.State > uint32(measure.Unobserved) {
			return invalid("group %d: state %d", n, g.State)
		}
		for i, device := range g.Device {
			if device >= uint32(len(b.Devices)) || i > 0 && device <= g.Device[i-1] || !g.fits(i) {
				return invalid("group %d: element %d", n, i)
			}
			entry.Duration = time.Duration(g.DurationNs[i])
			entry.Operations.Low = compute.Operations(g.OpsLow[i])
			entry.Operations.Best = entry.Operations.Low + compute.Operations(g.OpsBest[i])
			entry.Operations.High = entry.Operations.Best + compute.Operations(g.OpsHigh[i])
			entry.Ceiling = compute.Operations(g.Ceiling[i])
			entry.EnergyMJ = int64(g.Energy[i]) - 1
			entry.FloatTensor = 0
			if len(g.OpsFloat) > 0 {
				entry.FloatTensor = compute.Operations(g.OpsFloat[i])
			}
			at, ok := index[slot{start, end, device}]
			if !ok {
				if at = len(b.Windows); at >= MaxWindows {
					return invalid("more than %d windows", MaxWindows)
				}
				index[slot{start, end, device}] = at
				slots = append(slots, slot{start, end, device})
				b.Windows = append(b.Windows, measure.Window{Device: b.Devices[device].ID, StartNS: start, EndNS: end})
			}
			b.Windows[at].Entries = append(b.Windows[at].Entries, entry)
		}
	}
	for i := range b.Windows {
		if !b.Windows[i].Balanced() {
			return invalid("window %d does not balance", i)
		}
	}
	b.sort(slots)
	return nil
}

// sort puts the windows, which are at slots, in order: groups bring a device
// first that shares its first entry's key with an earlier one.
func (b *Batch) sort(slots []slot) {
	if slices.IsSortedFunc(slots, slot.compare) {
		return
	}
	order := make([]int, len(slots))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return slots[i].compare(slots[j]) })
	sorted := make([]measure.Window, len(order))
	for i, from := range order {
		sorted[i] = b.Windows[from]
	}
	b.Windows = sorted
}

type wordTables struct {
	workloads []measure.Workload
	tenants   []measure.TenantID
	methods   []measure.Method
}

func newWordTables(p *PayloadMessage) wordTables {
	t := wordTables{workloads: make([]measure.Workload, 1, len(p.Workloads)+1), tenants: make([]measure.TenantID, 1, len(p.Tenants)+1)}
	for _, w := range p.Workloads {
		t.workloads = append(t.workloads, measure.Workload{Kind: measure.WorkloadKind(w.Kind), ID: w.Id, Hint: w.Hint})
	}
	for _, id := range p.Tenants {
		t.tenants = append(t.tenants, measure.TenantID(id))
	}
	for _, m := range p.Methods {
		t.methods = append(t.methods, measure.Method{Name: measure.MethodName(m.Name), Version: int(m.Version), Precision: m.Precision, Reason: m.Reason, Grade: m.Grade})
	}
	return t
}

// traffic takes over what checkTraffic let pass.
func (b *Batch) traffic(p *PayloadMessage) {
	for _, raw := range p.Addresses {
		a, _ := netip.AddrFromSlice(raw)
		b.Addresses = append(b.Addresses, a)
	}
	for _, f := range p.Traffic {
		w := p.Workloads[f.Workload-1]
		peer, _ := netip.AddrFromSlice(f.Peer)
		b.Traffic = append(b.Traffic, measure.Traffic{
			StartNS: f.StartNs, EndNS: f.StartNs + int64(f.LengthNs), Workload: measure.Workload{Kind: measure.WorkloadKind(w.Kind), ID: w.Id, Hint: w.Hint},
			Peer: peer, SentBytes: int64(f.Sent), ReceivedBytes: int64(f.Received),
		})
	}
}

// DecodeReference reads through generated code, slowly.
var DecodeReference = decodeReference

// UnpackReference decompresses a payload.
var UnpackReference = unpack

// rectangular reports whether all columns have one element per device.
func (g *GroupMessage) rectangular() bool {
	n := len(g.Device)
	return len(g.DurationNs) == n && len(g.OpsLow) == n && len(g.OpsBest) == n && len(g.OpsHigh) == n && len(g.Ceiling) == n && len(g.Energy) == n &&
		(len(g.OpsFloat) == n || len(g.OpsFloat) == 0) // not in the first batches of version 1
}
