package httpapi_test

import (
	"bytes"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/desk/desktest"
	"github.com/flopwatch/flopwatch/collector/internal/httpapi"
)

// Whatever comes as the body of any operation that takes one is answered, and never
// with an error of the server.
func FuzzBodies(f *testing.F) {
	h := httpapi.New(httpapi.Deps{Reader: desktest.New(),
		Metering: meters(func(string, string, []byte, bool) (apitypes.PowerDiff, error) { return apitypes.PowerDiff{}, nil }),
		Allocator: allocator(func(string, string, []byte, bool) (apitypes.AllocationDiff, error) {
			return apitypes.AllocationDiff{}, nil
		}),
	})
	routes := []struct{ method, path string }{
		{"PUT", "/v1/allocations"}, {"PUT", "/v1/power"}, {"POST", "/v1/customers/import"}, {"POST", "/v1/cases"}, {"POST", "/v1/inventory"}, {"POST", "/v1/users"},
		{"POST", "/v1/findings/fnd_0001/work"}, {"POST", "/v1/runs/run_4kq2/joins"}, {"POST", "/v1/policies"}, {"POST", "/v1/reports"}, {"POST", "/v1/links"}, {"POST", "/v1/parties/import"},
	}
	for i := range routes {
		f.Add(uint8(i), "application/json", []byte(`{"name":"n","devices":[{"count":1}],"reason":"r","act":"clear"}`))
	}
	f.Add(uint8(0), "text/csv", []byte("a,b\n"))
	f.Add(uint8(1), "application/x-ndjson", []byte("{}\n"))
	f.Add(uint8(3), "application/json", []byte(`{"a":{"a":{"a":[[[[1e999]]]]}},"\u0000":"\ud800"}`))
	f.Add(uint8(4), "application/cbor", []byte{0xbf, 0x61, 0x61, 0x01})
	f.Fuzz(func(t *testing.T, route uint8, media string, body []byte) {
		at := routes[int(route)%len(routes)]
		r := httptest.NewRequestWithContext(trusted(t.Context()), at.method, at.path, bytes.NewReader(body))
		r.Header.Set("Content-Type", media)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code >= 500 && w.Code != 501 {
			t.Fatalf("%s %s, %q: %d %s", at.method, at.path, body, w.Code, w.Body)
		}
	})
}

// A key twice is refused wherever a body is read as JSON, whatever it says it is. Files
// are what their routes take them for.
func TestAKeyTwiceIsRefusedWhereverJSONIsRead(t *testing.T) {
	imported := ""
	h := httpapi.New(httpapi.Deps{Reader: desktest.New(), Caseworker: &caseworker{},
		Importer: importer(func(_, _ string, data []byte, _ bool) (apitypes.Diff, error) {
			imported = string(data)
			return apitypes.Diff{}, nil
		}),
	})
	const once, twice = `{"finding":"fnd_0001","reason":"looked"}`, `{"finding":"fnd_0001","finding":"fnd_0002","reason":"looked"}`
	for _, media := range []string{"application/json", "application/json; charset=utf-8", "application/merge-patch+json", "text/x+json;v=1", "json", "", "x+json; =broken"} {
		w := call(t, h, "POST", "/v1/cases", media, twice)
		if p := decode[apitypes.Problem](t, w); w.Code != 400 || len(p.Faults) != 1 || !strings.Contains(p.Faults[0], "an object has a key twice") {
			t.Errorf("%q: %d %+v", media, w.Code, p)
		}
		if w := call(t, h, "POST", "/v1/cases", media, once); w.Code == 400 {
			t.Errorf("%q, each key once: %d %s", media, w.Code, w.Body)
		}
	}
	if w := call(t, h, "POST", "/v1/cases", "application/cbor", twice); w.Code != 415 {
		t.Errorf("what is not JSON: %d", w.Code)
	}
	for media, want := range map[string]int{"application/json": 400, "text/csv": 200} {
		imported = ""
		if w := call(t, h, "POST", "/v1/customers/import", media, twice); w.Code != want || (want == 200) != (imported == twice) {
			t.Errorf("customers as %s: %d, %q came in", media, w.Code, imported)
		}
	}
}
