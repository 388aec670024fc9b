package ingest

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/flopwatch/flopwatch/collector/internal/store"
	"github.com/flopwatch/flopwatch/collector/internal/store/storetest"
	"github.com/flopwatch/flopwatch/pkg/attest"
	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/measure"
	"github.com/flopwatch/flopwatch/pkg/wire"
)

const (
	second  = int64(time.Second)
	startNS = int64(1_750_000_000) * second
)

func key(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

// host is a made-up host that signs a chain of batches.
type host struct {
	key   ed25519.PrivateKey
	id    string
	rows  []wire.DeviceRow
	epoch uint64
	seq   uint64
	prev  [32]byte
	atNS  int64

	// A host whose times go by the time since boot: what is added to that, how far
	// the wall clock was set since the agent started, and which boot it is.
	clockNS int64
	stepNS  int64
	boot    int
}

func newHost(name string, devices int) *host {
	h := &host{key: key(name), epoch: 1, atNS: startNS}
	h.id = attest.HostID(h.key.Public().(ed25519.PublicKey))
	for i := range devices {
		h.rows = append(h.rows, wire.DeviceRow{
			Device: measure.Device{
				ID: measure.DeviceID(fmt.Sprintf("GPU-00000000-0000-4000-8000-%s%04d", h.id[:8], i)), Name: "NVIDIA H100 80GB HBM3",
				PCIID: "2330", CC: "9.0", SMCount: 132, MaxSMMHz: 1980, MemoryMiB: 81559,
			},
			SKU: "H100-SXM", Grade: "A", Peak: 989_500_000, Ceiling: 1_979_000_000,
		})
	}
	return h
}

// batch makes the next batch, n windows of 10 s for each device.
func (h *host) batch(n int) *wire.Batch {
	h.seq++
	b := &wire.Batch{
		Header: wire.Header{
			Version: 1, Host: h.id, Epoch: h.epoch, Seq: h.seq, PrevHash: h.prev, BootID: "0a1b2c3d-0000-4000-8000-000000000001",
			BoottimeNS: h.atNS - startNS + second, WallNS: h.atNS, FirstNS: h.atNS, LastNS: h.atNS + int64(n)*10*second,
		},
		Facts:   wire.HostFacts{Name: "node", OS: "linux", Kernel: "6.18.0", AgentVersion: "0.1.0"},
		Devices: h.rows,
	}
	if h.clockNS != 0 {
		b.BootID = fmt.Sprintf("0a1b2c3d-0000-4000-8000-%012d", h.boot)
		b.ClockNS, b.BoottimeNS = h.clockNS, b.LastNS-h.clockNS
		b.WallNS = b.LastNS + h.stepNS
	}
	for d := range h.rows {
		for i := range n {
			from := h.atNS + int64(i)*10*second
			b.Windows = append(b.Windows, window(h.rows[d].ID, from, from+10*second, int64(d)))
		}
	}
	h.atNS += int64(n) * 10 * second
	return b
}

func window(id measure.DeviceID, from, to, n int64) measure.Window {
	best := 400_000*(to-from)/second + n
	return measure.Window{Device: id, StartNS: from, EndNS: to, Entries: []measure.Entry{{
		State: measure.Attributed, Tenant: "tenant-a", Workload: measure.Workload{Kind: measure.KindSlurmJob, ID: "4711"},
		Method:   measure.Method{Name: measure.GPM, Version: 1, Precision: "interval", Grade: "A"},
		Duration: time.Duration(to - from),
		Operations: compute.Bounds{
			Low: compute.Operations(best - 1000), Best: compute.Operations(best), High: compute.Operations(best + 1000),
		},
		Ceiling: compute.Operations(989_500 * (to - from) / second), EnergyMJ: 7_000_000,
	}}}
}

// seal signs a batch and moves the chain on.
func (h *host) seal(t testing.TB, b *wire.Batch) []byte {
	t.Helper()
	body, err := wire.Encode(b)
	if err != nil {
		t.Fatal(err)
	}
	envelope := attest.Seal(h.key, attest.DomainBatch, body)
	h.prev = attest.Hash(envelope)
	return envelope
}

func (h *host) next(t testing.TB, n int) []byte { return h.seal(t, h.batch(n)) }

func (h *host) letter(envelope []byte) letter {
	return letter{subject: wire.BatchSubject(h.id), envelope: envelope}
}

func openStore(t testing.TB, dir string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), filepath.Join(dir, "flopwatch.db"), store.Options{Postgres: database(t, dir)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// database returns the PostgreSQL database that belongs to a directory, and "" in tests
// on SQLite.
func database(t testing.TB, dir string) string {
	t.Helper()
	return storetest.Database(t, filepath.Join(dir, "flopwatch.db"), func(url string) error { return store.Migrate(t.Context(), url, "") })
}

// sender plays the agents' side of the contract: it keeps each batch until a
// receipt covers it, and sends again from the receipt when nothing moves.
type sender struct {
	host      *host
	envelopes [][]byte
	hashes    map[[32]byte]int // envelope → its place
	done      int              // receipted
	sent      int
	movedAt   time.Time
}

func newSender(t testing.TB, h *host, envelopes [][]byte) *sender {
	t.Helper()
	s := &sender{host: h, envelopes: envelopes, hashes: map[[32]byte]int{}}
	for i, e := range envelopes {
		s.hashes[attest.Hash(e)] = i
	}
	return s
}

// receipt takes one receipt in.
func (s *sender) receipt(collector ed25519.PublicKey, data []byte) error {
	signer, body, err := attest.OpenEither(attest.DomainReceipt, data)
	if err != nil {
		return err
	}
	if !signer.Equal(collector) {
		return errors.New("a receipt of another collector")
	}
	r, err := wire.DecodeReceipt(body)
	if err != nil {
		return err
	}
	done := 0
	if r.Seq > 0 {
		at, ok := s.hashes[r.Hash]
		if !ok {
			return fmt.Errorf("receipt for a batch that was never sent: %d/%d", r.Epoch, r.Seq)
		}
		done = at + 1
	}
	if done < s.done {
		return fmt.Errorf("the receipts of %s went back from %d to %d", s.host.id, s.done, done)
	}
	if done > s.done {
		s.done, s.movedAt = done, time.Now()
	}
	s.sent = max(s.sent, s.done)
	return nil
}

// openReceipt returns a receipt that the test's collector signed.
func openReceipt(t testing.TB, data []byte) wire.Receipt {
	t.Helper()
	_, body, err := attest.OpenEither(attest.DomainReceipt, data)
	if err != nil {
		t.Fatal(err)
	}
	r, err := wire.DecodeReceipt(body)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// push sends what may be in flight, from the receipt again after a pause.
func (s *sender) push(c *nats.Conn, window int, pause time.Duration) error {
	if time.Since(s.movedAt) > pause {
		s.sent, s.movedAt = s.done, time.Now()
	}
	for s.sent < len(s.envelopes) && s.sent < s.done+window {
		if err := c.Publish(wire.BatchSubject(s.host.id), s.envelopes[s.sent]); err != nil {
			return err
		}
		s.sent++
	}
	return nil
}

// undisturbed returns the ledger that the envelopes make without any fault.
func undisturbed(t testing.TB, senders []*sender) *ledger.Ledger {
	t.Helper()
	d := newIntake(Config{}, ledger.New())
	for _, s := range senders {
		for _, e := range s.envelopes {
			d.takeAll([]letter{s.host.letter(e)}, time.Now())
		}
	}
	if len(d.refused) > 0 {
		t.Fatalf("the feed itself is refused: %s: %s", d.refused[0].Reason, d.refused[0].Detail)
	}
	return d.book
}
