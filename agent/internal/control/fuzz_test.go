package control

import (
	"bytes"
	"encoding/json"
	"testing"
)

// What a command says to the agent, and the agent to a command, is one bounded line.
func FuzzMessage(f *testing.F) {
	for _, text := range []string{"{\"release\":[\"GPU-1\"],\"for\":60}\n", "{\"status\":true}\n{}\n", "{\"released\":null}\n", "null\n", "{\"for\":1e99}\n", "{", "\n"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, v := range []any{&Request{}, &Reply{}} {
			if err := receive(bytes.NewReader(data), v); err != nil {
				continue
			}
			var out bytes.Buffer
			if err := send(&out, v); err != nil {
				t.Fatalf("%q was read and cannot be written: %v", data, err)
			}
			if out.Len() > maxLine*8 || !json.Valid(out.Bytes()) {
				t.Fatalf("%q became %d bytes", data, out.Len())
			}
		}
	})
}
