// Package sealing encrypts small secrets so that they open at their place alone.
package sealing

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"strings"
)

// ErrShut means that a secret does not open with this key at this place.
var ErrShut = errors.New("it does not open: it was changed or belongs elsewhere")

// Cipher returns AES-GCM of a key of 16, 24 or 32 bytes. Nonces are random; a key
// seals far fewer than the 2^32 items up to which that is safe.
func Cipher(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// Seal seals a text to its place: what it is and whose. Moved elsewhere it does not
// open.
func Seal(key, text []byte, place ...string) ([]byte, error) {
	c, err := Cipher(key)
	if err != nil {
		return nil, err
	}
	return With(c, text, place...), nil
}

// With is Seal with the cipher of a key that seals many.
func With(c cipher.AEAD, text []byte, place ...string) []byte {
	return c.Seal(nil, nil, text, at(place))
}

// Open returns what was sealed to a place. The error is ErrShut where it does not open.
func Open(key, data []byte, place ...string) ([]byte, error) {
	c, err := Cipher(key)
	if err != nil {
		return nil, err
	}
	text, err := c.Open(nil, nil, data, at(place))
	if err != nil {
		return nil, ErrShut
	}
	return text, nil
}

func at(place []string) []byte { return []byte(strings.Join(place, "\x00")) }
