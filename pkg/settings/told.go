package settings

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/flopwatch/flopwatch/pkg/attest"
)

// Subject is on which a host is told its settings. It lies in the space of the
// bucket settings, which a host may hear and never ask.
func Subject(host string) string { return "$KV.settings." + host + ".current" }

// Told is what one host is told.
type Told struct {
	Host    string `json:"host"`
	Serial  int64  `json:"serial"`  // grows with everything that the host is told
	Version int    `json:"version"` // of the text; 0 is the default
	Values
}

// Errors of Open.
var (
	ErrKey   = errors.New("settings are not signed by the collector")
	ErrHost  = errors.New("settings are for another host")
	ErrOlder = errors.New("settings are older than those that hold")
)

// maxTold bounds the message.
const maxTold = 4 << 10

// Seal signs what a host is told.
func Seal(key ed25519.PrivateKey, t Told) ([]byte, error) {
	body, err := json.Marshal(t)
	if err != nil {
		return nil, fmt.Errorf("encode settings: %w", err)
	}
	return attest.Seal(key, attest.DomainSettings, body), nil
}

// Open verifies what a host was told before it reads it. Whatever it would
// change, unsigned it changes nothing.
func Open(collector ed25519.PublicKey, host string, after int64, envelope []byte) (Told, error) {
	if len(envelope) > maxTold {
		return Told{}, fmt.Errorf("open settings: %d bytes: %w", len(envelope), attest.ErrSize)
	}
	by, body, err := attest.Open(attest.DomainSettings, envelope)
	if err != nil {
		return Told{}, fmt.Errorf("open settings: %w", err)
	}
	if !by.Equal(collector) {
		return Told{}, fmt.Errorf("open settings: %w", ErrKey)
	}
	var t Told
	d := json.NewDecoder(bytes.NewReader(body))
	if err := d.Decode(&t); err != nil {
		return Told{}, fmt.Errorf("open settings: %w", err)
	}
	switch {
	case t.Host != host:
		return Told{}, fmt.Errorf("open settings: %w", ErrHost)
	case t.Serial <= after:
		return Told{}, fmt.Errorf("open settings: %w", ErrOlder)
	}
	if err := t.Validate(); err != nil {
		return Told{}, fmt.Errorf("open settings: %w", err)
	}
	return t, nil
}
