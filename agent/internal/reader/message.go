package reader

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/flopwatch/flopwatch/agent/internal/nvml"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// A message is its kind, its length and its body. Questions go to the child,
// answers come from it; the two run on pipes of their own.
const (
	kindTick   = 't' // question: read all devices now; body is the time, 8 bytes
	kindHost   = 'h' // answer: what was found at the start, JSON
	kindFault  = 'f' // answer: the devices cannot be opened, JSON
	kindAnswer = 'r' // answer: one reading of each device
)

const headerSize = 5

// maxMessage bounds a body: 64 devices with thousands of processes each.
const maxMessage = 8 << 20

// maxFault bounds the text of one device's failure.
const maxFault = 512

// fault is why a child could not open the devices.
type fault struct {
	Text     string
	NoDriver bool
}

// seal writes kind and length in front of the body that lies behind the header.
func seal(buf []byte, kind byte) []byte {
	buf[0] = kind
	binary.LittleEndian.PutUint32(buf[1:], uint32(len(buf)-headerSize))
	return buf
}

// blank returns buf emptied down to room for a header.
func blank(buf []byte) []byte { return append(buf[:0], make([]byte, headerSize)...) }

// receive reads one message into buf, which it may grow.
func receive(r io.Reader, buf []byte) (kind byte, body, grown []byte, err error) {
	if cap(buf) < headerSize {
		buf = make([]byte, 4096)
	}
	buf = buf[:cap(buf)]
	if _, err := io.ReadFull(r, buf[:headerSize]); err != nil {
		return 0, nil, buf, err
	}
	kind, size := buf[0], binary.LittleEndian.Uint32(buf[1:headerSize])
	if size > maxMessage {
		return 0, nil, buf, fmt.Errorf("message of %d bytes, at most %d", size, maxMessage)
	}
	if int(size) > len(buf) {
		buf = make([]byte, size+size/2)
	}
	if _, err := io.ReadFull(r, buf[:size]); err != nil {
		return 0, nil, buf, fmt.Errorf("read message of %d bytes: %w", size, err)
	}
	return kind, buf[:size], buf, nil
}

// How a reading failed, so that the parent's error wraps the same sentinel.
const (
	failedOther = iota + 1
	failedLost
	failedLate
	failedChanged
	failedNoDriver
)

var sentinels = map[byte]error{
	failedLost: nvml.ErrDeviceLost, failedLate: nvml.ErrDeadline, failedChanged: nvml.ErrChanged, failedNoDriver: nvml.ErrNoDriver,
}

func classify(err error) byte {
	for code, sentinel := range sentinels {
		if errors.Is(err, sentinel) {
			return code
		}
	}
	return failedOther
}

// childError is a failure that happened in the child.
type childError struct {
	text string
	kind error // nil for one that nobody decides on
}

func (e *childError) Error() string { return e.text }
func (e *childError) Unwrap() error { return e.kind }

// appendAnswer encodes the readings of all devices, in their order, and the
// errors that the driver reported.
func appendAnswer(buf []byte, host *Host, readings []nvml.DeviceReading, xids []nvml.Xid, dropped int64) []byte {
	buf = binary.LittleEndian.AppendUint16(buf, uint16(len(readings)))
	for i := range readings {
		buf = appendReading(buf, &readings[i])
	}
	buf = binary.LittleEndian.AppendUint16(buf, uint16(len(xids)))
	for _, x := range xids {
		at := -1
		for i := range host.Devices {
			if d := &host.Devices[i]; d.ID == x.Device || d.Parent == x.Device {
				at = i
				break
			}
		}
		buf = binary.LittleEndian.AppendUint16(buf, uint16(at+1))
		buf = binary.LittleEndian.AppendUint64(buf, uint64(x.Code))
	}
	return binary.LittleEndian.AppendUint64(buf, uint64(dropped))
}

func appendReading(buf []byte, r *nvml.DeviceReading) []byte {
	if r.Err != nil {
		text := r.Err.Error()
		text = text[:min(len(text), maxFault)]
		buf = append(buf, classify(r.Err))
		buf = binary.LittleEndian.AppendUint16(buf, uint16(len(text)))
		return append(buf, text...)
	}
	buf = append(buf, 0)
	buf = binary.LittleEndian.AppendUint64(buf, uint64(r.Sample.TimeNS))
	at := len(buf)
	buf = append(buf, make([]byte, 8)...)
	var present uint64
	for i := range measure.Columns {
		c := &measure.Columns[i]
		if c.IsCounter {
			if v, ok := r.Sample.Counter(c.Counter); ok {
				present |= 1 << i
				buf = binary.LittleEndian.AppendUint64(buf, v)
			}
		} else if v, ok := r.Sample.Gauge(c.Gauge); ok {
			present |= 1 << i
			buf = binary.LittleEndian.AppendUint64(buf, math.Float64bits(v))
		}
	}
	binary.LittleEndian.PutUint64(buf[at:], present)
	c := &r.Condition
	buf = append(buf, bit(r.HoldersKnown)|bit(c.ReasonsKnown)<<1|bit(c.ECCKnown)<<2)
	buf = binary.LittleEndian.AppendUint64(buf, c.Reasons)
	buf = binary.LittleEndian.AppendUint64(buf, c.ECC)
	buf = binary.LittleEndian.AppendUint32(buf, uint32(c.MPSProcesses))
	buf = binary.LittleEndian.AppendUint32(buf, uint32(len(r.Processes)))
	for _, p := range r.Processes {
		buf = binary.LittleEndian.AppendUint32(buf, uint32(p.PID))
		buf = binary.LittleEndian.AppendUint64(buf, uint64(p.MemoryBytes))
		buf = binary.LittleEndian.AppendUint64(buf, math.Float64bits(p.SMUtil))
	}
	return buf
}

func bit(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// answer is a decoded message of readings. Its slices are used again.
type answer struct {
	readings []nvml.DeviceReading
	xids     []nvml.Xid
	dropped  int64
}

var errShort = errors.New("answer is cut short")

// decode reads a message of readings of the host's devices.
func (a *answer) decode(body []byte, host *Host) error {
	d := decoder{rest: body}
	n := int(d.u16())
	if n != len(host.Devices) {
		return fmt.Errorf("readings of %d devices, the host has %d", n, len(host.Devices))
	}
	if len(a.readings) != n {
		a.readings = make([]nvml.DeviceReading, n)
	}
	for i := range a.readings {
		d.reading(&a.readings[i], host.Devices[i].ID)
	}
	a.xids = a.xids[:0]
	for range d.u16() {
		at, code := int(d.u16())-1, int64(d.u64())
		var id measure.DeviceID
		if at >= 0 && at < n {
			if id = host.Devices[at].Parent; id == "" {
				id = host.Devices[at].ID
			}
		}
		a.xids = append(a.xids, nvml.Xid{Device: id, Code: code})
		if d.short {
			break
		}
	}
	a.dropped = int64(d.u64())
	switch {
	case d.short:
		return errShort
	case len(d.rest) > 0:
		return fmt.Errorf("%d bytes behind the answer", len(d.rest))
	}
	return nil
}

// decoder takes values off a body; a value that is not there makes it short.
type decoder struct {
	rest  []byte
	short bool
}

func (d *decoder) take(n int) []byte {
	if n > len(d.rest) {
		d.short, d.rest = true, nil
		return nil
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) u8() byte {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) u16() uint16 {
	if b := d.take(2); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

func (d *decoder) u32() uint32 {
	if b := d.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (d *decoder) u64() uint64 {
	if b := d.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (d *decoder) reading(r *nvml.DeviceReading, id measure.DeviceID) {
	processes := r.Processes[:0]
	*r = nvml.DeviceReading{Device: id}
	if failed := d.u8(); failed != 0 {
		r.Err = &childError{text: string(d.take(int(d.u16()))), kind: sentinels[failed]}
		r.Processes = processes
		return
	}
	r.Sample = measure.NewSample(id, int64(d.u64()))
	present := d.u64()
	for i := range measure.Columns {
		if present&(1<<i) == 0 {
			continue
		}
		c, v := &measure.Columns[i], d.u64()
		if c.IsCounter {
			r.Sample.SetCounter(c.Counter, v)
		} else {
			r.Sample.SetGauge(c.Gauge, math.Float64frombits(v))
		}
	}
	flags := d.u8()
	r.HoldersKnown = flags&1 != 0
	r.Condition = nvml.Condition{
		ReasonsKnown: flags&2 != 0, ECCKnown: flags&4 != 0, Reasons: d.u64(), ECC: d.u64(), MPSProcesses: int(int32(d.u32())),
	}
	for range d.u32() {
		if d.short {
			break
		}
		processes = append(processes, nvml.ProcessUse{
			PID: int(int32(d.u32())), MemoryBytes: int64(d.u64()), SMUtil: math.Float64frombits(d.u64()),
		})
	}
	r.Processes = processes
}

// sealJSON returns a message with a JSON body.
func sealJSON(kind byte, v any) ([]byte, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode message: %w", err)
	}
	return seal(append(blank(nil), body...), kind), nil
}
