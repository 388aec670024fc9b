package uplink

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/flopwatch/flopwatch/pkg/attest"
	"github.com/flopwatch/flopwatch/pkg/wire"
)

// pinName is the file in the spool's folder that keeps the key of a collector
// that was trusted at first use: base64 of the 32 bytes, one line.
const pinName = "collector.pub"

// trust knows the collector's key. The receipt callback reads it, the loop pins.
type trust struct {
	path string

	mu  sync.Mutex
	key ed25519.PublicKey // nil until pinned
}

func newTrust(dir string, pinned ed25519.PublicKey) (*trust, error) {
	t := &trust{path: filepath.Join(dir, pinName), key: pinned}
	if pinned != nil {
		if len(pinned) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("collector key of %d bytes: want %d", len(pinned), ed25519.PublicKeySize)
		}
		return t, nil
	}
	text, err := os.ReadFile(t.path)
	if errors.Is(err, fs.ErrNotExist) {
		return t, nil
	} else if err != nil {
		return nil, fmt.Errorf("read pinned collector key: %w", err)
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("pinned collector key %s: not a public key in base64", t.path)
	}
	t.key = key
	return t, nil
}

// accepts reports whether a receipt of this key may be looked at.
func (t *trust) accepts(key ed25519.PublicKey) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.key == nil || bytes.Equal(t.key, key)
}

// pin keeps the key of the first receipt that matched a batch. It reports false
// when another key was pinned before.
func (t *trust) pin(key ed25519.PublicKey) (bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.key != nil {
		return bytes.Equal(t.key, key), nil
	}
	if err := writePin(t.path, key); err != nil {
		return false, fmt.Errorf("pin collector key: %w", err)
	}
	t.key = bytes.Clone(key)
	return true, nil
}

func (t *trust) pinned() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.key != nil
}

// writePin stores the key so that a crash leaves all of it or nothing.
func writePin(path string, key ed25519.PublicKey) error {
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(base64.StdEncoding.EncodeToString(key) + "\n")
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	err = dir.Sync()
	if cerr := dir.Close(); err == nil {
		err = cerr
	}
	return err
}

// signedReceipt is a receipt whose signature is good, and who signed it.
type signedReceipt struct {
	wire.Receipt
	key      ed25519.PublicKey
	envelope []byte
}

// verify opens a receipt. A bad one is counted and logged and otherwise ignored:
// stopping for it would let anyone stop the host.
func (u *Uplink) verify(ctx context.Context, m *nats.Msg) (signedReceipt, bool) {
	key, body, err := attest.OpenEither(attest.DomainReceipt, m.Data)
	if err != nil {
		u.opt.Log.WarnContext(ctx, "receipt with a bad signature ignored", slog.String("subject", m.Subject), slog.Any("err", err))
		return signedReceipt{}, false
	}
	if !u.trust.accepts(key) {
		u.opt.Log.ErrorContext(ctx, "receipt of a collector that is not trusted ignored", slog.String("subject", m.Subject))
		return signedReceipt{}, false
	}
	r, err := wire.DecodeReceipt(body)
	if err == nil && m.Subject != wire.ReceiptSubject(r.Host) {
		err = fmt.Errorf("receipt for host %s on subject %s", r.Host, m.Subject)
	}
	if err != nil {
		u.opt.Log.WarnContext(ctx, "receipt ignored", slog.String("subject", m.Subject), slog.Any("err", err))
		return signedReceipt{}, false
	}
	return signedReceipt{r, key, m.Data}, true
}
