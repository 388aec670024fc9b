// Package plaintext prints what came from outside so that it can neither move the
// cursor of a terminal nor reverse a line.
package plaintext

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Printable writes out control, bidi and other invisible characters.
func Printable(s string) string {
	if plain(s) {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD"):
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case hidden(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// plain reports whether a text is of visible ASCII and blanks, as most are.
func plain[T string | []byte](s T) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

func hidden(r rune) bool {
	return r != ' ' && (!unicode.IsPrint(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co))
}

// JSON writes v, indented, with what Printable would write out as escapes.
func JSON(w io.Writer, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encode JSON: %w", err)
	}
	_, err = io.WriteString(w, escaped(data))
	return err
}

// JSONLine returns v as one line of JSON, with what Printable would write out as escapes.
func JSONLine(v any) (string, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("encode JSON: %w", err)
	}
	return escaped(data), nil
}

// escaped is a JSON text and the end of its line. Control characters are escaped by
// JSON itself; bidi ones are not.
func escaped(data []byte) string {
	if plain(data) {
		return string(data) + "\n"
	}
	var b strings.Builder
	for _, r := range string(data) {
		if r > 126 && hidden(r) {
			for _, unit := range utf16Units(r) {
				fmt.Fprintf(&b, `\u%04x`, unit)
			}
			continue
		}
		b.WriteRune(r)
	}
	b.WriteByte('\n')
	return b.String()
}

func utf16Units(r rune) []uint16 {
	if r < 0x10000 {
		return []uint16{uint16(r)}
	}
	r -= 0x10000
	return []uint16{uint16(0xd800 + r>>10), uint16(0xdc00 + r&0x3ff)}
}
