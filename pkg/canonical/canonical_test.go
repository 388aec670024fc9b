package canonical_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/flopwatch/flopwatch/pkg/canonical"
)

func TestTransform(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"names in order of UTF-16": {`{"\u20ac":1,"\r":2,"\ufb33":3,"1":4,"\ud83d\ude00":5,"\u0080":6,"\u00f6":7}`,
			`{"\r":2,"1":4,"` + "\u0080" + `":6,"ö":7,"€":1,"😀":5,"` + "\ufb33" + `":3}`},
		"numbers":              {`[333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001, -0, 1e21, 1e20, 1e-6, 1e-7, 5e-324, 1.7976931348623157e308]`, `[333333333.3333333,1e+30,4.5,0.002,1e-27,0,1e+21,100000000000000000000,0.000001,1e-7,5e-324,1.7976931348623157e+308]`},
		"whole numbers":        {`[9007199254740991,-9007199254740991,10]`, `[9007199254740991,-9007199254740991,10]`},
		"strings":              {`"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/\u007f<>&\u2028"`, `"€$\u000f\nA'B\"\\\\\"/` + "\u007f<>&\u2028" + `"`},
		"control characters":   {`"\b\t\n\f\r\u0000"`, `"\b\t\n\f\r\u0000"`},
		"space":                {" { \"b\" : [ true , false , null ] , \"a\" : { } } \n", `{"a":{},"b":[true,false,null]}`},
		"a replaced rune":      {`"\ufffd"`, "\"\ufffd\""},
		"an escaped backslash": {`"\\ud800"`, `"\\ud800"`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := canonical.Transform([]byte(c.in))
			if err != nil || string(got) != c.want {
				t.Fatalf("Transform = %s, %v, want %s", got, err, c.want)
			}
			if again, err := canonical.Transform(got); err != nil || !bytes.Equal(again, got) {
				t.Fatalf("once more = %s, %v", again, err)
			}
		})
	}
}

func TestTransformRefuses(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"a name given twice":              {`{"a":1,"a":2}`, `name "a" is given twice`},
		"a name given twice, spelt apart": {`{"a":1,"\u0061":2}`, `name "a" is given twice`},
		"a large whole number":            {`[9007199254740993]`, "carry it as text"},
		"a number beyond float64":         {`1e400`, "out of range"},
		"half a pair":                     {`"\ud83d"`, "byte 1: half of a surrogate pair"},
		"the other half":                  {`"\ude00\ud83d"`, "half of a surrogate pair"},
		"half a pair and an escape":       {`"\ud83d\u0041"`, "half of a surrogate pair"},
		"bytes that are no text":          {"\"\xff\"", "not UTF-8"},
		"a cut text":                      {`{"a":`, "unexpected EOF"},
		"two values":                      {`1 2`, "more than one value"},
		"nothing":                         {``, "unexpected EOF"},
		"deep":                            {strings.Repeat("[", 200) + strings.Repeat("]", 200), "deep"},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := canonical.Transform([]byte(c.in)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Transform = %s, %v, want an error with %q", got, err, c.want)
			}
		})
	}
}

// Whatever order names are written in, the bytes are the same, and they mean
// the same value.
func TestFormIsOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.MapOf(rapid.String(), rapid.OneOf(
			rapid.Map(rapid.Float64(), func(f float64) any { return f }),
			rapid.Map(rapid.String(), func(s string) any { return s }),
			rapid.Map(rapid.Bool(), func(b bool) any { return b }),
		)).Draw(t, "value")
		text, err := canonical.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		var back map[string]any
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatal(err)
		}
		for k, v := range value {
			if f, ok := v.(float64); ok && f == 0 {
				value[k] = 0.0 // -0 is written as 0
			}
		}
		if !reflect.DeepEqual(value, back) {
			t.Fatalf("%v became %v", value, back)
		}
		var spaced bytes.Buffer
		if err := json.Indent(&spaced, text, " ", "\t"); err != nil {
			t.Fatal(err)
		}
		if again, err := canonical.Transform(spaced.Bytes()); err != nil || !bytes.Equal(again, text) {
			t.Fatalf("spaced: %s, %v, want %s", again, err, text)
		}
	})
}

func FuzzTransform(f *testing.F) {
	for _, s := range []string{`{"b":[1,2.5e-7],"a":"\ud83d\ude00"}`, `"\ud83d"`, `-0`, `{"a":{},"a":1}`, `[`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		out, err := canonical.Transform(text)
		if err != nil {
			return
		}
		if !json.Valid(out) {
			t.Fatalf("%q became %q, which is not JSON", text, out)
		}
		if again, err := canonical.Transform(out); err != nil || !bytes.Equal(again, out) {
			t.Fatalf("%q became %q and then %q, %v", text, out, again, err)
		}
	})
}
