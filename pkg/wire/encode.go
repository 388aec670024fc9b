package wire

import (
	"cmp"
	"fmt"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"
	"google.golang.org/protobuf/proto"

	"github.com/flopwatch/flopwatch/pkg/measure"
)

// worthCompressing is the payload size below which zstd only costs.
const worthCompressing = 1 << 10

var encoders = sync.Pool{New: func() any {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(1<<20))
	if err != nil {
		panic(err) // the options are constants
	}
	return e
}}

// groupKey is what the entries of one group share.
type groupKey struct {
	startNS, endNS int64
	state          measure.State
	workload       uint32
	tenant         uint32
	method         uint32
}

// Encode returns the bytes of a batch. Windows may come in any order and entries
// of one key within a window are merged; Decode returns them by start, then by
// the order of Devices. It fails on what Decode would refuse.
func Encode(b *Batch) ([]byte, error) {
	payload := &PayloadMessage{
		Facts:   &FactsMessage{Name: b.Facts.Name, Os: b.Facts.OS, Kernel: b.Facts.Kernel, AgentVersion: b.Facts.AgentVersion, Attribution: b.Facts.Attribution, Settings: b.Facts.Settings},
		Devices: make([]*DeviceMessage, len(b.Devices)),
	}
	devices := make(map[measure.DeviceID]uint32, len(b.Devices))
	for i := range b.Devices {
		d := &b.Devices[i]
		payload.Devices[i] = &DeviceMessage{
			Id: string(d.ID), Name: d.Name, PciId: d.PCIID, Cc: d.CC, SmCount: uint32(d.SMCount), MaxSmMhz: uint32(d.MaxSMMHz), MemoryMib: uint64(d.MemoryMiB),
			Parent: string(d.Parent), Sku: d.SKU, Grade: d.Grade, Peak: int64(d.Peak), Ceiling: int64(d.Ceiling), Fabric: d.Fabric,
		}
		devices[d.ID] = uint32(i)
	}
	if err := encodeWindows(payload, b, devices); err != nil {
		return nil, err
	}
	if err := encodeEvents(payload, b.Events, devices); err != nil {
		return nil, err
	}
	encodeTraffic(payload, b)
	if err := new(Batch).tables(payload); err != nil {
		return nil, fmt.Errorf("encode batch: %w", err)
	}
	raw, err := proto.Marshal(payload)
	if err != nil {
		return nil, fmt.Errorf("encode batch: %w", err)
	}
	if len(raw) > MaxPayload {
		return nil, fmt.Errorf("encode batch: payload of %d bytes, at most %d", len(raw), MaxPayload)
	}
	m := &BatchMessage{
		Version: b.Version, Host: b.Host, Epoch: b.Epoch, Seq: b.Seq, PrevHash: b.PrevHash[:], BootId: b.BootID,
		BoottimeNs: b.BoottimeNS, WallNs: b.WallNS, FirstNs: b.FirstNS, LastNs: b.LastNS, ClockNs: b.ClockNS, Receipts: b.Receipts, Codec: Codec_CODEC_NONE, Payload: raw,
	}
	if b.FirstSeq > 0 {
		m.FirstSeq, m.ChainHash = b.FirstSeq, b.ChainHash[:]
	}
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("encode batch: %w", err)
	}
	if len(raw) >= worthCompressing {
		e := encoders.Get().(*zstd.Encoder)
		packed := e.EncodeAll(raw, nil)
		encoders.Put(e)
		// Beyond the ratio a decoder would take it for a bomb.
		if len(packed) < len(raw) && len(packed)*MaxRatio >= len(raw) {
			m.Codec, m.Payload = Codec_CODEC_ZSTD, packed
		}
	}
	out, err := proto.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode batch: %w", err)
	}
	return out, nil
}

// encodeWindows turns windows into groups of columns.
func encodeWindows(p *PayloadMessage, b *Batch, devices map[measure.DeviceID]uint32) error {
	order := make([]int, len(b.Windows))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int {
		x, y := &b.Windows[i], &b.Windows[j]
		return cmp.Or(cmp.Compare(x.StartNS, y.StartNS), cmp.Compare(x.EndNS, y.EndNS), cmp.Compare(devices[x.Device], devices[y.Device]))
	})
	t := tables{workloads: map[measure.Workload]uint32{}, tenants: map[measure.TenantID]uint32{}, methods: map[measure.Method]uint32{}}
	groups := map[groupKey]*GroupMessage{}
	if len(order) > MaxWindows {
		return fmt.Errorf("encode batch: %d windows, at most %d", len(order), MaxWindows)
	}
	previous := b.FirstNS
	for n, i := range order {
		w := &b.Windows[i]
		if w.StartNS < b.FirstNS || w.EndNS > b.LastNS || w.EndNS-w.StartNS > maxWindowNS {
			return fmt.Errorf("encode batch: window of device %s [%d, %d) is too long or not between the header's times", w.Device, w.StartNS, w.EndNS)
		}
		if n > 0 && w.Device == b.Windows[order[n-1]].Device && w.StartNS == b.Windows[order[n-1]].StartNS && w.EndNS == b.Windows[order[n-1]].EndNS {
			return fmt.Errorf("encode batch: two windows of device %s at %d", w.Device, w.StartNS)
		}
		device, known := devices[w.Device]
		if !known {
			return fmt.Errorf("encode batch: window of device %s, which the batch does not list", w.Device)
		}
		if !w.Balanced() {
			return fmt.Errorf("encode batch: window of device %s at %d does not balance", w.Device, w.StartNS)
		}
		for j := range w.Entries {
			e := &w.Entries[j]
			key := groupKey{w.StartNS, w.EndNS, e.State, t.workload(p, e.Workload), t.tenant(p, e.Tenant), t.method(p, e.Method)}
			g := groups[key]
			if g == nil {
				g = &GroupMessage{StartDeltaNs: w.StartNS - previous, LengthNs: uint64(w.EndNS - w.StartNS),
					State: uint32(e.State), Workload: key.workload, Tenant: key.tenant, Method: key.method}
				previous = w.StartNS
				groups[key] = g
				p.Groups = append(p.Groups, g)
			}
			g.append(device, e)
		}
	}
	entries := 0
	for _, g := range p.Groups {
		if !slices.ContainsFunc(g.OpsFloat, func(v uint64) bool { return v > 0 }) {
			g.OpsFloat = nil
		}
		if entries += len(g.Device); entries > MaxEntries {
			return fmt.Errorf("encode batch: more than %d entries", MaxEntries)
		}
		for i := range g.Device {
			if !g.fits(i) {
				return fmt.Errorf("encode batch: device %s has a figure that no batch can carry", b.Devices[g.Device[i]].ID)
			}
		}
	}
	return nil
}

func encodeEvents(p *PayloadMessage, events []measure.Event, devices map[measure.DeviceID]uint32) error {
	for i := range events {
		e := &events[i]
		m := &EventMessage{TimeNs: e.TimeNS, Kind: string(e.Kind), Code: e.Code, Detail: e.Detail}
		if e.Device != "" {
			n, known := devices[e.Device]
			if !known {
				return fmt.Errorf("encode batch: event of device %s, which the batch does not list", e.Device)
			}
			m.Device = n + 1
		}
		p.Events = append(p.Events, m)
	}
	return nil
}

// append adds an entry to the columns, or merges it with the device's last one.
func (g *GroupMessage) append(device uint32, e *measure.Entry) {
	low, best, high := uint64(e.Operations.Low), uint64(e.Operations.Best-e.Operations.Low), uint64(e.Operations.High-e.Operations.Best)
	energy := uint64(max(e.EnergyMJ, -1) + 1)
	if n := len(g.Device); n > 0 && g.Device[n-1] == device {
		g.DurationNs[n-1] += uint64(e.Duration)
		g.OpsLow[n-1] += low
		g.OpsBest[n-1] += best
		g.OpsHigh[n-1] += high
		g.Ceiling[n-1] += uint64(e.Ceiling)
		g.OpsFloat[n-1] += uint64(e.FloatTensor)
		if energy == 0 || g.Energy[n-1] == 0 {
			g.Energy[n-1] = 0
		} else {
			g.Energy[n-1] += energy - 1
		}
		return
	}
	g.Device = append(g.Device, device)
	g.DurationNs = append(g.DurationNs, uint64(e.Duration))
	g.OpsLow = append(g.OpsLow, low)
	g.OpsBest = append(g.OpsBest, best)
	g.OpsHigh = append(g.OpsHigh, high)
	g.Ceiling = append(g.Ceiling, uint64(e.Ceiling))
	g.Energy = append(g.Energy, energy)
	g.OpsFloat = append(g.OpsFloat, uint64(e.FloatTensor))
}

// tables gives numbers to the words of a batch.
type tables struct {
	workloads map[measure.Workload]uint32
	tenants   map[measure.TenantID]uint32
	methods   map[measure.Method]uint32
}

func (t *tables) workload(p *PayloadMessage, w measure.Workload) uint32 {
	if w == (measure.Workload{}) {
		return 0
	}
	n, ok := t.workloads[w]
	if !ok {
		p.Workloads = append(p.Workloads, &WorkloadMessage{Kind: string(w.Kind), Id: w.ID, Hint: w.Hint})
		n = uint32(len(p.Workloads))
		t.workloads[w] = n
	}
	return n
}

func (t *tables) tenant(p *PayloadMessage, id measure.TenantID) uint32 {
	if id == "" {
		return 0
	}
	n, ok := t.tenants[id]
	if !ok {
		p.Tenants = append(p.Tenants, string(id))
		n = uint32(len(p.Tenants))
		t.tenants[id] = n
	}
	return n
}

func (t *tables) method(p *PayloadMessage, m measure.Method) uint32 {
	n, ok := t.methods[m]
	if !ok {
		n = uint32(len(p.Methods))
		p.Methods = append(p.Methods, &MethodMessage{Name: string(m.Name), Version: uint32(m.Version), Precision: m.Precision, Reason: m.Reason, Grade: m.Grade})
		t.methods[m] = n
	}
	return n
}

// EncodeReceipt returns the bytes of a receipt.
func EncodeReceipt(r Receipt) ([]byte, error) {
	out, err := proto.Marshal(&ReceiptMessage{Host: r.Host, Epoch: r.Epoch, Seq: r.Seq, Hash: r.Hash[:], Collector: r.Collector})
	if err != nil {
		return nil, fmt.Errorf("encode receipt: %w", err)
	}
	return out, nil
}
