package httpd

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// packLeast is from how many bytes an answer is compressed: less fits into one packet
// as it is.
const packLeast = 1400

// packable are the kinds of answers that become smaller. Exports that are files of
// their own (ZIP, PDF, XLSX) and streams of events go as they are.
var packable = []string{"text/html", "text/css", "text/javascript", "image/svg+xml", "application/json", "application/problem+json", "text/csv", "application/x-ndjson"}

// pack compresses answers to who reads gzip. What only reads is compressed and no answer
// to a form: the desk shows secrets (codes, tokens) in those alone, and what is
// compressed next to a secret could tell of it by its length.
func pack(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || !readsGzip(r.Header) || strings.HasSuffix(r.URL.Path, "/events") {
			next.ServeHTTP(w, r)
			return
		}
		p := &packer{ResponseWriter: w}
		next.ServeHTTP(p, r)
		p.finish()
	})
}

func readsGzip(h http.Header) bool {
	for _, line := range h.Values("Accept-Encoding") {
		for part := range strings.SplitSeq(line, ",") {
			name, weight, _ := strings.Cut(part, ";")
			if strings.EqualFold(strings.TrimSpace(name), "gzip") {
				weight = strings.ReplaceAll(weight, " ", "")
				q, err := strconv.ParseFloat(strings.TrimPrefix(weight, "q="), 64)
				return weight == "" || err == nil && q > 0
			}
		}
	}
	return false
}

// packers are writers that nobody uses now. Each takes some hundred kB.
var packers = sync.Pool{New: func() any {
	z, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
	if err != nil {
		panic(err) // the level is one of the package's
	}
	return z
}}

// packer decides with the first bytes whether an answer is compressed.
type packer struct {
	http.ResponseWriter
	status int // held back until the first bytes, 0 for 200
	begun  bool
	zip    *gzip.Writer // nil: as it is
}

// Unwrap lets controllers of the answer reach what is below.
func (p *packer) Unwrap() http.ResponseWriter { return p.ResponseWriter }

// WriteHeader keeps the status until it is known whether the answer is compressed.
func (p *packer) WriteHeader(status int) {
	if !p.begun && p.status == 0 {
		p.status = status
	}
}

// Write sends more of the answer.
func (p *packer) Write(b []byte) (int, error) {
	p.begin(b)
	if p.zip != nil {
		return p.zip.Write(b)
	}
	return p.ResponseWriter.Write(b)
}

// FlushError sends what there is: an answer that comes bit by bit goes as it is.
func (p *packer) FlushError() error {
	p.begin(nil)
	if p.zip != nil {
		if err := p.zip.Flush(); err != nil {
			return err
		}
	}
	return http.NewResponseController(p.ResponseWriter).Flush()
}

func (p *packer) begin(first []byte) {
	if p.begun {
		return
	}
	p.begun = true
	h := p.Header()
	kind, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	could := h.Get("Content-Encoding") == "" && slices.Contains(packable, kind)
	if could {
		h.Add("Vary", "Accept-Encoding")
	}
	if could && len(first) >= packLeast && (p.status == 0 || p.status == http.StatusOK) {
		h.Set("Content-Encoding", "gzip")
		h.Del("Content-Length")
		p.zip = packers.Get().(*gzip.Writer)
		p.zip.Reset(p.ResponseWriter)
	}
	if p.status != 0 {
		p.ResponseWriter.WriteHeader(p.status)
	}
}

func (p *packer) finish() {
	p.begin(nil)
	if p.zip == nil {
		return
	}
	// The status is sent; a client that left cannot be told more.
	_ = p.zip.Close()
	p.zip.Reset(nil)
	packers.Put(p.zip)
	p.zip = nil
}
