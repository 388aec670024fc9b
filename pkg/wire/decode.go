package wire

import (
	"cmp"
	"fmt"
	"math"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"
	"google.golang.org/protobuf/proto"

	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// decoders of zstd are far larger than a batch: those at hand are used in turn, so that
// they stay in the processor's cache.
var decoders = sync.Pool{New: func() any {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(MaxPayload), zstd.WithDecoderMaxWindow(1<<20))
	if err != nil {
		panic(err) // the options are constants
	}
	return d
}}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}

// Decode reads the bytes of a batch as Decoder does, into memory of its own.
func Decode(body []byte) (*Batch, error) {
	return new(Decoder).Decode(body)
}

// DecodeHeader reads what numbers a batch and chains it, and leaves its payload
// packed. Every error wraps ErrInvalid.
func DecodeHeader(body []byte) (Header, error) { return new(BatchMessage).header(body) }

// header reads the message and checks its header.
func (m *BatchMessage) header(body []byte) (Header, error) {
	if err := proto.Unmarshal(body, m); err != nil {
		return Header{}, invalid("batch is not protobuf")
	}
	if err := m.check(); err != nil {
		return Header{}, err
	}
	h := Header{
		Version: m.Version, Host: m.Host, Epoch: m.Epoch, Seq: m.Seq, BootID: m.BootId,
		BoottimeNS: m.BoottimeNs, WallNS: m.WallNs, FirstNS: m.FirstNs, LastNS: m.LastNs, ClockNS: m.ClockNs,
	}
	h.FirstSeq = m.FirstSeq
	copy(h.PrevHash[:], m.PrevHash)
	copy(h.ChainHash[:], m.ChainHash)
	return h, nil
}

// check refuses a header with values that no agent writes.
func (m *BatchMessage) check() error {
	switch {
	case m.Version != Version:
		return invalid("batch version %d, this program reads %d", m.Version, Version)
	case !validHost(m.Host):
		return invalid("host id")
	case m.Epoch == 0 || m.Seq == 0 || m.Epoch > math.MaxInt64 || m.Seq > math.MaxInt64:
		return invalid("batch number %d/%d", m.Epoch, m.Seq)
	case len(m.PrevHash) != 32:
		return invalid("previous hash of %d bytes", len(m.PrevHash))
	case !validText(m.BootId):
		return invalid("boot id")
	case m.FirstSeq > m.Seq || m.FirstSeq == 0 && len(m.ChainHash) != 0 || m.FirstSeq != 0 && len(m.ChainHash) != 32:
		return invalid("batches that it stands for")
	case m.BoottimeNs < 0 || m.WallNs < 0 || m.FirstNs < 0 || m.LastNs < m.FirstNs, m.ClockNs < 0:
		return invalid("times of the header")
	}
	return nil
}

func (b *Batch) tables(p *PayloadMessage) error {
	f := p.GetFacts()
	b.Facts = HostFacts{Name: f.GetName(), OS: f.GetOs(), Kernel: f.GetKernel(), AgentVersion: f.GetAgentVersion(), Attribution: f.GetAttribution(), Settings: f.GetSettings()}
	if !validText(b.Facts.Name, b.Facts.OS, b.Facts.Kernel, b.Facts.AgentVersion, b.Facts.Attribution) {
		return invalid("host facts")
	}
	if len(p.Devices) > MaxDevices || len(p.Workloads) > MaxWords || len(p.Tenants) > MaxWords || len(p.Methods) > MaxWords {
		return invalid("too many devices or words")
	}
	seen := make(map[string]bool, len(p.Devices))
	for i, d := range p.Devices {
		row := DeviceRow{
			Device: measure.Device{ID: measure.DeviceID(d.Id), Name: d.Name, PCIID: d.PciId, CC: d.Cc, SMCount: int(d.SmCount),
				MaxSMMHz: int(d.MaxSmMhz), MemoryMiB: int64(d.MemoryMib), Parent: measure.DeviceID(d.Parent), Fabric: d.Fabric},
			SKU: d.Sku, Grade: d.Grade, Peak: compute.Rate(d.Peak), Ceiling: compute.Rate(d.Ceiling),
		}
		if d.Id == "" || seen[d.Id] || !validText(d.Id, d.Name, d.PciId, d.Cc, d.Parent, d.Sku, d.Grade, d.Fabric) ||
			d.SmCount > 1<<20 || d.MaxSmMhz > 1<<20 || d.MemoryMib > 1<<40 || d.Peak < 0 || d.Ceiling < d.Peak {
			return invalid("device %d", i)
		}
		seen[d.Id] = true
		b.Devices = append(b.Devices, row)
	}
	for i, w := range p.Workloads {
		if w.Kind == "" || !validText(w.Kind, w.Id, w.Hint) {
			return invalid("workload %d", i)
		}
	}
	for i, id := range p.Tenants {
		if id == "" || !validText(id) {
			return invalid("tenant %d", i)
		}
	}
	if len(p.Events) > MaxEvents {
		return invalid("%d events, at most %d", len(p.Events), MaxEvents)
	}
	for i, e := range p.Events {
		if e.Kind == "" || e.TimeNs < 0 || e.Device > uint32(len(p.Devices)) || !validText(e.Kind, e.Detail) {
			return invalid("event %d", i)
		}
	}
	if err := p.checkTraffic(); err != nil {
		return err
	}
	for i, m := range p.Methods {
		if m.Name == "" || m.Version > math.MaxInt32 || !validText(m.Name, m.Precision, m.Reason, m.Grade) {
			return invalid("method %d", i)
		}
	}
	return nil
}

// slot is the place of a window in a batch.
type slot struct {
	start, end int64
	device     uint32
}

func (s slot) compare(t slot) int {
	return cmp.Or(cmp.Compare(s.start, t.start), cmp.Compare(s.end, t.end), cmp.Compare(s.device, t.device))
}

// fits reports whether element i holds values that int64 sums can take.
func (g *GroupMessage) fits(i int) bool {
	const most = math.MaxInt64 / 4
	return g.DurationNs[i] <= g.LengthNs && g.OpsLow[i] <= most && g.OpsBest[i] <= most && g.OpsHigh[i] <= most && g.Ceiling[i] <= most && g.Energy[i] <= most &&
		(len(g.OpsFloat) == 0 || g.OpsFloat[i] <= most)
}

// DecodeReceipt reads the bytes of a receipt.
func DecodeReceipt(body []byte) (Receipt, error) {
	var m ReceiptMessage
	if err := proto.Unmarshal(body, &m); err != nil {
		return Receipt{}, invalid("receipt is not protobuf")
	}
	r := Receipt{Host: m.Host, Epoch: m.Epoch, Seq: m.Seq, Collector: m.Collector}
	if !validHost(m.Host) || !validText(m.Collector) || len(m.Hash) != 32 || m.Epoch > math.MaxInt64 || m.Seq > math.MaxInt64 {
		return Receipt{}, invalid("receipt")
	}
	copy(r.Hash[:], m.Hash)
	return r, nil
}

func validHost(id string) bool {
	return len(id) == 26 && strings.Trim(id, "abcdefghijklmnopqrstuvwxyz234567") == ""
}

// plain reports whether a text is of printable ASCII alone, as nearly all are.
func plain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// validText accepts short UTF-8 without control, direction and zero-width
// characters, which could change what a person reads.
func validText(texts ...string) bool {
	for _, s := range texts {
		if len(s) <= MaxString && plain(s) {
			continue
		}
		if len(s) > MaxString || !utf8.ValidString(s) {
			return false
		}
		for _, r := range s {
			if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029' {
				return false
			}
		}
	}
	return true
}
