package table

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"
)

// MaxFaults is how many faults of one file are told.
const MaxFaults = 100

// Faults are what is wrong with one file. The zero value with a name is ready.
type Faults struct {
	File string
	all  []error
}

// Add tells a fault as "file:line: column: rule", unless it is one too many.
func (f *Faults) Add(line int, column, rule string) {
	if !f.Full() {
		f.all = append(f.all, fmt.Errorf("%s:%d: %s: %s", f.File, line, column, rule))
	}
}

// Count returns how many are told.
func (f *Faults) Count() int { return len(f.all) }

// Full reports whether no more will be told.
func (f *Faults) Full() bool { return len(f.all) >= MaxFaults }

// Err returns them, each on a line of its own, and nil for a file without.
func (f *Faults) Err() error { return errors.Join(f.all...) }

// Text takes off the byte order mark that spreadsheet programs put before a text and
// reports whether the rest can be read: at most so many bytes, of UTF-8.
func (f *Faults) Text(data []byte, maxBytes int) ([]byte, bool) {
	if len(data) > maxBytes {
		f.Add(1+bytes.Count(data[:maxBytes], []byte("\n")), "text", fmt.Sprintf("is longer than %d bytes, which are as many as one import may have", maxBytes))
		return nil, false
	}
	if valid := validPrefix(data); valid < len(data) {
		f.Add(1+bytes.Count(data[:valid], []byte("\n")), "text", "is not UTF-8")
		return nil, false
	}
	return bytes.TrimPrefix(data, []byte("\ufeff")), true
}

// validPrefix returns how many bytes are UTF-8 before the first that is not.
func validPrefix(data []byte) int {
	if utf8.Valid(data) {
		return len(data)
	}
	at := 0
	for {
		r, n := utf8.DecodeRune(data[at:])
		if r == utf8.RuneError && n <= 1 {
			return at
		}
		at += n
	}
}
