package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
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
		err := checkJSON([]byte(text))
		if (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestStrictHandsOnWhatItTakes(t *testing.T) {
	got := ""
	h := strict(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		data, err := io.ReadAll(r.Body)
		if got = string(data); err != nil {
			got = err.Error()
		}
	}))
	long := `"` + strings.Repeat("x", 2<<20) + `"`
	for _, c := range []struct {
		media, body, want string
		code              int
	}{
		{"application/json", `{"a":1}`, `{"a":1}`, 200}, {"application/json; charset=utf-8", `{"a":1,"a":1}`, "", 400},
		{"text/csv", `{"a":1,"a":1}`, `{"a":1,"a":1}`, 200}, {"", `{"a":1,"a":1}`, `{"a":1,"a":1}`, 200}, {"application/json", long, long, 200}, // an import, or refused after
	} {
		got = ""
		r := httptest.NewRequest("POST", "/v1/x", strings.NewReader(c.body))
		r.Header.Set("Content-Type", c.media)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != c.code || got != c.want {
			t.Errorf("%s of %d bytes: %d, handed on %d bytes", c.media, len(c.body), w.Code, len(got))
		}
	}
	r := httptest.NewRequest("POST", "/v1/x", io.MultiReader(strings.NewReader(`{"a"`), failing{errors.New("gone")}))
	r.Header.Set("Content-Type", "application/json")
	if h.ServeHTTP(httptest.NewRecorder(), r); got != "gone" {
		t.Errorf("a body that breaks off: %q", got)
	}
}

// What checkJSON lets through, the standard decoder reads, and writes again in a way
// that it lets through.
func FuzzCheckJSON(f *testing.F) {
	for _, text := range []string{`{"a":1}`, `{"a":1,"a":2}`, `[[[]]]`, `"\ud800"`, `{"a":{"b":[1,2.5e3,null,true]}} `, `{} {}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if checkJSON(data) != nil || len(strings.TrimSpace(string(data))) == 0 {
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
		if err := checkJSON(again); err != nil {
			t.Errorf("%q becomes %q: %v", data, again, err)
		}
	})
}
