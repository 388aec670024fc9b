package bpf

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"syscall"
	"testing"
	"time"
)

// connectorRecord is a message as the kernel sends it.
func connectorRecord(kind uint32, data ...uint32) []byte {
	b := listenRequest(0)[:netlinkHeader+connectorHeader]
	b = binary.NativeEndian.AppendUint32(b, kind)
	b = binary.NativeEndian.AppendUint32(b, 0)
	b = binary.NativeEndian.AppendUint64(b, 1000)
	for _, word := range data {
		b = binary.NativeEndian.AppendUint32(b, word)
	}
	return b
}

func TestDecodeConnector(t *testing.T) {
	for _, c := range []struct {
		name   string
		record []byte
		told   bool
		want   Event
	}{
		{"fork", connectorRecord(procFork, 10, 11, 12, 12), true, Event{Kind: Forked, Time: 1500, PID: 12, PPID: 11}},
		{"thread", connectorRecord(procFork, 10, 11, 12, 10), false, Event{}},
		{"exec", connectorRecord(procExec, 12, 12), true, Event{Kind: Executed, Time: 1500, PID: 12}},
		{"exec by a thread", connectorRecord(procExec, 13, 12), true, Event{Kind: Executed, Time: 1500, PID: 12}},
		{"exit", connectorRecord(procExit, 12, 12, 0, 17), true, Event{Kind: Exited, Time: 1500, PID: 12}},
		{"exit of a thread", connectorRecord(procExit, 13, 12, 0, 17), false, Event{}},
		{"another kind", connectorRecord(0x40, 1, 2), false, Event{}},
	} {
		var e Event
		told, err := decodeConnector(&e, c.record, 500)
		if err != nil || told != c.told || told && e != c.want {
			t.Errorf("%s: %v %+v %v, want %v %+v", c.name, told, e, err, c.told, c.want)
		}
	}
	var e Event
	foreign := connectorRecord(procExec, 1, 1)
	foreign[netlinkHeader] = 9
	for name, record := range map[string][]byte{"empty": {}, "short": connectorRecord(procFork, 1, 2), "another connector": foreign} {
		if told, err := decodeConnector(&e, record, 0); told || err == nil {
			t.Errorf("%s: taken as %+v", name, e)
		}
	}
}

func TestConnector(t *testing.T) {
	needHost(t)
	m, err := Open(Config{Method: Connector})
	if errors.Is(err, syscall.EPROTONOSUPPORT) || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, fs.ErrPermission) {
		t.Skipf("the process connector is not built in, or this is no initial namespace: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	r := watch(t, m)
	before, err := SinceBoot()
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, nil, syscall.SysProcAttr{}, self("sleep")...)
	p.wait()
	r.find(1, "exit", func(e Event) bool { return e.Kind == Exited && e.PID == p.pid() })
	mine := r.find(3, "fork, exec and exit", func(e Event) bool { return e.PID == p.pid() })
	for i, kind := range []Kind{Forked, Executed, Exited} {
		if mine[i].Kind != kind || mine[i].Time < before || mine[i].Time > before+patience {
			t.Errorf("event %d is %+v, want kind %d after %v", i, mine[i], kind, before)
		}
	}
	if mine[0].PPID != os.Getpid() || mine[2].Time-mine[0].Time < 20*time.Millisecond {
		t.Errorf("fork %+v, exit %+v", mine[0], mine[2])
	}
	if m.Method() != Connector {
		t.Errorf("method %q", m.Method())
	}
	if _, err := m.Holders(); !errors.Is(err, ErrNotWatched) {
		t.Errorf("holders: %v, want ErrNotWatched", err)
	}
}
