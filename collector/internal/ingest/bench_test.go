package ingest

import (
	"crypto/ed25519"
	"fmt"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/pkg/attest"
	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/measure"
	"github.com/flopwatch/flopwatch/pkg/wire"
)

// steadyLetters are batches of hosts of 8 devices that go on with the same work, in
// the order in which they come: n of each host.
func steadyLetters(t testing.TB, hosts, n, windows int, length time.Duration) []letter {
	t.Helper()
	type sender struct {
		key  ed25519.PrivateKey
		id   string
		prev [32]byte
	}
	senders := make([]sender, hosts)
	for i := range senders {
		seed := make([]byte, 32)
		copy(seed, fmt.Sprint("steady", i))
		senders[i].key = ed25519.NewKeyFromSeed(seed)
		senders[i].id = attest.HostID(senders[i].key.Public().(ed25519.PublicKey))
	}
	gpm := measure.Method{Name: measure.GPM, Version: 1, Grade: "A"}
	var all []letter
	const start = int64(1_700_000_000_000_000_000)
	for k := range n {
		for i := range senders {
			s := &senders[i]
			first := start + int64(k*windows)*int64(length)
			b := &wire.Batch{Header: wire.Header{Version: wire.Version, Host: s.id, Epoch: 1, Seq: uint64(k + 1), PrevHash: s.prev, BootID: "boot",
				FirstNS: first, LastNS: first + int64(windows)*int64(length)}, Facts: wire.HostFacts{Name: fmt.Sprint("node", i)}}
			for d := range 8 {
				b.Devices = append(b.Devices, wire.DeviceRow{Device: measure.Device{ID: measure.DeviceID(fmt.Sprintf("GPU-%d-%d", i, d)), Name: "NVIDIA H100 80GB HBM3"}, SKU: "H100", Grade: "A", Peak: 989_400_000, Ceiling: 1_978_900_000})
				for w := range windows {
					at, best := first+int64(w)*int64(length), compute.Operations(400_000*int64(length/time.Second))
					b.Windows = append(b.Windows, measure.Window{Device: b.Devices[d].ID, StartNS: at, EndNS: at + int64(length), Entries: []measure.Entry{{
						State: measure.Attributed, Workload: measure.Workload{Kind: measure.KindSlurmJob, ID: fmt.Sprint(i / 8)}, Tenant: "t", Method: gpm, Duration: length,
						Operations: compute.Bounds{Low: best, Best: best, High: best}, Ceiling: 2 * best, EnergyMJ: 500_000 * int64(length/time.Second)}}})
				}
			}
			body, err := wire.Encode(b)
			if err != nil {
				t.Fatal(err)
			}
			envelope := attest.Seal(s.key, attest.DomainBatch, body)
			s.prev = attest.Hash(envelope)
			all = append(all, letter{subject: wire.BatchSubject(s.id), envelope: envelope})
		}
	}
	return all
}

// What a batch allocates on its way into the ledger does not grow with its windows.
func TestCountingAllocatesNothingPerWindow(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates")
	}
	const hosts, runs = 8, 20
	for _, windows := range []int{1, 6, 60} {
		letters := steadyLetters(t, hosts, runs+2, windows, 10*time.Second)
		d := newIntake(Config{MaxAhead: -1, Carry: func(int64) time.Duration { return time.Hour }}, ledger.New())
		now := time.Unix(1_700_000_000, 0)
		d.takeAll(letters[:hosts], now) // opens accounts and segments
		d.drain(false)
		at := hosts
		n := testing.AllocsPerRun(runs, func() {
			for _, l := range letters[at : at+hosts] {
				o := d.open(l, d.openers[0].open([]letter{l})[0], &d.decoders[0])
				d.decide(&o, l.envelope, now)
			}
			d.frames = d.frames[:0]
			at += hosts
		}) / hosts
		if n > 12 {
			t.Errorf("%d windows of 8 devices: %g allocations for a batch, want at most 12", windows, n)
		}
		if c, _ := d.drain(false); len(c.Changes.Carried) != hosts || len(c.Quarantine) != 0 {
			t.Errorf("%d hosts are carried, want %d; %d batches were refused", len(c.Changes.Carried), hosts, len(c.Quarantine))
		}
	}
}

// BenchmarkCounting takes steady batches in: verify, decode and count, with the
// shares told apart by -cpuprofile.
func BenchmarkCounting(b *testing.B) {
	for _, shape := range []struct {
		name    string
		windows int
		length  time.Duration
	}{{"1x60s", 1, time.Minute}, {"6x10s", 6, 10 * time.Second}} {
		b.Run(shape.name, func(b *testing.B) {
			const hosts, each = 64, 64
			letters := steadyLetters(b, hosts, each, shape.windows, shape.length)
			now := time.Unix(1_700_000_000, 0)
			b.ReportAllocs()
			b.ResetTimer()
			at := len(letters)
			var d *intake
			for b.Loop() {
				if at == len(letters) {
					d = newIntake(Config{MaxAhead: -1, Carry: func(int64) time.Duration { return time.Hour }}, ledger.New())
					at = 0
				}
				d.takeAll(letters[at:at+hosts], now)
				d.drain(false)
				at += hosts
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/hosts, "ns/batch")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/hosts/480, "ns/GPU-sample")
		})
	}
}
