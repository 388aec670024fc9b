package audit

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// ParseVerifierKey returns name and Ed25519 key of a log's key in the form of
// VerifierKey.
func ParseVerifierKey(text string) (name string, key ed25519.PublicKey, err error) {
	name, key, kind, err := parseKey(text)
	if err == nil && kind != algorithm {
		err = fmt.Errorf("key of %s is of algorithm %d, not Ed25519", name, kind)
	}
	return name, key, err
}

func parseKey(text string) (name string, key ed25519.PublicKey, kind byte, err error) {
	name, rest, _ := strings.Cut(text, "+")
	hash, encoded, ok := strings.Cut(rest, "+")
	raw, decodeErr := base64.StdEncoding.DecodeString(encoded)
	want, hashErr := strconv.ParseUint(hash, 16, 32)
	if !ok || decodeErr != nil || hashErr != nil || name == "" || len(raw) != 1+ed25519.PublicKeySize {
		return "", nil, 0, errors.New("this is no key of the form name+hash+base64")
	}
	sum := sha256.Sum256(append([]byte(name+"\n"), raw...))
	if binary.BigEndian.Uint32(sum[:4]) != uint32(want) {
		return "", nil, 0, fmt.Errorf("key of %.80q: its hash is not its own", name)
	}
	return name, raw[1:], raw[0], nil
}

// cosignature is the algorithm of a witness's signature (C2SP tlog-cosignature).
const cosignature = 4

// witness verifies cosignatures: a time in seconds and an Ed25519 signature of
// that time and the checkpoint.
type witness struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

func (w witness) Name() string    { return w.name }
func (w witness) KeyHash() uint32 { return w.hash }
func (w witness) Verify(text, sig []byte) bool {
	if len(sig) != 8+ed25519.SignatureSize {
		return false
	}
	message := "cosignature/v1\ntime " + strconv.FormatUint(binary.BigEndian.Uint64(sig), 10) + "\n" + string(text)
	return ed25519.Verify(w.key, []byte(message), sig[8:])
}

// Witnessed fails unless the witness of the key has cosigned a checkpoint. It
// returns the witness's name.
func Witnessed(signed, key string) (name string, err error) {
	name, public, kind, err := parseKey(key)
	if err != nil {
		return "", fmt.Errorf("witness: %w", err)
	}
	if kind != cosignature {
		return name, fmt.Errorf("witness %s: its key is of algorithm %d, not one of cosignatures", name, kind)
	}
	sum := sha256.Sum256(append([]byte(name+"\n"+string(rune(cosignature))), public...))
	w := witness{name, binary.BigEndian.Uint32(sum[:4]), public}
	if _, err := note.Open([]byte(signed), note.VerifierList(w)); err != nil {
		return name, fmt.Errorf("witness %s has not cosigned the checkpoint: %w", name, err)
	}
	return name, nil
}

// Anchor is a signed checkpoint as it is kept at a second place, a line of JSON
// each.
type Anchor struct {
	At         time.Time `json:"at"`
	Checkpoint string    `json:"checkpoint"`
}

// Line returns the anchor as a line with its end.
func (a Anchor) Line() ([]byte, error) {
	line, err := json.Marshal(a)
	if err != nil {
		return nil, fmt.Errorf("anchor: %w", err)
	}
	return append(line, '\n'), nil
}

// ReadAnchors calls take with the signed checkpoints of a file of anchors, or with
// the one of a file that is one. Lines that were torn while they were written are
// left out.
func ReadAnchors(r io.Reader, take func(signed string) error) error {
	in := bufio.NewReaderSize(r, 64<<10)
	if first, err := in.Peek(1); err == nil && first[0] != '{' {
		text, err := io.ReadAll(io.LimitReader(in, 64<<10))
		if err != nil {
			return fmt.Errorf("read checkpoint: %w", err)
		}
		return take(string(text))
	}
	for n := 1; ; n++ {
		line, err := in.ReadSlice('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read anchors: line %d: %w", n, err)
		}
		var a Anchor
		var syntax *json.SyntaxError
		if err := json.Unmarshal(line, &a); errors.As(err, &syntax) && syntax.Offset >= int64(len(bytes.TrimSuffix(line, []byte("\n")))) {
			continue
		} else if err != nil {
			return fmt.Errorf("read anchors: line %d: %w", n, err)
		}
		if err := take(a.Checkpoint); err != nil {
			return err
		}
	}
}
