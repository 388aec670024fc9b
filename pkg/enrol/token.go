// Package enrol is what a host and a collector say to each other before the
// host may send: join tokens, who signs what when keys are bound, and the pinned
// certificate authority. It holds no keys and opens no connection.
package enrol

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base32"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// How long a join token may be used.
const (
	TokenLife    = time.Hour
	MaxTokenLife = 24 * time.Hour
)

// TokenPrefix begins every join token, so that scanners for secrets find them.
const TokenPrefix = "fwj_"

var (
	encoding  = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
	tokenForm = regexp.MustCompile(`^fwj_([a-z2-7]{26})\.([a-z2-7]{32})\.([a-z2-7]{52})$`)
)

// ErrToken means that a text is no join token. It never repeats the text.
var ErrToken = errors.New("not a join token: it must be fwj_, a host id, a secret and the hash of the collector's authority, with dots between")

// Token is a join token: who holds it may bind keys to one host, once.
type Token struct {
	Host      string   // for which host
	Authority [32]byte // AuthorityHash of the collector's authority
	text      string
}

// NewToken makes a token with a secret of 160 random bits.
func NewToken(host string, authority [32]byte) (Token, error) {
	var secret [20]byte
	rand.Read(secret[:]) // never fails: the runtime stops the program instead
	return ParseToken(TokenPrefix + host + "." + encoding.EncodeToString(secret[:]) + "." + encoding.EncodeToString(authority[:]))
}

// ParseToken reads a token; space around it is left out. The error is ErrToken.
func ParseToken(text string) (Token, error) {
	text = strings.TrimSpace(text)
	parts := tokenForm.FindStringSubmatch(text)
	if parts == nil {
		return Token{}, ErrToken
	}
	t := Token{Host: parts[1], text: text}
	sum, err := encoding.DecodeString(parts[3])
	if err != nil || len(sum) != len(t.Authority) {
		return Token{}, ErrToken
	}
	copy(t.Authority[:], sum)
	// Stray bits in the last character would make two texts of one hash.
	if encoding.EncodeToString(sum) != parts[3] {
		return Token{}, ErrToken
	}
	return t, nil
}

// Secret returns the whole text, which is to be shown once and kept nowhere.
func (t Token) Secret() string { return t.text }

// Hash is what a collector keeps of a token.
func (t Token) Hash() [32]byte { return sha256.Sum256([]byte(t.text)) }

// String keeps the secret out of logs.
func (t Token) String() string { return fmt.Sprintf("%s%s.…", TokenPrefix, t.Host) }

// GoString is as String.
func (t Token) GoString() string { return t.String() }

// AuthorityHash names an authority: the SHA-256 of its public key, as DER.
func AuthorityHash(authority *x509.Certificate) [32]byte {
	return sha256.Sum256(authority.RawSubjectPublicKeyInfo)
}
