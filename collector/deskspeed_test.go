package collector

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/httpapi"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
	"github.com/flopwatch/flopwatch/collector/internal/store"
	"github.com/flopwatch/flopwatch/collector/internal/store/storetest"
	"github.com/flopwatch/flopwatch/collector/internal/webui"
)

// deskUsers ask at the same time.
const deskUsers = 20

// BenchmarkDesk asks for pages and lists over 10,000 customers, 100,000 runs and
// 1,000,000 findings, by 20 users at once, and reports the time within which 95 of
// 100 answers came and how large they are. Nothing is written meanwhile; the first
// answer of each is read from the database.
func BenchmarkDesk(b *testing.B) {
	path := filepath.Join(b.TempDir(), "flopwatch.db")
	s, err := store.Open(b.Context(), path, store.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	storetest.FillDesk(b, path, 10_000, 100_000, 1_000_000)
	reader := store.NewReader(s, "", false)
	log := slog.New(slog.DiscardHandler)
	mux := http.NewServeMux()
	mux.Handle("/v1/", httpapi.New(httpapi.Deps{Reader: reader, Log: log}))
	mux.Handle("/", webui.New(webui.Deps{Reader: reader, Log: log, Caseworker: casework{}, UserAdmin: accounts{store: s, now: time.Now}, Parties: parties{}, Linker: links{}}))
	for _, at := range []string{
		"/", "/queue", "/queue?show=mine", "/runs", "/runs?after=run_0050000", "/runs/run_0000777", "/customers", "/customers/cus_000777", "/findings", "/findings?after=fnd_00500000", "/findings/fnd_00777777",
		"/cases", "/reports", "/links", "/resellers", "/exemptions", "/programme", "/policies", "/hosts", "/fleet", "/coverage", "/audit", "/admin", "/search",
		"/v1/runs", "/v1/runs?tenant=ten_000777", "/v1/customers", "/v1/tenants", "/v1/findings", "/v1/findings?state=open", "/v1/findings?state=triaged", "/v1/cases",
	} {
		b.Run(at, func(b *testing.B) { ask(b, mux, http.MethodGet, at, "") })
	}
	for _, q := range []string{"run_00007", "fnd_007777", "customer", "incorporated", "cus_0007", "ten_0007", "nothing of it"} {
		b.Run("search "+q, func(b *testing.B) { ask(b, mux, http.MethodPost, "/search", url.Values{"q": {q}}.Encode()) })
	}
}

func ask(b *testing.B, h http.Handler, method, at, form string) {
	took := make([]time.Duration, b.N)
	var size int
	var users sync.WaitGroup
	next := make(chan int)
	for range deskUsers {
		users.Go(func() {
			for i := range next {
				r := httptest.NewRequestWithContext(permission.With(b.Context(), permission.Principal{ID: "usr_a", Roles: permission.People[:]}), method, at, strings.NewReader(form))
				if form != "" {
					r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				}
				w := httptest.NewRecorder()
				begin := time.Now()
				h.ServeHTTP(w, r)
				took[i] = time.Since(begin)
				if w.Code != http.StatusOK {
					b.Errorf("%s: %d %.300s", at, w.Code, w.Body)
				}
				if i == 0 {
					n, err := io.Copy(io.Discard, w.Body)
					if err != nil {
						b.Error(err)
					}
					size = int(n)
				}
			}
		})
	}
	for i := range b.N {
		next <- i
	}
	close(next)
	users.Wait()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*95/100].Microseconds())/1000, "p95-ms")
	b.ReportMetric(float64(size)/1000, "kB")
}
