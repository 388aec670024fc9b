// Package endpoint is the file that tells an agent where its collector is: the
// broker, and the key that signs receipts. A collector that serves a trial writes
// it for agents on the same machine; enrolment writes it on the host, with who
// the host is.
package endpoint

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Agents is what an agent needs to reach a collector.
type Agents struct {
	URL          string // of the broker, nats://host:port
	SeedFile     string // nkey seed to connect with
	CollectorKey ed25519.PublicKey
	Identity     *Identity // nil where nobody is enrolled
}

// Identity is who a host is since it enrolled. It holds no secrets, but says in
// which files they are.
type Identity struct {
	Host          string    `json:"host"`           // as the collector chose it
	SigningFile   string    `json:"signing_file"`   // seed of the key that signs batches
	AuthorityFile string    `json:"authority_file"` // certificate of the collector's authority, PEM
	Server        string    `json:"server"`         // host:port where keys are replaced
	Epoch         uint64    `json:"epoch"`          // smallest that the host may number in
	Counter       []byte    `json:"counter"`        // signed; for the first connection
	KeysSince     time.Time `json:"keys_since"`
}

type document struct {
	URL          string    `json:"url"`
	SeedFile     string    `json:"seed_file"`
	CollectorKey string    `json:"collector_key"` // base64 of 32 bytes
	Identity     *Identity `json:"identity,omitempty"`
}

// Write replaces the file at path as a whole. It is readable by its owner only,
// and with an Identity, which two programs need, by everybody.
func Write(path string, a Agents) (err error) {
	data, err := json.MarshalIndent(document{a.URL, a.SeedFile, base64.StdEncoding.EncodeToString(a.CollectorKey), a.Identity}, "", "  ")
	if err != nil {
		return fmt.Errorf("encode endpoint: %w", err)
	}
	temp, err := os.CreateTemp(filepath.Dir(path), ".endpoint-")
	if err != nil {
		return fmt.Errorf("write endpoint: %w", err)
	}
	_, err = temp.Write(append(data, '\n'))
	if err == nil && a.Identity != nil {
		err = temp.Chmod(0o644)
	}
	if err = errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return fmt.Errorf("write endpoint %s: %w", temp.Name(), errors.Join(err, os.Remove(temp.Name())))
	}
	if err := os.Rename(temp.Name(), path); err != nil {
		return fmt.Errorf("write endpoint: %w", errors.Join(err, os.Remove(temp.Name())))
	}
	return nil
}

// Read reads the file that Write wrote.
func Read(path string) (Agents, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Agents{}, fmt.Errorf("read endpoint (is a collector running, and is this its data directory?): %w", err)
	}
	var d document
	if err := json.Unmarshal(data, &d); err != nil {
		return Agents{}, fmt.Errorf("read endpoint %s: %w", path, err)
	}
	key, err := base64.StdEncoding.DecodeString(d.CollectorKey)
	if err != nil || len(key) != ed25519.PublicKeySize || d.URL == "" || d.SeedFile == "" {
		return Agents{}, fmt.Errorf("read endpoint %s: url, seed_file and collector_key must be set", path)
	}
	if id := d.Identity; id != nil && (id.Host == "" || id.SigningFile == "" || id.AuthorityFile == "" || id.Server == "") {
		return Agents{}, fmt.Errorf("read endpoint %s: identity must have host, signing_file, authority_file and server", path)
	}
	return Agents{URL: d.URL, SeedFile: d.SeedFile, CollectorKey: key, Identity: d.Identity}, nil
}
