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
	var n int
	if f.number, f.kind, n = protowire.ConsumeTag(rest); n < 0 {
		s.bad = true
		return false
	}
	f.b, f.s = nil, ""
	value := n
	switch f.kind {
	case protowire.VarintType:
		f.n, n = protowire.ConsumeVarint(rest[value:])
	case protowire.BytesType:
		if f.b, n = protowire.ConsumeBytes(rest[value:]); n >= 0 && s.text != "" {
			to := s.at + value + n
			f.s = s.text[to-len(f.b) : to]
		}
	default:
		n = protowire.ConsumeFieldValue(f.number, f.kind, rest[value:])
	}
	if n < 0 {
		s.bad = true
		return false
	}
	s.at += value + n
	return true
}
