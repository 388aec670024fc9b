package strictjson

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestJSONThatIsReadInTwoWaysIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		`{"a":1}`: "", `[]`: "", ` "x" `: "", ``: "", `{"a":{"b":1},"b":[{"b":1},{"b":2}]}`: "",
		strings.Repeat("[", 32) + strings.Repeat("]", 32): "",
		`{"a":1,"a":2}`:                                   "key twice",
		`{"a":{"b":1,"b":1}}`:                             "key twice",
		`[{"a":1},{"a":1,"a":1}]`:                         "key twice",
		`{"a":1,"\u0061":2}`:                              "key twice",
		strings.Repeat("[", 33) + strings.Repeat("]", 33): "nested deeper",
		"{\"a\":\"\xff\"}":                                "not UTF-8",
		`{"a":1} {}`:                                      "after the value",
		`{"a":1}]`:                                        "after the value",
		`{"a":1`:                                          "no JSON",
		`{a:1}`:                                           "no JSON",
	} {
		err := Check([]byte(text))
		if (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestDecode(t *testing.T) {
	type in struct {
		Login, Code string
	}
	for text, want := range map[string]string{
		`{"Login":"a","Code":"b"}`: "", `{"login":"a"}`: "",
		``:                          "EOF",
		`{"login":"a","login":"b"}`: "key twice",
		`{"login":"a","LOGIN":"b"}`: "key twice",
		`{"login":"a","who":"b"}`:   "unknown field",
		`{"login":"a"}{}`:           "after the value",
	} {
		var got in
		err := Decode([]byte(text), &got)
		if (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
		if err == nil && got.Login != "a" {
			t.Errorf("%s: %+v", text, got)
		}
	}
}

// What Check lets through, the standard decoder reads, and writes again in a way
// that it lets through.
func FuzzCheckJSON(f *testing.F) {
	for _, text := range []string{`{"a":1}`, `{"a":1,"a":2}`, `[[[]]]`, `"\ud800"`, `{"a":{"b":[1,2.5e3,null,true]}} `, `{} {}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if Check(data) != nil || len(strings.TrimSpace(string(data))) == 0 {
			return
		}
		var v any
		in := json.NewDecoder(bytes.NewReader(data))
		in.UseNumber() // how large a number may be is for who reads it
		if err := in.Decode(&v); err != nil {
			t.Fatalf("%q is let through and is no JSON: %v", data, err)
		}
		again, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if err := Check(again); err != nil {
			t.Errorf("%q becomes %q: %v", data, again, err)
		}
	})
}
