// Package attest signs what a host says and verifies it before anyone reads it.
//
// An envelope is the exact bytes that were signed, so nothing is canonicalised:
//
//	magic "FWE1" | public key (32) | signature (64) | body
//
// The signature is Ed25519 over domain, a zero byte and the SHA-256 of magic,
// key and body. The domain keeps a receipt from being taken for a batch.
package attest

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
)

// The domains of signatures.
const (
	DomainBatch   = "flopwatch/batch/v1"
	DomainReceipt = "flopwatch/receipt/v1"
	DomainLeases  = "flopwatch/leases/v1"

	DomainSettings = "flopwatch/settings/v1"
)

// MaxEnvelope is the largest envelope in bytes that Open looks at.
const MaxEnvelope = 1 << 20

// Overhead is what an envelope adds to its body, in bytes.
const Overhead = len(magic) + ed25519.PublicKeySize + ed25519.SignatureSize

const magic = "FWE1"

// Errors of Open.
var (
	ErrSize      = errors.New("envelope is too short or too long")
	ErrFormat    = errors.New("envelope has an unknown format")
	ErrSignature = errors.New("envelope's signature does not verify")
)

var hostEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// HostID returns the id that follows from a host's key: the first 26 lower-case
// base32 characters of its SHA-256.
func HostID(pub ed25519.PublicKey) string {
	sum := sha256.Sum256(pub)
	return hostEncoding.EncodeToString(sum[:])[:26]
}

// Seal returns the envelope of body, signed for a domain.
func Seal(key ed25519.PrivateKey, domain string, body []byte) []byte {
	out := make([]byte, 0, Overhead+len(body))
	out = append(out, magic...)
	out = append(out, key.Public().(ed25519.PublicKey)...)
	pub := out[len(magic):]
	out = append(out, ed25519.Sign(key, appendSigned(nil, domain, pub, body))...)
	return append(out, body...)
}

// Open verifies an envelope and returns the key that signed it and its body,
// which shares the envelope's memory. It does not say whether the key is known.
func Open(domain string, envelope []byte) (pub ed25519.PublicKey, body []byte, err error) {
	pub, signature, body, err := split(envelope)
	if err != nil {
		return nil, nil, err
	}
	var message [messageSize]byte
	if !verify(pub, appendSigned(message[:0], domain, pub, body), signature) {
		return nil, nil, ErrSignature
	}
	return pub, body, nil
}

// split cuts an envelope into its parts, which share its memory.
func split(envelope []byte) (pub ed25519.PublicKey, signature, body []byte, err error) {
	if len(envelope) < Overhead || len(envelope) > MaxEnvelope {
		return nil, nil, nil, fmt.Errorf("%w: %d bytes", ErrSize, len(envelope))
	}
	if string(envelope[:len(magic)]) != magic {
		return nil, nil, nil, ErrFormat
	}
	pub = ed25519.PublicKey(envelope[len(magic) : len(magic)+ed25519.PublicKeySize])
	return pub, signatureOf(envelope), envelope[Overhead:], nil
}

func signatureOf(envelope []byte) []byte {
	return envelope[len(magic)+ed25519.PublicKeySize : Overhead]
}

// Hash returns the chain hash of an envelope.
func Hash(envelope []byte) [32]byte { return sha256.Sum256(envelope) }

// messageSize is room for what is signed, with the longest domain.
const messageSize = 64 + sha256.Size

// appendSigned appends what is signed.
func appendSigned(out []byte, domain string, pub, body []byte) []byte {
	h := sha256.New()
	h.Write([]byte(magic))
	h.Write(pub)
	h.Write(body)
	out = append(append(out, domain...), 0)
	return h.Sum(out)
}
