package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
)

// maxDepth is how deep a JSON body may nest, besides what its schema says.
const maxDepth = 32

// strictJSON reads what the router takes for JSON: application/json, every …+json, and
// a body without a Content-Type. It refuses bodies that programs read in different
// ways: with a key twice, with bytes that are not UTF-8, nested without end, or with
// something after the value. Keys that are not known, or in another case, the schemas
// refuse.
func strictJSON() map[string]huma.Format {
	strict := huma.DefaultJSONFormat
	strict.Unmarshal = func(data []byte, v any) error {
		if err := checkJSON(data); err != nil {
			return fmt.Errorf("the body is not JSON as this API takes it: %w", err)
		}
		return json.Unmarshal(data, v)
	}
	return map[string]huma.Format{"application/json": strict, "json": strict}
}

// checkJSON says what is wrong with a text, nil for nothing. An empty one is not its
// business.
func checkJSON(data []byte) error {
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
			name := t.(string) // a decoder gives no other keys
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
