package probe

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// maxID bounds the identifiers that go on the wire.
const maxID = 256

// escaped makes a path or name printable and unmistakable: printable ASCII
// stays, a backslash is doubled, and every other byte becomes \xNN. Different
// inputs have different results.
func escaped(s string) string {
	plain := true
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f || s[i] == '\\' {
			plain = false
			break
		}
	}
	if !plain {
		var b strings.Builder
		for i := range len(s) {
			switch c := s[i]; {
			case c == '\\':
				b.WriteString(`\\`)
			case c <= ' ' || c >= 0x7f:
				fmt.Fprintf(&b, `\x%02x`, c)
			default:
				b.WriteByte(c)
			}
		}
		s = b.String()
	}
	return shortened(s)
}

// unescapeUnit undoes the \xNN escapes that systemd puts in unit names.
func unescapeUnit(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if strings.HasPrefix(s[i:], `\x`) && i+4 <= len(s) {
			if c, err := hex.DecodeString(s[i+2 : i+4]); err == nil {
				b.Write(c)
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// shortened keeps an identifier within maxID; a digest keeps long ones apart.
func shortened(s string) string {
	if len(s) <= maxID {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	tail := "~" + hex.EncodeToString(sum[:16])
	return s[:maxID-len(tail)] + tail
}

// ParseUUID reads a UUID, with or without dashes and in either case, and returns
// it in lower case with dashes.
func ParseUUID(s string) (string, bool) {
	if len(s) != 36 && len(s) != 32 {
		return "", false
	}
	var digits [32]byte
	n := 0
	for i := range len(s) {
		if dash := len(s) == 36 && (i == 8 || i == 13 || i == 18 || i == 23); dash {
			if s[i] != '-' {
				return "", false
			}
			continue
		}
		c := s[i] | 0x20 // lower case, and digits stay
		if (s[i] < '0' || s[i] > '9') && (c < 'a' || c > 'f') {
			return "", false
		}
		if s[i] > '9' {
			digits[n] = c
		} else {
			digits[n] = s[i]
		}
		n++
	}
	d := string(digits[:])
	return d[:8] + "-" + d[8:12] + "-" + d[12:16] + "-" + d[16:20] + "-" + d[20:], true
}
