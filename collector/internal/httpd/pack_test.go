package httpd

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// What is compressed reads as what was written, and only what may be is.
func TestPack(t *testing.T) {
	long := strings.Repeat("operations ", 1000)
	for _, c := range []struct {
		name, method, path, accept, kind, body string
		status                                 int
		packed                                 bool
	}{
		{"a page", "GET", "/runs", "gzip, br", "text/html; charset=utf-8", long, 200, true},
		{"a list", "GET", "/v1/runs", "br;q=1, gzip;q=0.5", "application/json", long, 200, true},
		{"whoever does not read it", "GET", "/runs", "", "text/html", long, 200, false},
		{"whoever refuses it", "GET", "/runs", "gzip;q=0", "text/html", long, 200, false},
		{"an answer to a form, where secrets are shown", "POST", "/account/tokens", "gzip", "text/html", long, 200, false},
		{"a short one", "GET", "/runs", "gzip", "text/html", "short", 200, false},
		{"an empty one", "GET", "/runs", "gzip", "text/html", "", 204, false},
		{"a fault", "GET", "/runs", "gzip", "text/html", long, 404, false},
		{"an archive", "GET", "/x.zip", "gzip", "application/zip", long, 200, false},
		{"a stream of events", "GET", "/v1/events", "gzip", "text/html", long, 200, false},
		{"the head alone", "HEAD", "/runs", "gzip", "text/html", "", 200, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequestWithContext(t.Context(), c.method, c.path, nil)
			if c.accept != "" {
				r.Header.Set("Accept-Encoding", c.accept)
			}
			w := httptest.NewRecorder()
			pack(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", c.kind)
				w.WriteHeader(c.status)
				for half := range strings.SplitSeq(c.body, "\n") {
					_, _ = io.WriteString(w, half)
				}
			})).ServeHTTP(w, r)
			body := io.Reader(w.Body)
			packed := w.Header().Get("Content-Encoding") == "gzip"
			if packed {
				z, err := gzip.NewReader(w.Body)
				if err != nil {
					t.Fatal(err)
				}
				body = z
			}
			text, err := io.ReadAll(body)
			if err != nil || string(text) != c.body || w.Code != c.status || packed != c.packed {
				t.Errorf("%d, packed %v, %d bytes, %v", w.Code, packed, len(text), err)
			}
		})
	}
}

// A flushed answer arrives as it is written, packed or not.
func TestPackFlushes(t *testing.T) {
	for _, first := range []string{"little", strings.Repeat("much ", 1000)} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/slow", nil)
		r.Header.Set("Accept-Encoding", "gzip")
		w := httptest.NewRecorder()
		pack(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, first)
			if err := http.NewResponseController(w).Flush(); err != nil {
				t.Error(err)
			}
			_, _ = io.WriteString(w, " rest")
		})).ServeHTTP(w, r)
		body := io.Reader(w.Body)
		if w.Header().Get("Content-Encoding") == "gzip" {
			z, err := gzip.NewReader(w.Body)
			if err != nil {
				t.Fatal(err)
			}
			body = z
		}
		if text, err := io.ReadAll(body); err != nil || string(text) != first+" rest" || !w.Flushed {
			t.Errorf("%.20q, flushed %v, %v", text, w.Flushed, err)
		}
	}
}
