package intake

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/flopwatch/flopwatch/collector/internal/party"
)

// ReadNDJSON reads one object a line. Its key "kind" says which it is; the others
// are the columns of ReadCSV, with lists as arrays, yes and no as booleans and
// shares also as numbers. What is not known is {"unknown": "reason"}.
func ReadNDJSON(name string, data []byte) ([]party.Change, error) {
	return read(name, data, func(r *reader, data []byte) {
		line := 0
		for text := range bytes.Lines(data) {
			line++
			if text = bytes.TrimSpace(text); len(text) > 0 && !r.Full() {
				r.object(line, text)
			}
		}
	})
}

func (r *reader) object(line int, text []byte) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if token, err := dec.Token(); err != nil || token != json.Delim('{') {
		r.Add(line, "object", "must be a JSON object")
		return
	}
	cells := map[string]string{}
	before := r.Count()
	for dec.More() {
		token, err := dec.Token()
		key, isText := token.(string)
		var value any
		if err == nil {
			err = dec.Decode(&value)
		}
		if err != nil || !isText {
			r.Add(line, "object", "is not JSON")
			return
		}
		if _, twice := cells[key]; twice {
			r.Add(line, known(key), "is there twice")
			return
		}
		cell, ok := flat(value)
		if !ok {
			r.Add(line, known(key), "must be a text, number, true, false, a list of texts or {\"unknown\": \"reason\"}")
		}
		cells[key] = cell
	}
	if _, err := dec.Token(); err != nil || dec.InputOffset() != int64(len(text)) {
		r.Add(line, "object", "is not one JSON object")
		return
	}
	if r.Count() > before {
		return
	}
	name := cells["kind"]
	delete(cells, "kind")
	at := slices.IndexFunc(kinds, func(k kind) bool { return k.name == name })
	if at < 0 {
		r.Add(line, "kind", "must be one of "+names())
		return
	}
	k := &kinds[at]
	for key := range cells {
		if !slices.Contains(k.columns(), key) {
			r.Add(line, "object", fmt.Sprintf("has a key that is not known of kind %s", k.name))
		}
	}
	if r.Count() == before {
		r.row(line, k, cells)
	}
}

// known returns the key if it is a column: what a client made up is not repeated.
func known(key string) string {
	for i := range kinds {
		if slices.Contains(kinds[i].columns(), key) {
			return key
		}
	}
	return "object"
}

// flat writes a value as the cell of a table.
func flat(value any) (string, bool) {
	switch v := value.(type) {
	case string:
		return v, true
	case bool:
		return fmt.Sprint(v), true
	case json.Number:
		return v.String(), true
	case map[string]any:
		reason, ok := v["unknown"].(string)
		return unknownPrefix + " " + reason, ok && len(v) == 1
	case []any:
		parts := make([]string, len(v))
		for i, item := range v {
			part, ok := flat(item)
			if _, nested := item.([]any); nested || !ok || strings.Contains(part, ";") {
				return "", false
			}
			parts[i] = part
		}
		return strings.Join(parts, ";"), true
	}
	return "", false
}
