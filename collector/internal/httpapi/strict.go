package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"unicode/utf8"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
)

// Limits of a JSON body, besides what its schema says.
const (
	maxJSON  = 1 << 20
	maxDepth = 32
)

// strict refuses JSON bodies that programs read in different ways: with a key twice,
// with bytes that are not UTF-8, nested without end, or with something after the
// value. Keys that are not known, or in another case, the schemas refuse. Files that
// are imported are read by code of their own and may be longer.
func strict(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if err != nil || media != "application/json" || r.Body == nil || r.ContentLength == 0 {
			next.ServeHTTP(w, r)
			return
		}
		head, err := io.ReadAll(io.LimitReader(r.Body, maxJSON+1))
		if err == nil && len(head) <= maxJSON {
			if fault := checkJSON(head); fault != nil {
				p := apitypes.NewProblem(http.StatusBadRequest, "the body is not JSON as this API takes it: "+fault.Error())
				w.Header().Set("Content-Type", "application/problem+json")
				w.WriteHeader(http.StatusBadRequest)
				_ = json.NewEncoder(w).Encode(p) // the client may be gone
				return
			}
		}
		rest := io.Reader(r.Body)
		if err != nil {
			rest = failing{err} // the limit of the body, or a client that went away
		}
		r.Body = body{io.MultiReader(bytes.NewReader(head), rest), r.Body}
		next.ServeHTTP(w, r)
	})
}

// body reads what was looked at again, and then the rest.
type body struct {
	io.Reader
	io.Closer
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

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
