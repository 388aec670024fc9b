// Package endpoint is the file in which a collector tells programs on the same
// machine where it is: agents find the broker there, and pin the key that signs
// receipts.
package endpoint

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Agents is what an agent needs to reach a collector.
type Agents struct {
	URL          string // of the broker, nats://host:port
	SeedFile     string // nkey seed to connect with
	CollectorKey ed25519.PublicKey
}

type document struct {
	URL          string `json:"url"`
	SeedFile     string `json:"seed_file"`
	CollectorKey string `json:"collector_key"` // base64 of 32 bytes
}

// Write replaces the file at path as a whole, readable by its owner only.
func Write(path string, a Agents) (err error) {
	data, err := json.MarshalIndent(document{a.URL, a.SeedFile, base64.StdEncoding.EncodeToString(a.CollectorKey)}, "", "  ")
	if err != nil {
		return fmt.Errorf("encode endpoint: %w", err)
	}
	temp, err := os.CreateTemp(filepath.Dir(path), ".endpoint-")
	if err != nil {
		return fmt.Errorf("write endpoint: %w", err)
	}
	_, err = temp.Write(append(data, '\n'))
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
	return Agents{URL: d.URL, SeedFile: d.SeedFile, CollectorKey: key}, nil
}
