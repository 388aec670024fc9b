// Package enrolment is the door for agents: a listener of its own, over TLS 1.3
// with the collector's own authority, on which hosts bind their keys and replace
// them. It serves nothing else, above all no route of the API.
package enrolment

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/flopwatch/flopwatch/pkg/attest"
	"github.com/flopwatch/flopwatch/pkg/enrol"
)

// How long certificates hold. Hosts pin the authority for good; its certificates
// for the collector are made anew long before they end.
const (
	authorityYears = 20
	leafLife       = 90 * 24 * time.Hour
	leafRenew      = 30 * 24 * time.Hour // before its end
)

// Authority is the certificate authority of one collector. It makes certificates
// for that collector and nobody else.
type Authority struct {
	key         ed25519.PrivateKey
	certificate *x509.Certificate
	now         func() time.Time

	mu   sync.Mutex
	leaf *tls.Certificate
	ends time.Time
}

// LoadAuthority reads the authority in the directory, or makes it on the first
// start: agents-ca.key, for the owner only, and agents-ca.pem.
func LoadAuthority(dir string, now func() time.Time) (*Authority, error) {
	key, err := attest.LoadOrCreateKey(filepath.Join(dir, "agents-ca.key"))
	if err != nil {
		return nil, fmt.Errorf("agents' authority: %w", err)
	}
	a := &Authority{key: key, now: now}
	path := filepath.Join(dir, "agents-ca.pem")
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if data, err = makeAuthority(key, now()); err == nil {
			err = writeWhole(path, data)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("agents' authority: %w", err)
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, fmt.Errorf("agents' authority: %s holds no certificate", path)
	}
	if a.certificate, err = x509.ParseCertificate(block.Bytes); err != nil {
		return nil, fmt.Errorf("agents' authority: %s: %w", path, err)
	}
	if public, ok := a.certificate.PublicKey.(ed25519.PublicKey); !ok || !public.Equal(key.Public()) {
		return nil, fmt.Errorf("agents' authority: %s is not of the key beside it", path)
	}
	return a, nil
}

func makeAuthority(key ed25519.PrivateKey, now time.Time) ([]byte, error) {
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "flopwatch agents' authority"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(authorityYears, 0, 0),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
		PermittedDNSDomainsCritical: true, PermittedDNSDomains: []string{enrol.ServerName},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make certificate: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}

func serial() *big.Int {
	var b [16]byte
	rand.Read(b[:]) // never fails: the runtime stops the program instead
	return new(big.Int).SetBytes(b[:])
}

func writeWhole(path string, data []byte) error {
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// Certificate returns the authority's certificate.
func (a *Authority) Certificate() *x509.Certificate { return a.certificate }

// TLS returns the configuration of a server of this collector. Its certificate
// is renewed while it runs.
func (a *Authority) TLS() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return a.current()
		},
	}
}

func (a *Authority) current() (*tls.Certificate, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	if a.leaf != nil && now.Before(a.ends.Add(-leafRenew)) {
		return a.leaf, nil
	}
	leaf, err := a.issue(now, leafLife)
	if err != nil {
		return nil, err
	}
	a.leaf, a.ends = leaf, now.Add(leafLife)
	return leaf, nil
}

// externalLife is how long the certificate of a broker outside holds, which
// nothing renews by itself.
const externalLife = 398 * 24 * time.Hour

// ForServer makes a certificate for a broker outside the collector: the chain and
// the key, both PEM.
func (a *Authority) ForServer() (chain, key []byte, err error) {
	leaf, err := a.issue(a.now(), externalLife)
	if err != nil {
		return nil, nil, err
	}
	for _, der := range leaf.Certificate {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	private, err := x509.MarshalPKCS8PrivateKey(leaf.PrivateKey)
	if err != nil {
		return nil, nil, fmt.Errorf("encode server key: %w", err)
	}
	return chain, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), nil
}

func (a *Authority) issue(now time.Time, life time.Duration) (*tls.Certificate, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make server key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "flopwatch collector"}, DNSNames: []string{enrol.ServerName},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(life),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, public, a.key)
	if err != nil {
		return nil, fmt.Errorf("make server certificate: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{der, a.certificate.Raw}, PrivateKey: private}, nil
}
