package nvml

import (
	"sync"
	"time"

	nv "github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/flopwatch/flopwatch/pkg/measure"
)

// Xid is an error that the driver reported of a device.
type Xid struct {
	Device measure.DeviceID // the whole device
	Code   int64
}

// xidWait bounds one wait of the library. It is long, because each return wakes
// the processor for nothing, and no wait can be cut short.
const xidWait = 10 * time.Second

// maxXids bounds what waits to be taken; the driver reports each error once.
const maxXids = 256

// xids waits for errors on a thread of its own, since the library can only be
// asked by waiting.
type xids struct {
	set  nv.EventSet
	lib  *library
	ids  map[string]measure.DeviceID // by UUID
	stop chan struct{}
	gone chan struct{}

	mu      sync.Mutex
	waiting []Xid
	dropped int64
}

// watchXids starts to wait. It returns nil where the driver offers no events.
func watchXids(l *library, workers []*worker) *xids {
	if !l.has(callSetCreate, callSetFree, callSetWait, callRegister) {
		return nil
	}
	set, ret := l.EventSetCreate()
	if ret != nv.SUCCESS {
		return nil
	}
	x := &xids{set: set, lib: l, ids: map[string]measure.DeviceID{}, stop: make(chan struct{}), gone: make(chan struct{})}
	for _, w := range workers {
		whole := w.unit.device.ID
		if w.unit.device.Parent != "" {
			whole = w.unit.device.Parent
		}
		if _, done := x.ids[string(whole)]; done {
			continue
		}
		if w.unit.whole.RegisterEvents(nv.EventTypeXidCriticalError, set) == nv.SUCCESS {
			x.ids[string(whole)] = whole
		}
	}
	if len(x.ids) == 0 {
		_ = set.Free() // nothing waits on it
		return nil
	}
	go x.loop()
	return x
}

func (x *xids) loop() {
	defer close(x.gone)
	for {
		select {
		case <-x.stop:
			return
		default:
		}
		data, ret := x.set.Wait(uint32(xidWait.Milliseconds()))
		switch {
		case ret == nv.SUCCESS && data.EventType == nv.EventTypeXidCriticalError:
			x.keep(data)
		case ret == nv.SUCCESS || ret == nv.ERROR_TIMEOUT:
		default:
			// A lost device or driver fails at once: wait as long as the call would have.
			select {
			case <-x.stop:
				return
			case <-time.After(xidWait):
			}
		}
	}
}

func (x *xids) keep(data nv.EventData) {
	var id measure.DeviceID
	if uuid, ret := data.Device.GetUUID(); ret == nv.SUCCESS {
		id = x.ids[uuid]
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.waiting) >= maxXids {
		x.dropped++
		return
	}
	x.waiting = append(x.waiting, Xid{Device: id, Code: int64(data.EventData)})
}

// take returns what was reported since the last call, and how many were too
// many to keep.
func (x *xids) take() ([]Xid, int64) {
	if x == nil {
		return nil, 0
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	list, dropped := x.waiting, x.dropped
	x.waiting, x.dropped = nil, 0
	return list, dropped
}

// xidPatience is how long close waits for a call that is about to return.
const xidPatience = 20 * time.Millisecond

// close ends the waiting; false if the library still holds the call, as it
// mostly does.
func (x *xids) close() bool {
	if x == nil {
		return true
	}
	close(x.stop)
	select {
	case <-x.gone:
		_ = x.set.Free() // an answer other than success means that the library is gone
		return true
	case <-time.After(xidPatience):
		return false
	}
}
