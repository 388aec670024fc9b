package table

import (
	"strings"
	"unicode"
)

// Identifier reports whether s can be an id that a provider gave: 1 to 64 letters,
// digits, dots, underscores, colons or dashes.
func Identifier(s string) bool {
	for _, r := range s {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._:-", r)) {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

// Plain is what Readable demands of a text, for the rule of a fault.
const Plain = "without control, direction or invisible characters and without spaces around it"

// Readable reports whether s has at most so many bytes, no space around it, and
// nothing that changes how a person reads the text around it or makes two texts look
// the same that are not. A name that begins like a formula of a spreadsheet is a
// name; exports write it as text.
func Readable(s string, maxBytes int) bool {
	if len(s) > maxBytes || strings.TrimSpace(s) != s {
		return false
	}
	for _, r := range s {
		if unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co,
			unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) {
			return false
		}
	}
	return true
}
