package wire

import (
	"math"
	"net/netip"

	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/measure"
	"google.golang.org/protobuf/encoding/protowire"
)

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
		if f.kind == protowire.VarintType {
			switch f.number {
			case 5:
				sms = uint32(f.n)
			case 6:
				mhz = uint32(f.n)
			case 7:
				mib = f.n
			case 11:
				row.Peak = compute.Rate(f.n)
			case 12:
				row.Ceiling = compute.Rate(f.n)
			}
			continue
		}
		if f.kind != protowire.BytesType {
			continue
		}
		switch f.number {
		case 1:
			row.ID = measure.DeviceID(f.s)
		case 2:
			row.Name = f.s
		case 3:
			row.PCIID = f.s
		case 4:
			row.CC = f.s
		case 8:
			row.Parent = measure.DeviceID(f.s)
		case 9:
			row.SKU = f.s
		case 10:
			row.Grade = f.s
		case 13:
			row.Fabric = f.s
		default:
			continue
		}
		if !validText(f.s) {
			return invalid("device %d", len(b.Devices))
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
