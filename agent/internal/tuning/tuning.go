// Package tuning keeps the settings that the collector told this host.
//
// What was told lies in a file as it was signed. It is verified before anything
// of it is looked at, and the last one that was good is kept beside it: when the
// broker is away, or what is told is not signed, that one goes on to hold.
package tuning

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/flopwatch/flopwatch/agent/internal/handover"
	"github.com/flopwatch/flopwatch/pkg/settings"
)

// ErrRefused is wrapped by the error of Poll for settings that were told and do
// not hold.
var ErrRefused = errors.New("settings are refused")

// maxFile bounds what is read of a file.
const maxFile = 8 << 10

// Keeper looks for settings. It belongs to one goroutine.
type Keeper struct {
	told, good string // files
	host       string
	collector  ed25519.PublicKey
	current    settings.Told
	seen       []byte // of the file that was looked at last
}

// Open returns a keeper of the settings that Tell writes into the file told, with
// the last good ones from folder: those of nobody are the default's.
func Open(folder, told, host string, collector ed25519.PublicKey) (*Keeper, error) {
	k := &Keeper{told: told, good: filepath.Join(folder, "settings.good"), host: host, collector: collector, current: settings.Told{Host: host, Values: settings.Default}}
	envelope, err := read(k.good)
	if err != nil {
		return nil, err
	}
	if envelope == nil {
		return k, nil
	}
	// A file that does not verify, of another collector perhaps, is as good as none.
	if t, err := settings.Open(collector, host, 0, envelope); err == nil {
		k.current = t
	}
	return k, nil
}

// Current returns the settings that hold.
func (k *Keeper) Current() settings.Told { return k.current }

// Poll looks for settings that were told since the last call, and reports whether
// they changed what holds. An error that wraps ErrRefused leaves everything as it
// is and is told once.
func (k *Keeper) Poll() (bool, error) {
	envelope, err := read(k.told)
	if err != nil || envelope == nil || bytes.Equal(envelope, k.seen) {
		return false, err
	}
	k.seen = envelope
	t, err := settings.Open(k.collector, k.host, k.current.Serial, envelope)
	if errors.Is(err, settings.ErrOlder) {
		return false, nil // told again
	}
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if err := handover.Write(k.good, envelope); err != nil {
		return false, err
	}
	k.current = t
	return true, nil
}

// Tell writes what the host was told into the file that a keeper looks at.
func Tell(path string, envelope []byte) error { return handover.Write(path, envelope) }

// read returns nil where there is no file.
func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	data, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	return data, nil
}
