package wire

import (
	"math"
	"net/netip"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// Decoder reads batches into memory that it uses again: a batch costs one copy of
// its texts and nothing per window. The zero value is ready. It belongs to one
// goroutine.
//
// It reads the messages field by field rather than through generated code, and
// accepts what that does: fields in any order, the last of one that may stand once,
// lists packed or not, and fields that it does not know.
type Decoder struct {
	batch     Batch
	text      string // of the payload: what strings of the batch are cut from
	raw       []byte // of the payload
	workloads []measure.Workload
	tenants   []measure.TenantID
	methods   []measure.Method
	groups    [][]byte
	columns   [8][]uint64 // of one group
	events    []eventAt
	traffic   []trafficAt
	items     []item
	entries   []measure.Entry
	merged    []measure.Entry
	zstd      *zstd.Decoder
}

// keepEntries bounds what a decoder keeps of a batch that was larger than usual.
const keepEntries = 8_192

// item is the place of an entry.
type item struct {
	slot
	entry int
}

type eventAt struct {
	measure.Event
	device uint32
}

type trafficAt struct {
	measure.Traffic
	workload uint32
}

// Decode reads the bytes of a batch. It accepts only what Encode writes: known
// version, bounded sizes, clean strings, windows that balance and lie between
// the header's first and last time. Every error wraps ErrInvalid. The batch is valid
// until the next Decode; its strings stay.
func (d *Decoder) Decode(body []byte) (*Batch, error) {
	if cap(d.entries) > keepEntries {
		*d = Decoder{zstd: d.zstd}
	}
	b := &d.batch
	*b = Batch{Devices: b.Devices[:0], Windows: b.Windows[:0], Events: b.Events[:0], Traffic: b.Traffic[:0]}
	codec, payload, err := d.header(body)
	if err != nil {
		return nil, err
	}
	if payload, err = d.unpack(codec, payload); err != nil {
		return nil, err
	}
	d.text = string(payload)
	d.workloads, d.tenants, d.methods = append(d.workloads[:0], measure.Workload{}), append(d.tenants[:0], ""), d.methods[:0]
	d.groups, d.events, d.traffic = d.groups[:0], d.events[:0], d.traffic[:0]
	if err := d.payload(payload); err != nil {
		return nil, err
	}
	if err := d.windows(); err != nil {
		return nil, err
	}
	// What is empty is as one that was never there.
	if len(b.Devices) == 0 {
		b.Devices = nil
	}
	if len(b.Windows) == 0 {
		b.Windows = nil
	}
	if len(b.Events) == 0 {
		b.Events = nil
	}
	if len(b.Traffic) == 0 {
		b.Traffic = nil
	}
	return b, nil
}

// header reads the message around the payload.
func (d *Decoder) header(body []byte) (codec int32, payload []byte, err error) {
	m := BatchMessage{}
	var prev, chain []byte
	in := scanner{message: body}
	for in.next() {
		f := &in.field
		switch {
		case f.is(1, protowire.VarintType):
			m.Version = uint32(f.n)
		case f.is(2, protowire.BytesType):
			m.Host, err = f.string()
		case f.is(3, protowire.VarintType):
			m.Epoch = f.n
		case f.is(4, protowire.VarintType):
			m.Seq = f.n
		case f.is(5, protowire.BytesType):
			prev = f.b
		case f.is(6, protowire.BytesType):
			m.BootId, err = f.string()
		case f.is(7, protowire.VarintType):
			m.BoottimeNs = int64(f.n)
		case f.is(8, protowire.VarintType):
			m.WallNs = int64(f.n)
		case f.is(9, protowire.VarintType):
			m.FirstNs = int64(f.n)
		case f.is(10, protowire.VarintType):
			m.LastNs = int64(f.n)
		case f.is(11, protowire.VarintType):
			codec = int32(f.n)
		case f.is(12, protowire.BytesType):
			payload = f.b
		case f.is(13, protowire.VarintType):
			m.ClockNs = int64(f.n)
		case f.is(14, protowire.VarintType):
			m.FirstSeq = f.n
		case f.is(15, protowire.BytesType):
			chain = f.b
		}
		if err != nil {
			return 0, nil, err
		}
	}
	if in.bad && err == nil {
		err = errNoMessage
	}
	if err != nil {
		return 0, nil, err
	}
	m.PrevHash, m.ChainHash = prev, chain
	if err := m.check(); err != nil {
		return 0, nil, err
	}
	h := &d.batch.Header
	h.Version, h.Host, h.Epoch, h.Seq, h.BootID = m.Version, m.Host, m.Epoch, m.Seq, m.BootId
	h.BoottimeNS, h.WallNS, h.FirstNS, h.LastNS, h.ClockNS, h.FirstSeq = m.BoottimeNs, m.WallNs, m.FirstNs, m.LastNs, m.ClockNs, m.FirstSeq
	copy(h.PrevHash[:], prev)
	copy(h.ChainHash[:], chain)
	return codec, payload, nil
}

func (d *Decoder) unpack(codec int32, payload []byte) ([]byte, error) {
	switch Codec(codec) {
	case Codec_CODEC_NONE:
		return payload, nil
	case Codec_CODEC_ZSTD:
		if d.zstd == nil {
			d.zstd = decoders.Get().(*zstd.Decoder)
		}
		out, err := d.zstd.DecodeAll(payload, d.raw[:0])
		if err != nil {
			return nil, invalid("payload does not decompress within %d bytes", MaxPayload)
		}
		if len(out) > MaxPayload || len(out) > len(payload)*MaxRatio {
			return nil, invalid("payload of %d bytes grows to %d", len(payload), len(out))
		}
		if d.raw = out; cap(out) > 1<<20 {
			d.raw = nil
		}
		return out, nil
	}
	return nil, invalid("codec %d", codec)
}

// payload reads the tables and finds the groups.
func (d *Decoder) payload(payload []byte) error {
	b := &d.batch
	var err error
	in := scanner{message: payload, text: d.text}
	for in.next() {
		f := &in.field
		if f.kind != protowire.BytesType {
			continue
		}
		switch f.number {
		case 1:
			err = d.facts(f)
		case 2:
			err = d.device(f)
		case 3:
			err = d.workload(f)
		case 4:
			if !validText(f.s) || f.s == "" {
				return invalid("tenant %d", len(d.tenants)-1)
			}
			d.tenants = append(d.tenants, measure.TenantID(f.s))
		case 5:
			err = d.method(f)
		case 6:
			d.groups = append(d.groups, f.b)
		case 7:
			err = d.event(f)
		case 8:
			a, ok := netip.AddrFromSlice(f.b)
			if !ok || !validAddress(f.b) {
				return invalid("address %d", len(b.Addresses))
			}
			b.Addresses = append(b.Addresses, a)
		case 9:
			err = d.exchange(f)
		}
		if err != nil {
			return err
		}
		if len(b.Devices) > MaxDevices || len(d.workloads) > MaxWords+1 || len(d.tenants) > MaxWords+1 || len(d.methods) > MaxWords ||
			len(d.events) > MaxEvents || len(b.Addresses) > MaxAddress || len(d.traffic) > MaxTraffic || len(d.groups) > MaxEntries {
			return invalid("more devices, words, events, addresses, traffic or groups than a batch may have")
		}
	}
	if in.bad {
		return errNoMessage
	}
	return d.refer()
}

// refer puts devices and workloads in place of their numbers.
func (d *Decoder) refer() error {
	b := &d.batch
	for i := range d.events {
		e := &d.events[i]
		if e.device > uint32(len(b.Devices)) {
			return invalid("event %d", i)
		}
		if e.device > 0 {
			e.Device = b.Devices[e.device-1].ID
		}
		b.Events = append(b.Events, e.Event)
	}
	for i := range d.traffic {
		t := &d.traffic[i]
		if t.workload == 0 || t.workload >= uint32(len(d.workloads)) {
			return invalid("traffic %d", i)
		}
		t.Workload = d.workloads[t.workload]
		b.Traffic = append(b.Traffic, t.Traffic)
	}
	return nil
}

func (d *Decoder) facts(from *field) error {
	h := &d.batch.Facts
	in := from.scan()
	for in.next() {
		f := &in.field
		switch {
		case f.is(1, protowire.BytesType):
			h.Name = f.s
		case f.is(2, protowire.BytesType):
			h.OS = f.s
		case f.is(3, protowire.BytesType):
			h.Kernel = f.s
		case f.is(4, protowire.BytesType):
			h.AgentVersion = f.s
		case f.is(5, protowire.BytesType):
			h.Attribution = f.s
		case f.is(6, protowire.VarintType):
			h.Settings = uint32(f.n)
			continue
		default:
			continue
		}
		if !validText(f.s) {
			return invalid("host facts")
		}
	}
	return in.err()
}

func (d *Decoder) device(from *field) error {
	b := &d.batch
	row := DeviceRow{}
	var sms, mhz uint32
	var mib uint64
	in := from.scan()
	for in.next() {
		f := &in.field
		switch {
		case f.kind == protowire.BytesType && !validText(f.s) && (f.number <= 4 || f.number == 8 || f.number == 9 || f.number == 10 || f.number == 13):
			return invalid("device %d", len(b.Devices))
		case f.is(1, protowire.BytesType):
			row.ID = measure.DeviceID(f.s)
		case f.is(2, protowire.BytesType):
			row.Name = f.s
		case f.is(3, protowire.BytesType):
			row.PCIID = f.s
		case f.is(4, protowire.BytesType):
			row.CC = f.s
		case f.is(5, protowire.VarintType):
			sms = uint32(f.n)
		case f.is(6, protowire.VarintType):
			mhz = uint32(f.n)
		case f.is(7, protowire.VarintType):
			mib = f.n
		case f.is(8, protowire.BytesType):
			row.Parent = measure.DeviceID(f.s)
		case f.is(9, protowire.BytesType):
			row.SKU = f.s
		case f.is(10, protowire.BytesType):
			row.Grade = f.s
		case f.is(11, protowire.VarintType):
			row.Peak = compute.Rate(f.n)
		case f.is(12, protowire.VarintType):
			row.Ceiling = compute.Rate(f.n)
		case f.is(13, protowire.BytesType):
			row.Fabric = f.s
		}
	}
	if in.bad {
		return errNoMessage
	}
	if row.ID == "" || sms > 1<<20 || mhz > 1<<20 || mib > 1<<40 || row.Peak < 0 || row.Ceiling < row.Peak {
		return invalid("device %d", len(b.Devices))
	}
	for i := range b.Devices { // there are few
		if b.Devices[i].ID == row.ID {
			return invalid("device %d", len(b.Devices))
		}
	}
	row.SMCount, row.MaxSMMHz, row.MemoryMiB = int(sms), int(mhz), int64(mib)
	b.Devices = append(b.Devices, row)
	return nil
}

func (d *Decoder) workload(from *field) error {
	w := measure.Workload{}
	in := from.scan()
	for in.next() {
		f := &in.field
		if f.kind != protowire.BytesType || f.number > 3 {
			continue
		}
		if !validText(f.s) {
			return invalid("workload %d", len(d.workloads)-1)
		}
		switch f.number {
		case 1:
			w.Kind = measure.WorkloadKind(f.s)
		case 2:
			w.ID = f.s
		case 3:
			w.Hint = f.s
		}
	}
	if !in.bad && w.Kind == "" {
		return invalid("workload %d", len(d.workloads)-1)
	}
	d.workloads = append(d.workloads, w)
	return in.err()
}

func (d *Decoder) method(from *field) error {
	m, version := measure.Method{}, uint32(0)
	in := from.scan()
	for in.next() {
		f := &in.field
		switch {
		case f.is(2, protowire.VarintType):
			version = uint32(f.n)
		case f.kind != protowire.BytesType || f.number > 5:
		case !validText(f.s):
			return invalid("method %d", len(d.methods))
		case f.number == 1:
			m.Name = measure.MethodName(f.s)
		case f.number == 3:
			m.Precision = f.s
		case f.number == 4:
			m.Reason = f.s
		case f.number == 5:
			m.Grade = f.s
		}
	}
	if !in.bad && (m.Name == "" || version > math.MaxInt32) {
		return invalid("method %d", len(d.methods))
	}
	m.Version = int(version)
	d.methods = append(d.methods, m)
	return in.err()
}

func (d *Decoder) event(from *field) error {
	e := eventAt{}
	in := from.scan()
	for in.next() {
		f := &in.field
		switch {
		case f.is(1, protowire.VarintType):
			e.TimeNS = int64(f.n)
		case f.is(2, protowire.VarintType):
			e.device = uint32(f.n)
		case f.is(3, protowire.BytesType):
			e.Kind = measure.EventKind(f.s)
		case f.is(4, protowire.VarintType):
			e.Code = protowire.DecodeZigZag(f.n)
			continue
		case f.is(5, protowire.BytesType):
			e.Detail = f.s
		}
		if (f.number == 3 || f.number == 5) && !validText(f.s) {
			return invalid("event %d", len(d.events))
		}
	}
	if !in.bad && (e.Kind == "" || e.TimeNS < 0) {
		return invalid("event %d", len(d.events))
	}
	d.events = append(d.events, e)
	return in.err()
}

func (d *Decoder) exchange(from *field) error {
	t := trafficAt{}
	var length, sent, received uint64
	var peer []byte
	in := from.scan()
	for in.next() {
		f := &in.field
		switch {
		case f.is(1, protowire.VarintType):
			t.StartNS = int64(f.n)
		case f.is(2, protowire.VarintType):
			length = f.n
		case f.is(3, protowire.VarintType):
			t.workload = uint32(f.n)
		case f.is(4, protowire.BytesType):
			peer = f.b
		case f.is(5, protowire.VarintType):
			sent = f.n
		case f.is(6, protowire.VarintType):
			received = f.n
		}
	}
	if in.bad {
		return errNoMessage
	}
	if t.StartNS < 0 || length > maxWindowNS || !validPeer(peer) || sent > maxTrafficBytes || received > maxTrafficBytes || t.StartNS > maxTimeNS {
		return invalid("traffic %d", len(d.traffic))
	}
	t.Peer, _ = netip.AddrFromSlice(peer)
	t.EndNS, t.SentBytes, t.ReceivedBytes = t.StartNS+int64(length), int64(sent), int64(received)
	d.traffic = append(d.traffic, t)
	return nil
}

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
				v, n := protowire.ConsumeVarint(b)
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

// field is one field of a message.
type field struct {
	number protowire.Number
	kind   protowire.Type
	n      uint64 // of a varint
	b      []byte // of what has a length
	s      string // the same as text where it is wanted
}

func (f *field) is(number protowire.Number, kind protowire.Type) bool {
	return f.number == number && f.kind == kind
}

// string copies a text that has no message around it as text.
func (f *field) string() (string, error) {
	if !utf8.Valid(f.b) {
		return "", errNoMessage
	}
	return string(f.b), nil
}

// scan reads the message that is in a field.
func (f *field) scan() scanner { return scanner{message: f.b, text: f.s} }

// scanner reads a message field by field.
type scanner struct {
	message []byte
	text    string // the same as text, "" where none is wanted
	at      int
	bad     bool // the message is none
	field   field
}

var errNoMessage = invalid("batch is not protobuf")

func (s *scanner) err() error {
	if s.bad {
		return errNoMessage
	}
	return nil
}

// next reads a field and reports whether there was one.
func (s *scanner) next() bool {
	if s.at >= len(s.message) {
		return false
	}
	rest := s.message[s.at:]
	f := &s.field
	var n int
	if f.number, f.kind, n = protowire.ConsumeTag(rest); n < 0 {
		s.bad = true
		return false
	}
	f.b, f.s = nil, ""
	value := n
	switch f.kind {
	case protowire.VarintType:
		f.n, n = protowire.ConsumeVarint(rest[value:])
	case protowire.BytesType:
		if f.b, n = protowire.ConsumeBytes(rest[value:]); n >= 0 && s.text != "" {
			to := s.at + value + n
			f.s = s.text[to-len(f.b) : to]
		}
	default:
		n = protowire.ConsumeFieldValue(f.number, f.kind, rest[value:])
	}
	if n < 0 {
		s.bad = true
		return false
	}
	s.at += value + n
	return true
}
