package reader

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/agent/internal/nvml"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

const (
	// hungLimit is how long a device may owe an answer before the child, in which a
	// thread is stuck then, is replaced.
	hungLimit = 30 * time.Second
	// lostRetry is how often devices are opened anew while one is lost: after a
	// reset its old handle may stay dead.
	lostRetry = 5 * time.Minute
	// The pause before a child is replaced grows from first to longest while
	// replacements fail.
	firstPause   = 500 * time.Millisecond
	longestPause = 30 * time.Second
)

// Reader asks a child for readings and replaces it when it must. Its methods are
// for one goroutine.
type Reader struct {
	opt      Options
	child    *child // nil while there is none
	host     Host
	gaps     []nvml.DeviceReading // what is answered without a child
	starts   chan started         // the outcome of a start under way
	starting bool
	cancel   context.CancelFunc // of the start under way
	pause    time.Duration
	next     time.Time // earliest time of the next start

	released  map[measure.DeviceID]int       // index by device, of those that are let go
	all       bool                           // every device is let go
	waits     map[measure.DeviceID]time.Time // since when a device owes an answer
	lost      map[measure.DeviceID]bool
	lastStart time.Time
	events    []measure.Event // to be told by the next Readings
	told      []measure.Event // by the last one
	result    Result
}

type started struct {
	child *child
	err   error
}

// Result is what one call of Readings gives. It is valid until the next.
type Result struct {
	Readings []nvml.DeviceReading // in the order of Host().Devices
	Events   []measure.Event
	// HostChanged: Host differs from the call before; the readings, if any, are of
	// the new one.
	HostChanged bool
}

// Open starts the first child and returns once it has opened the devices. The
// error wraps nvml.ErrNoDriver on a host without a driver.
func Open(ctx context.Context, o Options) (*Reader, error) {
	o = o.withDefaults()
	c, err := spawn(ctx, o, nil)
	if err != nil {
		return nil, err
	}
	return &Reader{
		opt: o, child: c, host: c.host, starts: make(chan started, 1), pause: firstPause, lastStart: time.Now(),
		released: map[measure.DeviceID]int{}, waits: map[measure.DeviceID]time.Time{}, lost: map[measure.DeviceID]bool{},
	}, nil
}

// Host returns what the newest child found.
func (r *Reader) Host() *Host { return &r.host }

// Readings asks for one reading of every device. nowNS, the time of the call in
// Unix nanoseconds, stamps samples and events. While there is no child every
// device answers with an error that wraps ErrReader.
func (r *Reader) Readings(ctx context.Context, nowNS int64) *Result {
	r.result = Result{}
	r.read(ctx, nowNS)
	r.result.Events, r.events, r.told = r.events, r.told[:0], r.events
	return &r.result
}

func (r *Reader) read(ctx context.Context, nowNS int64) {
	now := time.Now()
	r.takeStarted(nowNS)
	if r.child == nil {
		if !r.starting && !r.all && !now.Before(r.next) {
			r.start(ctx)
		}
		why := ErrReader
		if r.all {
			why = ErrReleased
		}
		r.result.Readings = r.gap(why)
		return
	}
	if err := r.child.ask(nowNS, r.opt.Deadline+r.opt.Grace); err != nil {
		r.replace(nowNS, err.Error(), true)
		r.result.Readings = r.gap(err)
		return
	}
	a := &r.child.answer
	for _, x := range a.xids {
		r.tell(nowNS, x.Device, measure.EventXid, x.Code, "")
	}
	if a.dropped > 0 {
		r.tell(nowNS, "", measure.EventXid, 0, fmt.Sprintf("%d more errors were not kept", a.dropped))
	}
	r.result.Readings = a.readings
	r.judge(now, nowNS, a.readings)
}

// judge replaces the child when its readings say that it must be.
func (r *Reader) judge(now time.Time, nowNS int64, readings []nvml.DeviceReading) {
	for i := range readings {
		d := &readings[i]
		if errors.Is(d.Err, nvml.ErrDeadline) {
			if since, ok := r.waits[d.Device]; !ok {
				r.waits[d.Device] = now
			} else if now.Sub(since) > hungLimit {
				r.replace(nowNS, fmt.Sprintf("device %s has not answered for %s", d.Device, hungLimit), true)
				return
			}
		} else {
			delete(r.waits, d.Device)
		}
		switch {
		case errors.Is(d.Err, nvml.ErrChanged):
			r.replace(nowNS, d.Err.Error(), false)
			return
		case errors.Is(d.Err, nvml.ErrNoDriver):
			r.replace(nowNS, d.Err.Error(), false)
			return
		case errors.Is(d.Err, nvml.ErrDeviceLost):
			if !r.lost[d.Device] {
				r.lost[d.Device] = true
				r.tell(nowNS, d.Device, measure.EventLost, 0, "")
			}
			if now.Sub(r.lastStart) > lostRetry {
				r.replace(nowNS, "looking for a lost device", false)
				return
			}
		case d.Err == nil && r.lost[d.Device]:
			delete(r.lost, d.Device)
			r.tell(nowNS, d.Device, measure.EventBack, 0, "")
		}
	}
}

// replace ends the child; the next call of Readings starts another.
func (r *Reader) replace(nowNS int64, why string, hung bool) {
	if r.child == nil {
		return
	}
	if hung {
		r.child.kill()
	} else if err := r.child.end(); err != nil {
		why += "; " + err.Error()
	}
	r.child = nil
	clear(r.waits)
	r.next = time.Now()
	r.tell(nowNS, "", measure.EventReader, 0, why)
}

// start starts a child beside the readings.
func (r *Reader) start(ctx context.Context) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var without []int
	for _, i := range r.released {
		without = append(without, i)
	}
	slices.Sort(without)
	r.starting, r.cancel, r.lastStart = true, cancel, time.Now()
	go func() {
		c, err := spawn(ctx, r.opt, without)
		r.starts <- started{c, err}
	}()
}

// takeStarted takes a child that has come up.
func (r *Reader) takeStarted(nowNS int64) {
	if !r.starting {
		return
	}
	var s started
	select {
	case s = <-r.starts:
	default:
		return
	}
	r.starting = false
	r.cancel()
	if s.err != nil {
		r.next = time.Now().Add(r.pause)
		r.pause = min(2*r.pause, longestPause)
		return
	}
	if id := r.mustNotHold(&s.child.host); id != "" {
		s.child.kill()
		r.all = true
		r.adopt(nowNS, Host{Library: s.child.host.Library, Driver: s.child.host.Driver})
		r.tell(nowNS, "", measure.EventReleased, 0, fmt.Sprintf("every device: their order changed while %s is let go", id))
		return
	}
	r.child, r.pause = s.child, firstPause
	r.adopt(nowNS, s.child.host)
}

// mustNotHold returns a device that the host holds although it is let go.
func (r *Reader) mustNotHold(h *Host) measure.DeviceID {
	for i := range h.Devices {
		d := &h.Devices[i]
		for id := range r.released {
			if d.ID == id || d.Parent == id {
				return id
			}
		}
	}
	return ""
}

// adopt takes over what a new child found.
func (r *Reader) adopt(nowNS int64, found Host) {
	was := r.host
	r.host = found
	r.gaps = nil
	if was.Driver != found.Driver {
		r.tell(nowNS, "", measure.EventDriver, 0, fmt.Sprintf("%s after %s", orNone(found.Driver), orNone(was.Driver)))
	}
	if !slices.Equal(was.Devices, found.Devices) {
		r.result.HostChanged = true
	}
	var went, came []string
	for i := range was.Devices {
		if found.index(was.Devices[i].ID) < 0 {
			went = append(went, string(was.Devices[i].ID))
		}
	}
	for i := range found.Devices {
		if was.index(found.Devices[i].ID) < 0 {
			came = append(came, string(found.Devices[i].ID))
		}
	}
	if len(went)+len(came) > 0 {
		r.tell(nowNS, "", measure.EventDevices, 0, strings.TrimSpace(counted("without ", went)+counted(" with ", came)))
	}
}

// counted names a few devices and counts the rest.
func counted(word string, ids []string) string {
	const few = 2
	switch {
	case len(ids) == 0:
		return ""
	case len(ids) > few:
		return fmt.Sprintf("%s%s and %d more", word, strings.Join(ids[:few], ", "), len(ids)-few)
	}
	return word + strings.Join(ids, ", ")
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// gap answers for every device that it was not read.
func (r *Reader) gap(err error) []nvml.DeviceReading {
	if len(r.gaps) != len(r.host.Devices) {
		r.gaps = make([]nvml.DeviceReading, len(r.host.Devices))
	}
	if !errors.Is(err, ErrReader) && !errors.Is(err, ErrReleased) {
		err = fmt.Errorf("%w: %w", ErrReader, err)
	}
	for i := range r.gaps {
		r.gaps[i] = nvml.DeviceReading{Device: r.host.Devices[i].ID, Err: err}
	}
	return r.gaps
}

// maxDetail bounds the text of an event.
const maxDetail = 200

func (r *Reader) tell(nowNS int64, id measure.DeviceID, kind measure.EventKind, code int64, detail string) {
	if len(detail) > maxDetail {
		detail = strings.ToValidUTF8(detail[:maxDetail], "")
	}
	r.events = append(r.events, measure.Event{TimeNS: nowNS, Device: id, Kind: kind, Code: code, Detail: detail})
}

// Close ends the child and a start under way.
func (r *Reader) Close() error {
	r.all = true
	r.abandon()
	if r.child == nil {
		return nil
	}
	err := r.child.end()
	r.child = nil
	return err
}
