// Package strictjson reads JSON that every program reads in one way.
//
// It refuses a text with a key twice, of which one program takes the first and another
// the last; with bytes that are not UTF-8; nested without end; or with something after
// the value.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// maxDepth is how deep a text may nest.
const maxDepth = 32

// Decode reads the one value of a text into a struct that has all its keys. A key that
// comes again in capitals comes twice: package encoding/json takes both.
func Decode(data []byte, into any) error {
	if err := check(data, strings.ToLower); err != nil {
		return err
	}
	in := json.NewDecoder(bytes.NewReader(data))
	in.DisallowUnknownFields()
	return in.Decode(into)
}

// Check says what is wrong with a text, nil for nothing. An empty one is not its
// business.
func Check(data []byte) error {
	return check(data, func(key string) string { return key })
}

// check is Check, where keys are one if same gives the same for them.
func check(data []byte, same func(string) string) error {
	if len(bytes.TrimSpace(data)) == 0 {
		return nil
	}
	if !utf8.Valid(data) {
		return errors.New("it is not UTF-8")
	}
	in := json.NewDecoder(bytes.NewReader(data))
	in.UseNumber()
	var open []map[string]bool // keys of the objects that are open, nil for an array
	key := false               // the next token is a key
	for {
		t, err := in.Token()
		if errors.Is(err, io.EOF) && len(open) == 0 {
			return nil
		}
		if err != nil {
			return errors.New("it is no JSON")
		}
		d, isDelim := t.(json.Delim)
		switch {
		case isDelim && (d == '{' || d == '['):
			if len(open) == maxDepth {
				return fmt.Errorf("it is nested deeper than %d", maxDepth)
			}
			if d == '{' {
				open = append(open, map[string]bool{})
			} else {
				open = append(open, nil)
			}
			key = d == '{'
			continue
		case isDelim:
			open = open[:len(open)-1]
		case key:
			name := same(t.(string)) // a decoder gives no other keys
			keys := open[len(open)-1]
			if keys[name] {
				return errors.New("an object has a key twice")
			}
			keys[name] = true
			key = false
			continue
		}
		if len(open) == 0 {
			if _, err := in.Token(); !errors.Is(err, io.EOF) {
				return errors.New("something stands after the value")
			}
			return nil
		}
		key = open[len(open)-1] != nil
	}
}
