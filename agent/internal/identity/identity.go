// Package identity is who a host is to its collector: it enrols the host with
// keys that it makes there, replaces them, and opens them for the agent.
package identity

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/flopwatch/flopwatch/pkg/attest"
	"github.com/flopwatch/flopwatch/pkg/endpoint"
	"github.com/flopwatch/flopwatch/pkg/enrol"
)

// ErrNotEnrolled means that the endpoint is that of a trial on this machine.
var ErrNotEnrolled = errors.New("this host is not enrolled")

// Connection returns the options with which an agent connects to the broker: its
// key, and for an enrolled host TLS that trusts the pinned authority alone.
func Connection(e endpoint.Agents) ([]nats.Option, error) {
	key, err := nats.NkeyOptionFromSeed(e.SeedFile)
	if err != nil {
		return nil, fmt.Errorf("read broker key %s: %w", e.SeedFile, err)
	}
	options := []nats.Option{key}
	if e.Identity != nil {
		authority, err := readAuthority(e.Identity.AuthorityFile)
		if err != nil {
			return nil, err
		}
		options = append(options, nats.Secure(enrol.ByAuthority(authority)))
	}
	return options, nil
}

// SigningKey returns the key that signs batches: the enrolled one, or for a trial
// the one in the data directory, which is made on the first start.
func SigningKey(e endpoint.Agents, data string) (ed25519.PrivateKey, error) {
	if e.Identity == nil {
		return attest.LoadOrCreateKey(filepath.Join(data, "host.key"))
	}
	return attest.LoadKey(e.Identity.SigningFile)
}

// HostID returns the id under which a key signs.
func HostID(e endpoint.Agents, key ed25519.PrivateKey) string {
	if e.Identity == nil {
		return attest.HostID(key.Public().(ed25519.PublicKey))
	}
	return e.Identity.Host
}

func readAuthority(path string) (*x509.Certificate, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the collector's authority: %w", err)
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, fmt.Errorf("read the collector's authority: %s holds no certificate", path)
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read the collector's authority %s: %w", path, err)
	}
	return c, nil
}

// makeKeys makes both keys of a host.
func makeKeys() (enrol.Private, error) {
	_, signing, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return enrol.Private{}, fmt.Errorf("make signing key: %w", err)
	}
	broker, err := nkeys.CreatePairWithRand(nkeys.PrefixByteUser, rand.Reader)
	if err != nil {
		return enrol.Private{}, fmt.Errorf("make broker key: %w", err)
	}
	return enrol.Private{Signing: signing, Broker: broker}, nil
}

// keep writes the keys into files with names that were never used, and returns
// their paths. They are on disk before the collector hears of them: a key that it
// bound and the host lost would lock the host out.
func keep(dir string, p enrol.Private, users Users, now time.Time) (signing, broker string, err error) {
	if err := users.makeFolder(dir); err != nil {
		return "", "", fmt.Errorf("make folder for keys: %w", err)
	}
	stamp := now.UTC().Format("20060102T150405.000000000")
	signing, broker = filepath.Join(dir, "signing-"+stamp+".key"), filepath.Join(dir, "broker-"+stamp+".nk")
	seed, err := p.Broker.Seed()
	if err != nil {
		return "", "", fmt.Errorf("keep broker key: %w", err)
	}
	if err := errors.Join(writeSecret(signing, users.Sampler, p.Signing.Seed()), writeSecret(broker, users.Shipper, append(seed, '\n')), syncDir(dir)); err != nil {
		return "", "", fmt.Errorf("keep keys: %w", err)
	}
	return signing, broker, nil
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
