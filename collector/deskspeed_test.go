package collector

import (
	"compress/gzip"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/access"
	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/httpd"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
	"github.com/flopwatch/flopwatch/collector/internal/policy"
	"github.com/flopwatch/flopwatch/collector/internal/store"
	"github.com/flopwatch/flopwatch/collector/internal/store/storetest"
)

// deskUsers ask at the same time, none of them pausing between an answer and the
// next question.
const deskUsers = 20

// BenchmarkDesk asks for pages and lists over 10,000 customers, 100,000 runs and
// 1,000,000 findings, by 20 signed-in users at once, through all that stands before a
// page: guard, session, permission and compression. It reports the time within which
// 95 of 100 answers came, the processor time of one answer (all of the program, the
// asking too), and how large an answer is as sent and as read. Once a second another
// connection writes, as a checkpoint does, so that what is remembered of one state of
// the ledger does not hold for longer. DESK_DB names a database to keep between runs.
func BenchmarkDesk(b *testing.B) {
	at, kept := filepath.Join(b.TempDir(), "flopwatch.db"), false
	if path := os.Getenv("DESK_DB"); path != "" {
		_, err := os.Stat(path)
		at, kept = path, err == nil
	}
	s, err := store.Open(b.Context(), at, store.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	if !kept {
		storetest.FillDesk(b, at, 10_000, 100_000, 1_000_000)
	}
	d := newSpeedDesk(b, s, at)
	for _, at := range []string{
		"/", "/queue", "/queue?show=mine", "/runs", "/runs?after=run_{run}", "/runs/run_0000777", "/runs/run_{run}", "/customers", "/customers/cus_{customer}", "/findings", "/findings?after=fnd_{finding}", "/findings/fnd_{finding}",
		"/cases", "/reports", "/links", "/resellers", "/exemptions", "/programme", "/policies", "/hosts", "/fleet", "/coverage", "/audit", "/admin", "/search",
		"/v1/runs", "/v1/runs?tenant=ten_{customer}", "/v1/customers", "/v1/tenants", "/v1/findings", "/v1/findings?state=open", "/v1/findings?state=triaged", "/v1/cases", "/v1/hosts", "/v1/coverage", "/v1/parties", "/v1/links", "/v1/reports", "/v1/policies", "/v1/audit/entries", "/v1/forecasts", "/v1/campaigns",
	} {
		b.Run(at, func(b *testing.B) { d.ask(b, http.MethodGet, at, "") })
	}
	for _, q := range []string{"run_00007", "fnd_007777", "customer", "incorporated", "cus_0007", "ten_0007", "nothing of it"} {
		b.Run("search "+q, func(b *testing.B) { d.ask(b, http.MethodPost, "/search", url.Values{"q": {q}}.Encode()) })
	}
}

// speedDesk is a desk with users who have signed in.
type speedDesk struct {
	handler  http.Handler
	url      string
	sessions []string // secrets, of each user
	writes   *sql.DB
}

func newSpeedDesk(b *testing.B, s *store.Store, at string) *speedDesk {
	b.Helper()
	hash, err := access.HashPassword(testPassword)
	if err != nil {
		b.Fatal(err)
	}
	for i := range deskUsers {
		err := s.AddUser(b.Context(), userID(i), fmt.Sprintf("user%d", i), permission.People, hash, time.Now())
		if err != nil && !errors.Is(err, store.ErrLoginTaken) { // they are in a database that was kept
			b.Fatal(err)
		}
	}
	reader, log := store.NewReader(s, "", false), slog.New(slog.DiscardHandler)
	served, err := httpd.New(httpd.Options{
		Reader: reader, Joiner: joins{reader: reader, store: s, now: time.Now}, Foreseer: &foreseer{store: s, reader: reader, laws: lawbook{s, policy.Shipped(), time.Now}, log: log, links: reader}, Users: s, Caseworker: casework{}, UserAdmin: accounts{store: s, now: time.Now}, Parties: parties{}, Linker: links{}, Listen: "127.0.0.1:0", DataDir: b.TempDir(),
	})
	if err != nil {
		b.Fatal(err)
	}
	writes, err := storetest.Raw(b, at)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := errors.Join(served.Close(), writes.Close()); err != nil {
			b.Error(err)
		}
	})
	d := &speedDesk{handler: served.Handler(), url: served.URL(), writes: writes}
	for i := range deskUsers {
		r := d.request(b.Context(), http.MethodPost, "/v1/sessions", fmt.Sprintf(`{"login": "user%d", "password": %q}`, i, testPassword))
		w := httptest.NewRecorder()
		d.handler.ServeHTTP(w, r)
		var made apitypes.Session
		if err := json.Unmarshal(w.Body.Bytes(), &made); err != nil || w.Code != http.StatusCreated {
			b.Fatalf("sign in: %d %s", w.Code, w.Body)
		}
		d.sessions = append(d.sessions, strings.TrimPrefix(made.Token, "fws_"))
	}
	return d
}

func (d *speedDesk) request(ctx context.Context, method, at, body string) *http.Request {
	r := httptest.NewRequestWithContext(ctx, method, d.url+at, strings.NewReader(body))
	r.Header.Set("Origin", d.url)
	r.Header.Set("Accept-Encoding", "gzip, br")
	return r
}

// grow writes once a second until the context ends.
func (d *speedDesk) grow(ctx context.Context, b *testing.B) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if _, err := d.writes.ExecContext(context.WithoutCancel(ctx), "UPDATE meta SET value = value + 1 WHERE key = 'revision'"); err != nil {
				b.Errorf("write: %v", err)
			}
		}
	}
}

// userID is a user's id; the first has done what work there is on findings.
func userID(i int) string { return "usr_" + string(rune('a'+i)) }

// asked names other objects in each request.
func asked(at string, i int) string {
	return strings.NewReplacer("{run}", fmt.Sprintf("%07d", i*7919%100_000), "{customer}", fmt.Sprintf("%06d", i*7919%10_000), "{finding}", fmt.Sprintf("%08d", (i*7919+1)%1_000_000)).Replace(at)
}

// spent is the processor time of the program so far.
func spent(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func (d *speedDesk) ask(b *testing.B, method, at, form string) {
	took := make([]time.Duration, b.N)
	var sent, plain int
	var users sync.WaitGroup
	next := make(chan int)
	ctx, stop := context.WithCancel(b.Context())
	users.Go(func() { d.grow(ctx, b) })
	begun := spent(b)
	var asking sync.WaitGroup
	for user := range deskUsers {
		asking.Go(func() {
			for i := range next {
				r := d.request(b.Context(), method, asked(at, i), form)
				r.AddCookie(&http.Cookie{Name: "flopwatch_session_" + r.URL.Port(), Value: d.sessions[user]})
				if form != "" {
					r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				}
				w := httptest.NewRecorder()
				begin := time.Now()
				d.handler.ServeHTTP(w, r)
				took[i] = time.Since(begin)
				if w.Code != http.StatusOK {
					b.Errorf("%s: %d %.300s", at, w.Code, w.Body)
				}
				if i == 0 {
					sent = w.Body.Len()
					plain = unpacked(b, w)
				}
			}
		})
	}
	for i := range b.N {
		next <- i
	}
	close(next)
	asking.Wait()
	used := spent(b) - begun
	stop()
	users.Wait()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*95/100].Microseconds())/1000, "p95-ms")
	b.ReportMetric(float64(used.Microseconds())/1000/float64(b.N), "cpu-ms")
	b.ReportMetric(float64(sent)/1000, "kB")
	b.ReportMetric(float64(plain)/1000, "plain-kB")
}

// unpacked is how many bytes an answer has when it is read.
func unpacked(b *testing.B, w *httptest.ResponseRecorder) int {
	if w.Header().Get("Content-Encoding") != "gzip" {
		return w.Body.Len()
	}
	z, err := gzip.NewReader(w.Body)
	if err != nil {
		b.Error(err)
		return 0
	}
	n, err := io.Copy(io.Discard, z)
	if err != nil {
		b.Error(err)
	}
	return int(n)
}
