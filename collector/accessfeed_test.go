package collector

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/permission"
	"github.com/flopwatch/flopwatch/pkg/audit"
)

// accessRows are n rows of the access feed over some accounts, a millisecond
// apart, from a number on: calls with other numbers share no row.
func accessRows(n, from, accounts int, start time.Time) []byte {
	var out bytes.Buffer
	for i := from; i < from+n; i++ {
		fmt.Fprintf(&out, `{"account":"acc_%d","time":"%s","ip":"10.%d.%d.%d","action":"api"}`+"\n", i%accounts,
			start.Add(time.Duration(i)*time.Millisecond).Format(time.RFC3339Nano), byte(i>>16), byte(i>>8), byte(i))
	}
	return out.Bytes()
}

// loadCustomers imports n customers with an account each.
func (b *bureau) loadCustomers(n int) {
	b.Helper()
	var out bytes.Buffer
	for i := range n {
		fmt.Fprintf(&out, `{"kind":"party","party_id":"pty_%d","form":"organisation","incorporation":"US"}
{"kind":"customer","customer_id":"cus_%d","party_id":"pty_%d"}
{"kind":"account","account_id":"acc_%d","customer_id":"cus_%d","tenants":["ten-%d"],"opened":"2020-01-01"}
`, i, i, i, i, i, i)
	}
	status, body := b.ask(http.MethodPost, "/v1/parties/import", "application/x-ndjson", out.Bytes())
	b.want(http.StatusOK, status, body)
}

// listen serves the API on loopback to a steward.
func (b *bureau) listen() string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := audit.With(permission.With(r.Context(), b.who), audit.Act{Actor: audit.Actor{Kind: audit.Person, ID: b.who.ID}})
		b.api.ServeHTTP(w, r.WithContext(ctx))
	}))
	b.Cleanup(server.Close)
	return server.URL
}

func (b *bureau) feed(url string, rows []byte) {
	b.Helper()
	answer, err := http.Post(url+"/v1/accesses", "application/x-ndjson", bytes.NewReader(rows))
	if err != nil {
		b.Fatal(err)
	}
	body, err := io.ReadAll(answer.Body)
	if err := answer.Body.Close(); err != nil {
		b.Fatal(err)
	}
	if err != nil || answer.StatusCode != http.StatusOK {
		b.Fatal(answer.Status, string(body), err)
	}
}

// processorTime is what this process used of all processors.
func processorTime(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// accessBatch is the size of a batch of the measured feed in rows.
const accessBatch = 10_000

// BenchmarkAccessFeed sends batches of 10,000 rows through HTTP to a collector
// that knows 10,000 customers: to read rows, to look accounts up, to seal, and to
// write twice with fsync. What the client uses counts as well.
func BenchmarkAccessFeed(b *testing.B) {
	desk := openBureau(b)
	desk.loadCustomers(10_000)
	url := desk.listen()
	n := 0
	var used time.Duration
	for b.Loop() {
		b.StopTimer()
		rows := accessRows(accessBatch, n, 10_000, desk.now.Add(-240*time.Hour))
		b.StartTimer()
		before := processorTime(b)
		desk.feed(url, rows)
		used += processorTime(b) - before
		n += accessBatch
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64(used.Microseconds())/float64(n), "cpu-µs/row")
}

// The feed takes 10,000 rows a second with what one core gives, whatever else the
// machine does: it is held to processor time and not to the clock. The log then
// has five million rows less than a day of such a feed writes, and grows as the
// logarithm of its rows.
func TestAccessFeedRate(t *testing.T) {
	if os.Getenv("FLOPWATCH_LONG") == "" {
		t.Skip("a million rows; set FLOPWATCH_LONG=1")
	}
	desk := openBureau(t)
	desk.loadCustomers(10_000)
	url := desk.listen()
	const batches = 100
	var used, took time.Duration
	for i := range batches {
		rows := accessRows(accessBatch, i*accessBatch, 10_000, desk.now.Add(-240*time.Hour))
		before, start := processorTime(t), time.Now()
		desk.feed(url, rows)
		used, took = used+processorTime(t)-before, took+time.Since(start)
	}
	const rows = batches * accessBatch
	t.Logf("%d rows: %.1f µs of processor time each, %.0f rows/s by the clock", rows, float64(used.Microseconds())/rows, rows/took.Seconds())
	if perRow := used / rows; perRow > 100*time.Microsecond {
		t.Errorf("a row takes %v of processor time: 10,000 of them more than a second of one core", perRow)
	}
}
