package ingest

import (
	"fmt"

	"github.com/flopwatch/flopwatch/pkg/attest"
	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/wire"
)

// addressee is a host that gets a receipt, and the form of it.
type addressee struct {
	host ledger.HostID
	form uint32
}

// fewTogether is how many receipts are worth one signature with paths beside it.
const fewTogether = 4

// answer notes that a host gets a receipt with the next checkpoint, in the form that
// the batch says its sealer understands. One that comes again is answered in the oldest
// form: who sends it may be another program than the one that sealed it, as after a way
// back to an older version, and has perhaps understood nothing so far.
func (d *intake) answer(host ledger.HostID, verdict ledger.Verdict, form uint32) {
	if verdict != ledger.Next && verdict != ledger.ChainBreak {
		form = wire.ReceiptsAlone
	}
	if was, ok := d.reply[host]; ok {
		form = min(form, was)
	}
	d.reply[host] = form
}

// receipts tells each host how far its chain is counted and durable.
func (r *run) receipts(hosts []addressee) error {
	sealed, err := sealReceipts(&r.cfg, hosts, r.intake.book.Position)
	if err != nil {
		return err
	}
	for i, to := range hosts {
		if err := r.cfg.Conn.Publish(wire.ReceiptSubject(string(to.host)), sealed[i]); err != nil {
			return fmt.Errorf("send receipt to %s: %w", to.host, err)
		}
		if err := r.lessor.tell(r.ctx, to.host, r.intake.book.Name(to.host), r.intake.book.Position(to.host).Epoch, r.cfg.Now()); err != nil {
			return err
		}
	}
	return nil
}

// sealReceipts returns a signed receipt for each host, of the position that at says.
// Those whose form allows it are signed together.
func sealReceipts(cfg *Config, hosts []addressee, at func(ledger.HostID) ledger.Position) ([][]byte, error) {
	sealed := make([][]byte, len(hosts))
	var which []int
	var bodies [][]byte
	for i, to := range hosts {
		p := at(to.host)
		body, err := wire.EncodeReceipt(wire.Receipt{Host: string(to.host), Epoch: p.Epoch, Seq: p.Seq, Hash: p.Hash, Collector: cfg.Collector})
		if err != nil {
			return nil, fmt.Errorf("encode receipt for %s: %w", to.host, err)
		}
		if to.form >= wire.ReceiptsTogether {
			which, bodies = append(which, i), append(bodies, body)
		} else {
			sealed[i] = attest.Seal(cfg.Key, attest.DomainReceipt, body)
		}
	}
	if len(which) < fewTogether {
		for k, i := range which {
			sealed[i] = attest.Seal(cfg.Key, attest.DomainReceipt, bodies[k])
		}
		return sealed, nil
	}
	for from := 0; from < len(which); from += attest.MaxTogether {
		to := min(from+attest.MaxTogether, len(which))
		for k, envelope := range attest.SealTogether(cfg.Key, attest.DomainReceipt, bodies[from:to]) {
			sealed[which[from+k]] = envelope
		}
	}
	return sealed, nil
}
