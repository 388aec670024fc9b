package audit

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// Checkpoint is the size and root of a log at a time, as C2SP tlog-checkpoint
// writes it: origin, size and root, a line each.
type Checkpoint struct {
	Origin string // names the log: flopwatch/ and the collector's id
	Size   int64
	Root   Hash
}

// Origin returns the name of the log of a collector.
func Origin(collector string) string { return "flopwatch/" + collector }

// Text returns the body of the note.
func (c Checkpoint) Text() string {
	return c.Origin + "\n" + strconv.FormatInt(c.Size, 10) + "\n" + base64.StdEncoding.EncodeToString(c.Root[:]) + "\n"
}

// ParseCheckpoint reads the body of a note. Lines that extend it are refused:
// this log writes none.
func ParseCheckpoint(text string) (Checkpoint, error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 4 || lines[0] == "" || lines[3] != "" {
		return Checkpoint{}, errors.New("checkpoint does not have the lines origin, size and root")
	}
	c := Checkpoint{Origin: lines[0]}
	var err error
	if c.Size, err = strconv.ParseInt(lines[1], 10, 64); err != nil || c.Size < 0 {
		return Checkpoint{}, errors.New("checkpoint's size is not a number")
	}
	root, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil || len(root) != len(c.Root) {
		return Checkpoint{}, errors.New("checkpoint's root is not 32 bytes of base64")
	}
	copy(c.Root[:], root)
	if c.Text() != text {
		return Checkpoint{}, errors.New("checkpoint is not in its one form")
	}
	return c, nil
}

// Sign returns the signed note (C2SP signed-note, Ed25519) of a checkpoint.
func (c Checkpoint) Sign(key ed25519.PrivateKey) (string, error) {
	signed, err := note.Sign(&note.Note{Text: c.Text()}, signer{name: c.Origin, key: key})
	if err != nil {
		return "", fmt.Errorf("sign checkpoint of %d entries: %w", c.Size, err)
	}
	return string(signed), nil
}

// OpenCheckpoint verifies a signed note with the log's key and returns its
// checkpoint. Signatures of others, of witnesses say, are let be.
func OpenCheckpoint(signed, origin string, key ed25519.PublicKey) (Checkpoint, error) {
	if len(key) != ed25519.PublicKeySize {
		return Checkpoint{}, fmt.Errorf("open checkpoint: key of %d bytes", len(key))
	}
	n, err := note.Open([]byte(signed), note.VerifierList(verifier{name: origin, key: key}))
	if err != nil {
		return Checkpoint{}, fmt.Errorf("open checkpoint: %w", err)
	}
	c, err := ParseCheckpoint(n.Text)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("open checkpoint: %w", err)
	}
	if c.Origin != origin {
		return Checkpoint{}, fmt.Errorf("open checkpoint: it is of log %q, not %q", c.Origin, origin)
	}
	return c, nil
}

// PeekCheckpoint returns what a signed note says, without verifying anything.
func PeekCheckpoint(signed string) (Checkpoint, error) {
	text, _, ok := strings.Cut(signed, "\n\n")
	if !ok {
		return Checkpoint{}, errors.New("this is no signed checkpoint")
	}
	return ParseCheckpoint(text + "\n")
}

// algorithm is Ed25519 in the key hashes of signed notes.
const algorithm = 1

func keyHash(name string, key ed25519.PublicKey) uint32 {
	sum := sha256.Sum256(append([]byte(name+"\n"+string(rune(algorithm))), key...))
	return binary.BigEndian.Uint32(sum[:4])
}

// VerifierKey returns the log's key as C2SP tools take it.
func VerifierKey(origin string, key ed25519.PublicKey) string {
	return fmt.Sprintf("%s+%08x+%s", origin, keyHash(origin, key), base64.StdEncoding.EncodeToString(append([]byte{algorithm}, key...)))
}

type signer struct {
	name string
	key  ed25519.PrivateKey
}

func (s signer) Name() string                     { return s.name }
func (s signer) KeyHash() uint32                  { return keyHash(s.name, s.key.Public().(ed25519.PublicKey)) }
func (s signer) Sign(text []byte) ([]byte, error) { return ed25519.Sign(s.key, text), nil }

type verifier struct {
	name string
	key  ed25519.PublicKey
}

func (v verifier) Name() string                 { return v.name }
func (v verifier) KeyHash() uint32              { return keyHash(v.name, v.key) }
func (v verifier) Verify(text, sig []byte) bool { return ed25519.Verify(v.key, text, sig) }
