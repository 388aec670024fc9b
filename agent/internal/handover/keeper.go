package handover

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"

	"github.com/flopwatch/flopwatch/agent/internal/spool"
	"github.com/flopwatch/flopwatch/pkg/attest"
	"github.com/flopwatch/flopwatch/pkg/wire"
)

// Errors of Poll.
var (
	// ErrForeign means that the collector signed a receipt for a batch that this
	// spool did not produce: a copied key or a restored machine image. A person
	// must look; carrying on would hide it.
	ErrForeign = errors.New("receipt for a batch that this spool did not produce")
	// ErrRefused means that what was handed over is no receipt of the collector for
	// this host. Nothing was changed.
	ErrRefused = errors.New("receipt refused")
)

// Keeper releases what is receipted from a spool of one host. It belongs to one
// goroutine.
type Keeper struct {
	spool     *spool.Spool
	host      string
	path      string
	collector ed25519.PublicKey

	cursor   *spool.Cursor
	instance uint64
	seen     []byte // the newest file content that was dealt with
	at       spool.Mark
}

// NewKeeper returns a keeper of the spool that takes receipts from the file at
// path and believes those that the collector's key signed for the host.
func NewKeeper(s *spool.Spool, host, path string, collector ed25519.PublicKey) (*Keeper, error) {
	if len(collector) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("collector key of %d bytes: want %d", len(collector), ed25519.PublicKeySize)
	}
	head, _ := s.Head(host)
	return &Keeper{spool: s, host: host, path: path, collector: collector, cursor: s.Cursor(), instance: s.Instance(), at: head.Receipted}, nil
}

// Close lets go of the segment that is open.
func (k *Keeper) Close() error { return k.cursor.Close() }

// Loss is what the collector asks for and the spool no longer has.
type Loss struct {
	From, To spool.Mark // after From, before To, the oldest that is there
}

// Poll looks for a new receipt and releases what it covers. It reports a loss
// when the collector went back behind the oldest batch. ErrRefused leaves
// everything as it was.
func (k *Keeper) Poll() (*Loss, error) {
	data, err := read(k.path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if data == nil || bytes.Equal(data, k.seen) {
		return nil, nil
	}
	k.seen = data
	r, err := k.verify(data)
	if err != nil {
		return nil, err
	}
	m := spool.Mark{Epoch: r.Epoch, Seq: r.Seq}
	head, _ := k.spool.Head(k.host)
	switch {
	case head.Last.Before(m), m == head.Last && m != (spool.Mark{}) && r.Hash != head.Hash:
		return nil, fmt.Errorf("host %s, batch %d.%d, newest here %d.%d: %w", k.host, m.Epoch, m.Seq, head.Last.Epoch, head.Last.Seq, ErrForeign)
	case m.Before(k.at):
		return k.rewind(m)
	case m == k.at:
		return nil, nil
	}
	return nil, k.release(m, r.Hash)
}

func (k *Keeper) verify(data []byte) (wire.Receipt, error) {
	key, body, err := attest.OpenEither(attest.DomainReceipt, data)
	if err != nil {
		return wire.Receipt{}, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if !key.Equal(k.collector) {
		return wire.Receipt{}, fmt.Errorf("%w: signed by another collector", ErrRefused)
	}
	r, err := wire.DecodeReceipt(body)
	if err != nil {
		return wire.Receipt{}, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if r.Host != k.host {
		return wire.Receipt{}, fmt.Errorf("%w: for host %s", ErrRefused, r.Host)
	}
	return r, nil
}

// release lets go of everything up to m, after the batch at m proved to be the
// one that the receipt names.
func (k *Keeper) release(m spool.Mark, hash [32]byte) error {
	if now := k.spool.Instance(); now != k.instance {
		k.instance = now
		k.cursor.Seek(spool.Position{})
	}
	for {
		f, at, err := k.cursor.Next()
		if errors.Is(err, io.EOF) {
			break // it was released before a restart
		} else if err != nil {
			return fmt.Errorf("release spool: %w", err)
		}
		if m.Before(f.Mark()) {
			k.cursor.Seek(at)
			break
		}
		if f.Mark() == m {
			if f.Hash != hash {
				k.cursor.Seek(at)
				return fmt.Errorf("host %s, batch %d.%d: %w: another hash", k.host, m.Epoch, m.Seq, ErrForeign)
			}
			break
		}
	}
	k.at = m
	k.spool.Receipted(k.host, m)
	if err := k.spool.Release(k.cursor.Position()); err != nil {
		return fmt.Errorf("release spool: %w", err)
	}
	return nil
}

// rewind keeps everything that is left, and says whether what the collector
// needs next is not among it.
func (k *Keeper) rewind(m spool.Mark) (*Loss, error) {
	k.at = m
	k.spool.Rewind(k.host, m)
	k.cursor.Seek(spool.Position{})
	for {
		f, at, err := k.cursor.Next()
		if errors.Is(err, io.EOF) {
			head, _ := k.spool.Head(k.host)
			return &Loss{From: m, To: head.Last}, nil
		} else if err != nil {
			return nil, fmt.Errorf("rewind spool: %w", err)
		}
		if !m.Before(f.Mark()) {
			continue
		}
		k.cursor.Seek(at)
		if f.Epoch == m.Epoch && f.First() <= m.Seq+1 || f.Epoch > m.Epoch && f.First() == 1 {
			return nil, nil
		}
		return &Loss{From: m, To: f.Mark()}, nil
	}
}
