package handover_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/flopwatch/flopwatch/agent/internal/handover"
	"github.com/flopwatch/flopwatch/agent/internal/spool"
	"github.com/flopwatch/flopwatch/pkg/attest"
	"github.com/flopwatch/flopwatch/pkg/wire"
)

func key(n byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize))
}

var (
	collector = key(1)
	host      = attest.HostID(key(2).Public().(ed25519.PublicKey))
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

type desk struct {
	t      *testing.T
	spool  *spool.Spool
	keeper *handover.Keeper
	path   string
}

// newDesk has a spool with 20 batches of one epoch, about four to a segment.
func newDesk(t *testing.T, retain int64) *desk {
	t.Helper()
	dir := t.TempDir()
	s, err := spool.Open(filepath.Join(dir, "spool"), spool.Options{SegmentBytes: 1200, RetainBytes: retain, Shared: host})
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	for seq := uint64(1); seq <= 20; seq++ {
		must(t, s.Append(frame(1, seq)))
	}
	must(t, s.Sync())
	d := &desk{t: t, spool: s, path: filepath.Join(dir, "receipt")}
	d.keeper, err = handover.NewKeeper(s, host, d.path, collector.Public().(ed25519.PublicKey))
	must(t, err)
	t.Cleanup(func() { must(t, d.keeper.Close()) })
	return d
}

func frame(epoch, seq uint64) spool.Frame {
	e := bytes.Repeat([]byte(fmt.Sprintf("%d.%d ", epoch, seq)), 40)
	return spool.Frame{Host: host, Epoch: epoch, Seq: seq, Hash: attest.Hash(e), Envelope: e}
}

func receipt(t *testing.T, signer ed25519.PrivateKey, r wire.Receipt) []byte {
	t.Helper()
	body, err := wire.EncodeReceipt(r)
	must(t, err)
	return attest.Seal(signer, attest.DomainReceipt, body)
}

func good(t *testing.T, seq uint64) []byte {
	return receipt(t, collector, wire.Receipt{Host: host, Epoch: 1, Seq: seq, Hash: frame(1, seq).Hash, Collector: "c"})
}

// oldest returns the number of the oldest batch that is in the spool.
func (d *desk) oldest() uint64 {
	d.t.Helper()
	c := d.spool.Cursor()
	f, _, err := c.Next()
	must(d.t, errors.Join(err, c.Close()))
	return f.Seq
}

func (d *desk) poll(envelope []byte) (*handover.Loss, error) {
	d.t.Helper()
	must(d.t, handover.Write(d.path, envelope))
	return d.keeper.Poll()
}

func TestReceiptsRelease(t *testing.T) {
	d := newDesk(t, 0)
	if loss, err := d.keeper.Poll(); loss != nil || err != nil {
		t.Fatalf("without a receipt: %v, %v", loss, err)
	}
	for _, seq := range []uint64{1, 9, 15} {
		if loss, err := d.poll(good(t, seq)); loss != nil || err != nil {
			t.Fatalf("receipt %d: %v, %v", seq, loss, err)
		}
		if first := d.oldest(); first > seq+1 || seq > 8 && first+8 < seq {
			t.Errorf("after the receipt of %d the oldest batch is %d", seq, first)
		}
	}
	if h, _ := d.spool.Head(host); h.Receipted != (spool.Mark{Epoch: 1, Seq: 15}) {
		t.Errorf("receipted is %+v", h.Receipted)
	}
	if loss, err := d.poll(good(t, 20)); loss != nil || err != nil {
		t.Fatalf("last receipt: %v, %v", loss, err)
	}
}

// Nothing is deleted for a receipt that the collector did not sign for this very
// batch of this host, whatever the shipper hands over.
func TestOnlyVerifiedReceiptsRelease(t *testing.T) {
	other := wire.Receipt{Host: attest.HostID(key(3).Public().(ed25519.PublicKey)), Epoch: 1, Seq: 15, Hash: frame(1, 15).Hash, Collector: "c"}
	flipped := good(t, 15)
	flipped[len(flipped)-1] ^= 1
	for name, c := range map[string]struct {
		envelope []byte
		want     error
	}{
		"empty":           {[]byte{}, nil},
		"noise":           {[]byte("not a receipt"), handover.ErrRefused},
		"too long":        {make([]byte, 5000), handover.ErrRefused},
		"bit flipped":     {flipped, handover.ErrRefused},
		"own signature":   {receipt(t, key(2), wire.Receipt{Host: host, Epoch: 1, Seq: 15, Hash: frame(1, 15).Hash, Collector: "c"}), handover.ErrRefused},
		"another host":    {receipt(t, collector, other), handover.ErrRefused},
		"another hash":    {receipt(t, collector, wire.Receipt{Host: host, Epoch: 1, Seq: 15, Hash: frame(1, 14).Hash, Collector: "c"}), handover.ErrForeign},
		"not yet there":   {receipt(t, collector, wire.Receipt{Host: host, Epoch: 1, Seq: 21, Hash: frame(1, 21).Hash, Collector: "c"}), handover.ErrForeign},
		"last, other one": {receipt(t, collector, wire.Receipt{Host: host, Epoch: 1, Seq: 20, Hash: frame(1, 2).Hash, Collector: "c"}), handover.ErrForeign},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, 0)
			before := d.spool.Bytes()
			if loss, err := d.poll(c.envelope); !errors.Is(err, c.want) || loss != nil {
				t.Errorf("got %v, %v; want %v", loss, err, c.want)
			}
			if d.oldest() != 1 || d.spool.Bytes() != before {
				t.Error("something was deleted")
			}
		})
	}
}

// A path that is not a plain file neither releases nor makes the writer wait.
func TestHostilePaths(t *testing.T) {
	d := newDesk(t, 0)
	elsewhere := filepath.Join(t.TempDir(), "elsewhere")
	must(t, handover.Write(elsewhere, good(t, 15)))
	for name, put := range map[string]func() error{
		"link":   func() error { return os.Symlink(elsewhere, d.path) },
		"pipe":   func() error { return syscall.Mkfifo(d.path, 0o600) },
		"folder": func() error { return os.Mkdir(d.path, 0o700) },
	} {
		must(t, put())
		if _, err := d.keeper.Poll(); !errors.Is(err, handover.ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
		must(t, os.Remove(d.path))
	}
	if d.oldest() != 1 {
		t.Error("something was deleted")
	}
}

// A receipt that goes back keeps what is left for the collector; what is gone is
// told.
func TestReceiptGoesBack(t *testing.T) {
	for _, c := range []struct {
		name   string
		retain int64
		back   uint64
		lost   bool
	}{{"still there", 1 << 20, 4, false}, {"gone", 0, 2, true}, {"to nothing, still there", 1 << 20, 0, false}} {
		t.Run(c.name, func(t *testing.T) {
			d := newDesk(t, c.retain)
			if _, err := d.poll(good(t, 19)); err != nil {
				t.Fatal(err)
			}
			r := wire.Receipt{Host: host, Collector: "c"}
			if c.back > 0 {
				r = wire.Receipt{Host: host, Epoch: 1, Seq: c.back, Hash: frame(1, c.back).Hash, Collector: "c"}
			}
			loss, err := d.poll(receipt(t, collector, r))
			if err != nil || (loss != nil) != c.lost {
				t.Fatalf("went back: %v, %v", loss, err)
			}
			if h, _ := d.spool.Head(host); h.Receipted.Seq != c.back {
				t.Errorf("receipted is %+v", h.Receipted)
			}
			if _, err := d.poll(good(t, 20)); err != nil {
				t.Errorf("going on: %v", err)
			}
		})
	}
}
