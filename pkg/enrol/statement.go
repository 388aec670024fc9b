package enrol

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/nats-io/nkeys"
)

// Limits of what the two sides read from each other.
const (
	MaxBodyBytes = 16 << 10
	MaxText      = 256 // bytes of a name
)

// Paths of the agents' listener. All take POST and JSON.
const (
	PathNonce  = "/agents/v1/nonce"
	PathEnrol  = "/agents/v1/enrol"
	PathRotate = "/agents/v1/rotate"
)

// Nonce is the answer to PathNonce: what the next request has to sign.
type Nonce struct {
	Nonce []byte `json:"nonce"`
}

// Keys are the public halves of the two keys that a host made, and its proof
// that it has the private ones.
type Keys struct {
	Signing          []byte `json:"signing"` // Ed25519, of batches
	Broker           string `json:"broker"`  // public nkey of the connection, begins with U
	SigningSignature []byte `json:"signing_signature"`
	BrokerSignature  []byte `json:"broker_signature"`
}

// Facts are what a host says of itself. They are claims.
type Facts struct {
	Name         string `json:"name"`
	OS           string `json:"os"`
	Kernel       string `json:"kernel"`
	AgentVersion string `json:"agent_version"`
}

// Request asks to bind keys to the host of a token.
type Request struct {
	Token string `json:"token"`
	Nonce []byte `json:"nonce"`
	Keys  Keys   `json:"keys"`
	Facts Facts  `json:"facts"`
}

// Welcome is the answer to a Request.
type Welcome struct {
	Host        string   `json:"host"`         // chosen by the collector
	Epoch       uint64   `json:"epoch"`        // smallest epoch of the host's first batch
	ReceiptKeys [][]byte `json:"receipt_keys"` // Ed25519; receipts are signed by one of them
	Broker      string   `json:"broker"`       // host:port, of several servers with commas between; without a host it is where the host enrolled
	Authority   []byte   `json:"authority"`    // certificate, DER
	Counter     []byte   `json:"counter"`      // signed, to show at the first connection
}

// Rotation asks to bind new keys in place of a host's old ones.
type Rotation struct {
	Host         string `json:"host"`
	Nonce        []byte `json:"nonce"`
	Keys         Keys   `json:"keys"`
	OldSigning   []byte `json:"old_signing"`
	OldSignature []byte `json:"old_signature"` // of the statement, by the old signing key
}

// Rotated is the answer to a Rotation.
type Rotated struct {
	OldUntil string `json:"old_until"` // RFC 3339: until then the old keys count as well
}

// The domains of signatures.
const (
	domainEnrol  = "flopwatch/enrol/v1"
	domainRotate = "flopwatch/rotate/v1"
)

// statement is what all keys of a request sign: for which token or host, over
// which nonce, both public keys.
func statement(domain, subject string, nonce []byte, k Keys) []byte {
	h := sha256.New()
	for _, part := range [][]byte{[]byte(subject), nonce, k.Signing, []byte(k.Broker)} {
		fmt.Fprintf(h, "%d:", len(part))
		h.Write(part)
	}
	return h.Sum(append([]byte(domain), 0))
}

// Private are the private halves of Keys.
type Private struct {
	Signing ed25519.PrivateKey
	Broker  nkeys.KeyPair
}

func (p Private) prove(domain, subject string, nonce []byte) (Keys, error) {
	public, err := p.Broker.PublicKey()
	if err != nil {
		return Keys{}, fmt.Errorf("broker key: %w", err)
	}
	k := Keys{Signing: p.Signing.Public().(ed25519.PublicKey), Broker: public}
	text := statement(domain, subject, nonce, k)
	k.SigningSignature = ed25519.Sign(p.Signing, text)
	if k.BrokerSignature, err = p.Broker.Sign(text); err != nil {
		return Keys{}, fmt.Errorf("sign with broker key: %w", err)
	}
	return k, nil
}

// Ask makes the request that binds keys by a token.
func Ask(t Token, nonce []byte, p Private, f Facts) (Request, error) {
	k, err := p.prove(domainEnrol, t.text, nonce)
	return Request{Token: t.text, Nonce: nonce, Keys: k, Facts: f}, err
}

// AskRotation makes the request that binds new keys by old ones.
func AskRotation(host string, nonce []byte, old ed25519.PrivateKey, next Private) (Rotation, error) {
	k, err := next.prove(domainRotate, host, nonce)
	if err != nil {
		return Rotation{}, err
	}
	return Rotation{
		Host: host, Nonce: nonce, Keys: k, OldSigning: old.Public().(ed25519.PublicKey),
		OldSignature: ed25519.Sign(old, statement(domainRotate, host, nonce, k)),
	}, nil
}

// ErrProof means that who asks has not shown that the keys are theirs.
var ErrProof = errors.New("a signature does not verify")

func (k Keys) verify(text []byte) error {
	if len(k.Signing) != ed25519.PublicKeySize || !nkeys.IsValidPublicUserKey(k.Broker) {
		return fmt.Errorf("%w: the keys must be an Ed25519 key and a public nkey of a user", ErrProof)
	}
	broker, err := nkeys.FromPublicKey(k.Broker)
	if err != nil || !ed25519.Verify(k.Signing, text, k.SigningSignature) || broker.Verify(text, k.BrokerSignature) != nil {
		return ErrProof
	}
	return nil
}

// Verify checks that who asks holds both keys. It says nothing of token and nonce.
func (r Request) Verify() error {
	return r.Keys.verify(statement(domainEnrol, r.Token, r.Nonce, r.Keys))
}

// Verify checks that who asks holds both new keys and the old one. It says
// nothing of whose the old one is, nor of the nonce.
func (r Rotation) Verify() error {
	text := statement(domainRotate, r.Host, r.Nonce, r.Keys)
	if err := r.Keys.verify(text); err != nil {
		return err
	}
	if len(r.OldSigning) != ed25519.PublicKeySize || !ed25519.Verify(r.OldSigning, text, r.OldSignature) {
		return ErrProof
	}
	return nil
}
