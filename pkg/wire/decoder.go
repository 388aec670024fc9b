package wire

import (
	"net/netip"

	"github.com/klauspost/compress/zstd"
	"google.golang.org/protobuf/encoding/protowire"

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
		*d = Decoder{}
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
		case f.is(16, protowire.VarintType):
			m.Receipts = uint32(f.n)
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
	h.BoottimeNS, h.WallNS, h.FirstNS, h.LastNS, h.ClockNS, h.FirstSeq, h.Receipts = m.BoottimeNs, m.WallNs, m.FirstNs, m.LastNs, m.ClockNs, m.FirstSeq, m.Receipts
	copy(h.PrevHash[:], prev)
	copy(h.ChainHash[:], chain)
	return codec, payload, nil
}

func (d *Decoder) unpack(codec int32, payload []byte) ([]byte, error) {
	switch Codec(codec) {
	case Codec_CODEC_NONE:
		return payload, nil
	case Codec_CODEC_ZSTD:
		unpacker := decoders.Get().(*zstd.Decoder)
		out, err := unpacker.DecodeAll(payload, d.raw[:0])
		decoders.Put(unpacker)
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
