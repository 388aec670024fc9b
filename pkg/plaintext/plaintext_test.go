package plaintext_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/flopwatch/flopwatch/pkg/plaintext"
)

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"Harbour Research": "Harbour Research", "名前": "名前", "a\x1b[2J": `a\u001b[2J`, "a\u202eb": `a\u202eb`, "\xff": `\xff`, "\uFFFD": "\uFFFD", "line\n": `line\u000a`,
	} {
		if got := plaintext.Printable(in); got != want {
			t.Errorf("%q printed as %q, want %q", in, got, want)
		}
	}
}

func FuzzJSON(f *testing.F) {
	f.Add("a\u202eb\U000e0001")
	f.Fuzz(func(t *testing.T, in string) {
		if !utf8.ValidString(in) {
			t.Skip()
		}
		var b bytes.Buffer
		if err := plaintext.JSON(&b, in); err != nil {
			t.Fatal(err)
		}
		var out string
		if err := json.Unmarshal(b.Bytes(), &out); err != nil || out != in {
			t.Errorf("%q came back as %q, %v", in, out, err)
		}
		if got := plaintext.Printable(b.String()[:b.Len()-1]); got != b.String()[:b.Len()-1] {
			t.Errorf("%q holds what is hidden", b.String())
		}
	})
}
