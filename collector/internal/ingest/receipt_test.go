package ingest

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flopwatch/flopwatch/pkg/attest"
	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/wire"
)

// A host hears in the form that its batch says it understands, and in the oldest form
// where it sends again what is counted: who sends it may be an older program than the
// one that sealed it.
func TestReceiptsHaveAFormThatIsUnderstood(t *testing.T) {
	say := func(h *host, form uint32) letter {
		b := h.batch(1)
		b.Receipts = form
		return h.letter(h.seal(t, b))
	}
	old, current, later, mixed, again := newHost("old", 1), newHost("current", 1), newHost("later", 1), newHost("mixed", 1), newHost("again", 1)
	d := testIntake(Config{})
	repeated := say(again, wire.ReceiptsTogether)
	d.takeAll([]letter{repeated}, now)
	d.drain(true)
	d.takeAll([]letter{say(old, wire.ReceiptsAlone), say(current, wire.ReceiptsTogether), say(later, 7), say(mixed, wire.ReceiptsTogether), say(mixed, wire.ReceiptsAlone), repeated,
		say(again, wire.ReceiptsTogether)}, now)
	_, hosts := d.drain(true)
	got := map[string]uint32{}
	for _, to := range hosts {
		got[string(to.host)] = to.form
	}
	want := map[string]uint32{old.id: wire.ReceiptsAlone, current.id: wire.ReceiptsTogether, later.id: 7, mixed.id: wire.ReceiptsAlone, again.id: wire.ReceiptsAlone}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("forms (-want +got):\n%s", diff)
	}
}

// Each host gets a receipt of its own position, whoever else is signed with it, and who
// does not understand those signed together gets one that the version before reads.
func TestSealReceipts(t *testing.T) {
	collector := key("collector")
	for _, n := range []int{0, 1, fewTogether - 1, fewTogether, 100} {
		var hosts []addressee
		positions := map[ledger.HostID]ledger.Position{}
		for i := range n {
			to := addressee{ledger.HostID(newHost(fmt.Sprint("host ", i), 0).id), uint32(i % 3)}
			hosts = append(hosts, to)
			positions[to.host] = ledger.Position{Epoch: 1, Seq: uint64(i + 1), Hash: [32]byte{byte(i), 1}}
		}
		sealed, err := sealReceipts(&Config{Key: collector, Collector: "c"}, hosts, func(id ledger.HostID) ledger.Position { return positions[id] })
		if err != nil || len(sealed) != n {
			t.Fatalf("%d receipts of %d, %v", len(sealed), n, err)
		}
		for i, to := range hosts {
			open := attest.OpenEither
			if to.form == wire.ReceiptsAlone {
				open = attest.Open
			}
			signer, body, err := open(attest.DomainReceipt, sealed[i])
			if err != nil || !signer.Equal(collector.Public()) {
				t.Fatalf("receipt %d of %d: by %x, %v", i, n, signer, err)
			}
			r, err := wire.DecodeReceipt(body)
			if err != nil {
				t.Fatal(err)
			}
			p := positions[to.host]
			if diff := cmp.Diff(wire.Receipt{Host: string(to.host), Epoch: p.Epoch, Seq: p.Seq, Hash: p.Hash, Collector: "c"}, r); diff != "" {
				t.Errorf("receipt %d of %d (-want +got):\n%s", i, n, diff)
			}
		}
	}
}
