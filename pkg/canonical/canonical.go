// Package canonical writes JSON in the one form of RFC 8785, so that equal
// values have equal bytes and a digest of them means something.
//
// It is stricter than the RFC where the RFC would lose something without a
// word: a number that a float64 cannot hold exactly, a name that is given
// twice and a half of a surrogate pair are errors.
package canonical

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth bounds how deep values may lie in each other.
const maxDepth = 100

// Digest returns the SHA-256 of the canonical form of v.
func Digest(v any) ([sha256.Size]byte, error) {
	text, err := Marshal(v)
	if err != nil {
		return [sha256.Size]byte{}, err
	}
	return sha256.Sum256(text), nil
}

// Marshal returns the canonical form of v. What encoding/json makes of v decides
// which names and values there are. A whole number that a float64 does not hold is
// an error: carry what may pass 2^53 as text.
func Marshal(v any) ([]byte, error) {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("canonical form of %T: %w", v, err)
	}
	out, err := Transform(text.Bytes())
	if err != nil {
		return nil, fmt.Errorf("canonical form of %T: %w", v, err)
	}
	return out, nil
}

// Transform returns the canonical form of one JSON value. Errors name the byte
// of the text at which reading stopped.
func Transform(text []byte) ([]byte, error) {
	if !utf8.Valid(text) {
		return nil, errors.New("text is not UTF-8")
	}
	if at := halfPair(text); at >= 0 {
		return nil, fmt.Errorf("byte %d: half of a surrogate pair", at)
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	w := writer{dec: dec}
	if err := w.value(0); err != nil {
		return nil, fmt.Errorf("byte %d: %w", dec.InputOffset(), err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("byte %d: more than one value", dec.InputOffset())
	}
	return w.out, nil
}

type writer struct {
	dec *json.Decoder
	out []byte
}

func (w *writer) value(depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("values lie more than %d deep", maxDepth)
	}
	token, err := w.dec.Token()
	if err != nil {
		return unexpected(err)
	}
	switch t := token.(type) {
	case nil:
		w.out = append(w.out, "null"...)
	case bool:
		w.out = strconv.AppendBool(w.out, t)
	case string:
		w.out = appendString(w.out, t)
	case json.Number:
		w.out, err = appendNumber(w.out, string(t))
		return err
	case json.Delim:
		if t == '[' {
			return w.array(depth)
		}
		return w.object(depth)
	}
	return nil
}

func (w *writer) array(depth int) error {
	w.out = append(w.out, '[')
	for i := 0; w.dec.More(); i++ {
		if i > 0 {
			w.out = append(w.out, ',')
		}
		if err := w.value(depth + 1); err != nil {
			return err
		}
	}
	w.out = append(w.out, ']')
	_, err := w.dec.Token()
	return unexpected(err)
}

func (w *writer) object(depth int) error {
	type member struct {
		name  string
		units []uint16
		text  []byte
	}
	var members []member
	rest := w.out
	for w.dec.More() {
		token, err := w.dec.Token()
		if err != nil {
			return unexpected(err)
		}
		m := member{name: token.(string)} // the decoder takes nothing else here
		m.units = utf16.Encode([]rune(m.name))
		w.out = appendString(nil, m.name)
		w.out = append(w.out, ':')
		if err := w.value(depth + 1); err != nil {
			return err
		}
		m.text = w.out
		members = append(members, m)
	}
	w.out = rest
	if _, err := w.dec.Token(); err != nil {
		return unexpected(err)
	}
	slices.SortFunc(members, func(a, b member) int { return slices.CompareFunc(a.units, b.units, cmp.Compare[uint16]) })
	w.out = append(w.out, '{')
	for i, m := range members {
		if i > 0 {
			if members[i-1].name == m.name {
				return fmt.Errorf("name %q is given twice", m.name)
			}
			w.out = append(w.out, ',')
		}
		w.out = append(w.out, m.text...)
	}
	w.out = append(w.out, '}')
	return nil
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// appendNumber writes a number as ECMAScript does (RFC 8785, section 3.2.2.3).
func appendNumber(out []byte, text string) ([]byte, error) {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, fmt.Errorf("number %s: %w", text, errors.Unwrap(err))
	}
	if !strings.ContainsAny(text, ".eE") && f != 0 && strconv.FormatFloat(f, 'f', -1, 64) != text {
		return nil, fmt.Errorf("whole number %s is more than a float64 holds: carry it as text", text)
	}
	switch abs := math.Abs(f); {
	case f == 0:
		return append(out, '0'), nil // also of -0
	case abs >= 1e-6 && abs < 1e21:
		return strconv.AppendFloat(out, f, 'f', -1, 64), nil
	}
	mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(f, 'e', -1, 64), "e")
	out = append(append(out, mantissa...), 'e', exponent[0])
	return append(out, strings.TrimLeft(exponent[1:], "0")...), nil
}

// appendString writes a string with the fewest escapes (RFC 8785, section 3.2.2.2).
func appendString(out []byte, s string) []byte {
	out = append(out, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			out = append(out, '\\', c)
		case c >= 0x20:
			out = append(out, c)
		case c == '\b':
			out = append(out, `\b`...)
		case c == '\t':
			out = append(out, `\t`...)
		case c == '\n':
			out = append(out, `\n`...)
		case c == '\f':
			out = append(out, `\f`...)
		case c == '\r':
			out = append(out, `\r`...)
		default:
			out = fmt.Appendf(out, `\u%04x`, c)
		}
	}
	return append(out, '"')
}

// halfPair returns where an escape stands for a half of a surrogate pair, which
// encoding/json would replace without a word, or -1.
func halfPair(text []byte) int {
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			continue
		}
		i++
		first, ok := escaped(text, i)
		if !ok || !utf16.IsSurrogate(first) {
			continue
		}
		second := rune(0)
		if i+5 < len(text) && text[i+5] == '\\' {
			second, _ = escaped(text, i+6)
		}
		if utf16.DecodeRune(first, second) == utf8.RuneError {
			return i - 1
		}
		i += 10
	}
	return -1
}

// escaped returns the code unit of uXXXX at text[at:].
func escaped(text []byte, at int) (rune, bool) {
	if at+5 > len(text) || text[at] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(text[at+1:at+5]), 16, 16)
	return rune(n), err == nil
}
