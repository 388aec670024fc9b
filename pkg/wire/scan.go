package wire

import (
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// field is one field of a message.
type field struct {
	number protowire.Number
	kind   protowire.Type
	n      uint64 // of a varint
	b      []byte // of what has a length
	s      string // the same as text where it is wanted
}

func (f *field) is(number protowire.Number, kind protowire.Type) bool {
	return f.number == number && f.kind == kind
}

// string copies a text that has no message around it as text.
func (f *field) string() (string, error) {
	if !utf8.Valid(f.b) {
		return "", errNoMessage
	}
	return string(f.b), nil
}

// scan reads the message that is in a field.
func (f *field) scan() scanner { return scanner{message: f.b, text: f.s} }

// scanner reads a message field by field.
type scanner struct {
	message []byte
	text    string // the same as text, "" where none is wanted
	at      int
	bad     bool // the message is none
	field   field
}

var errNoMessage = invalid("batch is not protobuf")

func (s *scanner) err() error {
	if s.bad {
		return errNoMessage
	}
	return nil
}

// next reads a field and reports whether there was one.
func (s *scanner) next() bool {
	if s.at >= len(s.message) {
		return false
	}
	rest := s.message[s.at:]
	f := &s.field
	n := 1
	if tag := rest[0]; tag >= 1<<3 && tag < 0x80 { // nearly all have a number of one byte
		f.number, f.kind = protowire.Number(tag>>3), protowire.Type(tag&7)
	} else if f.number, f.kind, n = protowire.ConsumeTag(rest); n < 0 {
		s.bad = true
		return false
	}
	rest = rest[n:]
	f.b, f.s = nil, ""
	value := 0
	switch f.kind {
	case protowire.VarintType:
		f.n, value = varint(rest)
	case protowire.BytesType:
		length, of := varint(rest)
		if of < 0 || length > uint64(len(rest)-of) {
			s.bad = true
			return false
		}
		value = of + int(length)
		f.b = rest[of:value]
		if s.text != "" {
			to := s.at + n + value
			f.s = s.text[to-len(f.b) : to]
		}
	default:
		value = protowire.ConsumeFieldValue(f.number, f.kind, rest)
	}
	if value < 0 {
		s.bad = true
		return false
	}
	s.at += n + value
	return true
}

// varint reads a varint and says how many bytes it has, less than 0 if there is none.
// Most have one.
func varint(b []byte) (uint64, int) {
	if len(b) > 0 && b[0] < 0x80 {
		return uint64(b[0]), 1
	}
	return protowire.ConsumeVarint(b)
}
