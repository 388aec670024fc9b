package monitor_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/monitor"
)

type source struct{ err error }

func (s source) Status(context.Context) (desk.Status, error) {
	return desk.Status{Batches: 7, Quarantined: 2, Revision: 9, Watermark: 1_700_000_000_000_000_000}, s.err
}

func (s source) Hosts(context.Context) ([]desk.Host, error) {
	return []desk.Host{{Name: "secret-host", AgentVersion: "1.2", LastNS: 1_700_000_000_000_000_000}, {AgentVersion: "1.1", LastNS: 1}}, nil
}

func (s source) Cases(context.Context) ([]desk.Case, error) {
	return []desk.Case{{State: "new", CustomerName: "Secret Ltd", Clocks: []desk.Clock{{State: "overdue"}}}}, nil
}

func (s source) FindingCounts(context.Context) (map[string]int64, error) {
	return map[string]int64{"critical": 3}, nil
}

func options(err error) monitor.Options {
	return monitor.Options{
		Source: source{err}, Connected: func() bool { return true }, DiskFree: func() (uint64, error) { return 1 << 30, nil },
		Version: "1.2", Now: func() time.Time { return time.Unix(1_700_000_060, 0) },
	}
}

func get(t *testing.T, h http.Handler, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

func TestMetricsNameNobody(t *testing.T) {
	status, body := get(t, monitor.Handler(options(nil)), "/metrics")
	if status != http.StatusOK {
		t.Fatalf("status %d: %s", status, body)
	}
	for _, want := range []string{
		`flopwatch_collector_build_info{version="1.2"} 1`,
		"flopwatch_collector_batches_total 7",
		"flopwatch_collector_quarantined_batches_total 2",
		`flopwatch_collector_hosts{agent_version="1.2",reporting="yes"} 1`,
		`flopwatch_collector_hosts{agent_version="1.1",reporting="no"} 1`,
		`flopwatch_collector_findings{severity="critical"} 3`,
		`flopwatch_collector_clocks{state="overdue"} 1`,
		`flopwatch_collector_scrape_failed{figure="status"} 0`,
		"flopwatch_collector_disk_free_bytes 1.073741824e+09",
	} {
		if !strings.Contains(body, want+"\n") {
			t.Errorf("no %q", want)
		}
	}
	if strings.Contains(strings.ToLower(body), "secret") {
		t.Error("a host or a customer is named")
	}
}

// What could not be read is missing and said so: a zero would look like an answer.
func TestUnreadableIsMissingNotZero(t *testing.T) {
	h := monitor.Handler(options(errors.New("disk gone: Secret Ltd")))
	_, body := get(t, h, "/metrics")
	if strings.Contains(body, "flopwatch_collector_batches_total ") || !strings.Contains(body, `flopwatch_collector_scrape_failed{figure="status"} 1`) {
		t.Errorf("a figure that could not be read:\n%s", body)
	}
	if status, body := get(t, h, "/readyz"); status != http.StatusServiceUnavailable || strings.Contains(body, "Secret") {
		t.Errorf("readyz: %d %q", status, body)
	}
	if status, _ := get(t, h, "/healthz"); status != http.StatusOK {
		t.Errorf("healthz: %d", status)
	}
}

func TestReadyNeedsTheBroker(t *testing.T) {
	o := options(nil)
	if status, _ := get(t, monitor.Handler(o), "/readyz"); status != http.StatusOK {
		t.Errorf("ready: %d", status)
	}
	o.Connected = func() bool { return false }
	if status, _ := get(t, monitor.Handler(o), "/readyz"); status != http.StatusServiceUnavailable {
		t.Errorf("without a broker: %d", status)
	}
}
