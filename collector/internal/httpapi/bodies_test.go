package httpapi_test

import (
	"bytes"
	"net/http/httptest"
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
