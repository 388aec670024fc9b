package wire_test

import (
	"net/netip"
	"reflect"
	"testing"

	"github.com/flopwatch/flopwatch/pkg/measure"
	"github.com/flopwatch/flopwatch/pkg/wire"
)

// talking is an example whose workloads exchange bytes with other hosts.
func talking() *wire.Batch {
	b := example(2, 1)
	b.Addresses = []netip.Addr{netip.MustParseAddr("10.1.0.7"), netip.MustParseAddr("fd00::7")}
	b.Traffic = []measure.Traffic{
		{StartNS: start, EndNS: start + 10*second, Workload: measure.Workload{Kind: measure.KindSlurmJob, ID: "4711", Hint: "llama"}, Peer: netip.MustParseAddr("10.1.0.8"), SentBytes: 1 << 40, ReceivedBytes: 7},
		{StartNS: start, EndNS: start + 10*second, Workload: measure.Workload{Kind: measure.KindVM, ID: "only-here"}, Peer: netip.MustParseAddr("fd00::8"), SentBytes: 0, ReceivedBytes: 1},
	}
	return b
}

func TestTrafficRoundTrip(t *testing.T) {
	want := talking()
	got, err := wire.Decode(mustEncode(t, want))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got.Addresses, want.Addresses) || !reflect.DeepEqual(got.Traffic, want.Traffic) {
		t.Errorf("got %+v and %+v", got.Addresses, got.Traffic)
	}
	if got.Windows[0].Entries[0].Workload.ID != "4711" {
		t.Errorf("workload %+v", got.Windows[0].Entries[0].Workload)
	}
}

func TestTrafficRefused(t *testing.T) {
	line := func(change func(*wire.TrafficMessage)) func(*wire.PayloadMessage) {
		return func(p *wire.PayloadMessage) {
			m := &wire.TrafficMessage{StartNs: start, LengthNs: 1, Workload: 1, Peer: []byte{10, 0, 0, 1}, Sent: 1}
			change(m)
			p.Traffic = append(p.Traffic, m)
		}
	}
	if _, err := wire.Decode(rewrite(t, func(_ *wire.BatchMessage, p *wire.PayloadMessage) { line(func(*wire.TrafficMessage) {})(p) })); err != nil {
		t.Fatalf("good line: %v", err)
	}
	for name, change := range map[string]func(*wire.PayloadMessage){
		"workload 0":            line(func(m *wire.TrafficMessage) { m.Workload = 0 }),
		"workload beyond":       line(func(m *wire.TrafficMessage) { m.Workload = 99 }),
		"address of 5 bytes":    line(func(m *wire.TrafficMessage) { m.Peer = []byte{1, 2, 3, 4, 5} }),
		"IPv4 inside of IPv6":   line(func(m *wire.TrafficMessage) { a := netip.MustParseAddr("::ffff:10.0.0.1").As16(); m.Peer = a[:] }),
		"no address":            line(func(m *wire.TrafficMessage) { m.Peer = make([]byte, 16) }),
		"more than can be sent": line(func(m *wire.TrafficMessage) { m.Sent = 1 << 60 }),
		"negative":              line(func(m *wire.TrafficMessage) { m.Received = 1<<64 - 5 }),
		"past the end of time":  line(func(m *wire.TrafficMessage) { m.StartNs = 1<<63 - 1; m.LengthNs = 1 << 40 }),
		"long":                  line(func(m *wire.TrafficMessage) { m.LengthNs = 1 << 62 }),
		"multicast address":     func(p *wire.PayloadMessage) { p.Addresses = [][]byte{{224, 0, 0, 1}} },
		"many addresses": func(p *wire.PayloadMessage) {
			for range wire.MaxAddress + 1 {
				p.Addresses = append(p.Addresses, []byte{10, 0, 0, 1})
			}
		},
		"many lines": func(p *wire.PayloadMessage) {
			for range wire.MaxTraffic + 1 {
				line(func(*wire.TrafficMessage) {})(p)
			}
		},
	} {
		if _, err := wire.Decode(rewrite(t, func(_ *wire.BatchMessage, p *wire.PayloadMessage) { change(p) })); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
