package enrol

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strings"

	"github.com/flopwatch/flopwatch/pkg/attest"
)

// Counter tells a host from a copy of it. The collector signs one number after
// the other; a host shows the newest at each connection and gets the next. Who
// comes with an older one is not the host that was there last.
type Counter struct {
	Host   string
	Number uint64
}

// domainCounter keeps a counter from being taken for anything else.
const domainCounter = "flopwatch/counter/v1"

// ErrCounter means that a counter was not signed by the collector.
var ErrCounter = errors.New("the counter is not the collector's")

// Sign returns the counter as a host keeps and shows it.
func (c Counter) Sign(key ed25519.PrivateKey) []byte {
	return attest.Seal(key, domainCounter, append(binary.BigEndian.AppendUint64(nil, c.Number), c.Host...))
}

// ReadCounter reads a signed counter. Its error is ErrCounter.
func ReadCounter(key ed25519.PublicKey, signed []byte) (Counter, error) {
	by, body, err := attest.Open(domainCounter, signed)
	if err != nil || !key.Equal(by) || len(body) < 8 {
		return Counter{}, ErrCounter
	}
	return Counter{Host: string(body[8:]), Number: binary.BigEndian.Uint64(body)}, nil
}

// Showing is what a host sends when it connects: the counter, and a word that is
// new for each counter. The word tells a host that comes again because the
// answer was lost from another one with the same counter.
type Showing struct {
	Signed []byte
	Word   string
}

// Encode returns the text that goes into the token of the connection.
func (s Showing) Encode() string {
	return base64.RawURLEncoding.EncodeToString(s.Signed) + "." + s.Word
}

// ReadShowing reads what Encode wrote. Its error is ErrCounter.
func ReadShowing(text string) (Showing, error) {
	first, word, ok := strings.Cut(text, ".")
	signed, err := base64.RawURLEncoding.DecodeString(first)
	if !ok || err != nil || len(word) > 64 || word == "" {
		return Showing{}, ErrCounter
	}
	return Showing{Signed: signed, Word: word}, nil
}
