package probe

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParseUUID(t *testing.T) {
	const id = "78177d07-ac0e-4057-b1de-9ccd66cbc3d7"
	tests := []struct {
		text string
		ok   bool
	}{
		{id, true}, {strings.ToUpper(id), true}, {strings.ReplaceAll(id, "-", ""), true},
		{"", false}, {id[1:], false}, {strings.Replace(id, "-", "0", 1), false}, {strings.Replace(id, "7", "g", 1), false},
		{strings.Repeat("-", 36), false}, {strings.Replace(id, "a", "@", 1), false}, {strings.Replace(id, "7", "\x17", 1), false},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			got, ok := ParseUUID(tt.text)
			if ok != tt.ok || ok && got != id || !ok && got != "" {
				t.Errorf("got %q, %t", got, ok)
			}
		})
	}
}

func TestParseUUIDIsIdempotent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.StringMatching(`[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}`), rapid.StringMatching(`[0-9a-fA-F]{32}`), rapid.String()).Draw(t, "text")
		if id, ok := ParseUUID(text); ok {
			if again, ok := ParseUUID(id); !ok || again != id || len(id) != 36 {
				t.Fatalf("%q became %q and then %q", text, id, again)
			}
		}
	})
}
