package scrub_test

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/flopwatch/flopwatch/collector/internal/scrub"
	"github.com/flopwatch/flopwatch/pkg/attest"
	"github.com/flopwatch/flopwatch/pkg/evidence"
	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/wire"
)

// stored is evidence of two days as a collector would have written it.
type stored struct {
	days    [][]byte
	spans   [][]span // of the batches of each day
	counted map[ledger.HostID]ledger.Position
}

type span struct {
	from, to int
	host     ledger.HostID
	scrub.Number
}

func makeUp(t testing.TB, hosts, batches int) stored {
	t.Helper()
	s := stored{days: make([][]byte, 2), spans: make([][]span, 2), counted: map[ledger.HostID]ledger.Position{}}
	for i := range batches {
		for h := range hosts {
			seed := make([]byte, ed25519.SeedSize)
			seed[0] = byte(h)
			key := ed25519.NewKeyFromSeed(seed)
			id := attest.HostID(key.Public().(ed25519.PublicKey))
			was := s.counted[ledger.HostID(id)]
			n := scrub.Number{Epoch: max(1, was.Epoch), Seq: was.Seq + 1}
			if i == batches/3 { // the agent starts again
				n = scrub.Number{Epoch: 2, Seq: 1}
			}
			body, err := wire.Encode(&wire.Batch{
				Header: wire.Header{Version: wire.Version, Host: id, Epoch: n.Epoch, Seq: n.Seq, PrevHash: was.Hash, BootID: "boot", WallNS: 1, FirstNS: 1, LastNS: 1},
				Facts:  wire.HostFacts{Name: fmt.Sprint("gpu", h)},
			})
			if err != nil {
				t.Fatal(err)
			}
			envelope := attest.Seal(key, attest.DomainBatch, body)
			day := i * 2 / batches
			from := len(s.days[day])
			s.days[day] = evidence.AppendFrame(s.days[day], envelope)
			s.spans[day] = append(s.spans[day], span{from, len(s.days[day]), ledger.HostID(id), n})
			s.counted[ledger.HostID(id)] = ledger.Position{Epoch: n.Epoch, Seq: n.Seq, Hash: attest.Hash(envelope)}
		}
	}
	return s
}

func (s stored) read(t testing.TB) scrub.Report {
	t.Helper()
	p := scrub.NewPass()
	for i, day := range s.days {
		if err := p.Read(t.Context(), fmt.Sprintf("2026-01-%02d", i+1), bytes.NewReader(day), int64(len(day)), nil); err != nil {
			t.Fatal(err)
		}
	}
	return p.Report(s.counted)
}

func TestWholeEvidence(t *testing.T) {
	s := makeUp(t, 3, 20)
	if r := s.read(t); len(r.Damages) != 0 || r.Batches != 60 || r.Breaks != 0 || r.Bytes != int64(len(s.days[0])+len(s.days[1])) {
		t.Errorf("report %+v", r)
	}
}

// Any single bit of any stored batch, wherever it lies: the batch is found and
// named, and no other.
func TestEveryFlipIsNamed(t *testing.T) {
	s := makeUp(t, 3, 6)
	random := rand.New(rand.NewPCG(1, 2))
	const flips = 300
	for range flips {
		day := random.IntN(2)
		at := random.IntN(len(s.days[day]))
		bit := byte(1) << random.IntN(8)
		s.days[day][at] ^= bit
		r := s.read(t)
		s.days[day][at] ^= bit
		var hit span
		for _, f := range s.spans[day] {
			if f.from <= at && at < f.to {
				hit = f
			}
		}
		if len(r.Damages) != 1 || r.Damages[0].Host != hit.host || r.Damages[0].First != hit.Number || r.Damages[0].Last != hit.Number || r.Damages[0].Offset != int64(hit.from) {
			t.Fatalf("bit %d of byte %d of day %d is of batch %+v, found %v", bit, at, day, hit, r.Damages)
		}
	}
	t.Logf("%d flips, %d found and named", flips, flips)
}

// Whole frames that are taken out, repeated or cut off leave every checksum and
// signature good.
func TestWhatIsTakenOutIsNamed(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(s *stored) span
		host   bool // it can be told whose it was
	}{
		{name: "first", change: func(s *stored) span { return s.cut(0, 0) }, host: true},
		{name: "middle", change: func(s *stored) span { return s.cut(0, 7) }, host: true},
		{name: "last", change: func(s *stored) span { return s.cut(1, len(s.spans[1])-1) }, host: true},
		{name: "repeated", change: func(s *stored) span {
			f := s.spans[1][5]
			s.days[1] = append(s.days[1], s.days[1][f.from:f.to]...)
			return f
		}},
	} {
		s := makeUp(t, 3, 20)
		hit := c.change(&s)
		r := s.read(t)
		if len(r.Damages) != 1 || c.host && (r.Damages[0].Host != hit.host || r.Damages[0].First != hit.Number || r.Damages[0].Last != hit.Number) {
			t.Errorf("%s: %+v was touched, found %v", c.name, hit, r.Damages)
		}
	}
}

func (s *stored) cut(day, n int) span {
	f := s.spans[day][n]
	s.days[day] = append(bytes.Clone(s.days[day][:f.from]), s.days[day][f.to:]...)
	return f
}

func FuzzRead(f *testing.F) {
	s := makeUp(f, 2, 4)
	f.Add(s.days[0])
	f.Add(s.days[0][:len(s.days[0])-3])
	f.Add(append([]byte{1, 2, 3}, s.days[1]...))
	f.Fuzz(func(t *testing.T, data []byte) {
		p := scrub.NewPass()
		if err := p.Read(t.Context(), "2026-01-01", bytes.NewReader(data), int64(len(data)), nil); err != nil {
			t.Fatal(err)
		}
		if r := p.Report(s.counted); r.Bytes != int64(len(data)) {
			t.Errorf("read %d of %d bytes", r.Bytes, len(data))
		}
	})
}
