package collector

import (
	"context"
	"encoding/csv"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/evasion"
	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/collector/internal/policy"
	"github.com/flopwatch/flopwatch/collector/internal/store"
	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

func scenario(t *testing.T, name string) []map[string]string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "testdata", "scenarios", name))
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(strings.NewReader(string(data))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var out []map[string]string
	for _, cells := range rows[1:] {
		row := map[string]string{}
		for i, name := range rows[0] {
			row[name] = cells[i]
		}
		out = append(out, row)
	}
	return out
}

// marked is a linker that reads a file.
type marked map[measure.TenantID][]evasion.Mark

func (m marked) Behind(context.Context) (map[measure.TenantID][]evasion.Mark, []evasion.Cluster, error) {
	return m, nil, nil
}

// workedCase is the scenario in a store, derived: 58 jobs one after the other on the
// same 48 hosts.
func workedCase(t *testing.T) (*store.Store, *store.Reader) {
	t.Helper()
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "flopwatch.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	customers, err := os.ReadFile(filepath.Join("..", "testdata", "scenarios", "worked-case.customers.csv"))
	if err != nil {
		t.Fatal(err)
	}
	next, err := party.ReadCSV("worked-case.customers.csv", customers)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.PutCustomers(t.Context(), next, false); err != nil {
		t.Fatal(err)
	}
	book := ledger.New()
	deriver := store.NewDeriver(db, policy.InForce(policy.Shipped(), time.Now()), time.Now)
	peak := compute.RateFromTera(312)
	for n, job := range scenario(t, "worked-case.jobs.csv") {
		start, end := instantOf(t, job["start"]), instantOf(t, job["end"])
		rate, err := strconv.ParseFloat(job["ops_per_gpu_s"], 64)
		if err != nil {
			t.Fatal(err)
		}
		length := time.Duration(end - start)
		done := compute.Operations(rate * length.Seconds() / 1e9)
		for h := range 48 {
			b := &ledger.Batch{Host: ledger.HostID(fmt.Sprintf("host%02d", h)), PublicKey: []byte{1}, Name: fmt.Sprintf("node-%02d", h), Position: ledger.Position{Epoch: 1, Seq: uint64(n + 1), Hash: [32]byte{1}}}
			for d := range 8 {
				id := measure.DeviceID(fmt.Sprintf("gpu-%02d-%d", h, d))
				b.Devices = append(b.Devices, ledger.Device{Device: measure.Device{ID: id, Name: job["accelerator"]}, SKU: job["accelerator"], Peak: peak, Ceiling: 2 * peak})
				b.Windows = append(b.Windows, measure.Window{Device: id, StartNS: start, EndNS: end, Entries: []measure.Entry{{
					State: measure.Attributed, Tenant: measure.TenantID(job["tenant"]), Workload: measure.Workload{Kind: measure.KindSlurmJob, ID: job["job_id"]}, Method: measure.Method{Name: measure.Cycles, Version: 2},
					Duration: length, Operations: compute.Bounds{Low: done / 10 * 9, Best: done, High: done / 10 * 11}, Ceiling: peak.Over(length, compute.Nearest), EnergyMJ: -1,
				}}})
			}
			if err := book.Apply(b); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := db.Checkpoint(t.Context(), store.Checkpoint{At: time.Unix(0, end), Changes: book.Take()}, deriver); err != nil {
			t.Fatal(err)
		}
	}
	if err := deriver.Derive(t.Context()); err != nil {
		t.Fatal(err)
	}
	return db, store.NewReader(db, "", false)
}

func instantOf(t *testing.T, text string) int64 {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at.UnixNano()
}

// RAND's worked case through ledger, store, joining, policy and foresight: no
// single job alarms, the whole does, and it is said why.
func TestWorkedCase(t *testing.T) {
	db, reader := workedCase(t)
	runs, err := reader.Runs(t.Context(), desk.RunQuery{})
	if err != nil {
		t.Fatal(err)
	}
	var total compute.Operations
	for _, r := range runs {
		best := r.Figure.Combined().Best
		if total = total.Add(best); best.Float() >= 1e23 {
			t.Errorf("run %s of %s did %s: it would alarm by itself", r.ID, r.Tenant, best)
		}
	}
	if len(runs) != 58 || total.Float() < 5.7e23 || total.Float() > 5.9e23 {
		t.Fatalf("%d runs did %s, want 58 and about 5.8e23", len(runs), total)
	}
	all, err := reader.Findings(t.Context(), desk.FindingQuery{})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 0 {
		t.Fatalf("rules of the packs alone find %s of %s", all[0].Level, all[0].Subject)
	}

	links := marked{}
	for _, m := range scenario(t, "worked-case.marks.csv") {
		tenant := measure.TenantID(m["tenant_id"])
		links[tenant] = append(links[tenant], evasion.Mark{Kind: m["kind"], Value: m["value"]})
	}
	for name, c := range map[string]struct {
		links linker
		says  []string
	}{
		"by what the accounts do": {nil, []string{"58 runs of 12 accounts", "5 accounts have the same customer", "12 accounts went on 57 times where another of them had stopped"}},
		"with owners and payers":  {links, []string{"58 runs of 12 accounts", "12 accounts have the same payer", "12 accounts have the same image", "5 accounts have the same owner"}},
	} {
		ahead := &foreseer{store: db, reader: reader, laws: lawbook{db, policy.Shipped(), time.Now}, log: slog.New(slog.DiscardHandler), links: c.links}
		view, _, err := ahead.current(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		told := false
		for _, f := range view.Findings {
			if f.Rule != evasion.Structuring || f.Threshold.Float() < 0.99e23 || f.Threshold.Float() > 1.01e23 {
				continue
			}
			told = true
			for _, want := range c.says {
				if !strings.Contains(f.Reason, want) {
					t.Errorf("%s: the reason does not say %q: %s", name, want, f.Reason)
				}
			}
		}
		if !told {
			t.Errorf("%s: nothing is found: %v", name, view.Findings)
		}
		if err := ahead.look(t.Context(), time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	// What is seen is written, once, and shown.
	ahead := &foreseer{store: db, reader: reader, laws: lawbook{db, policy.Shipped(), time.Now}, log: slog.New(slog.DiscardHandler)}
	for range 2 {
		ahead.revision = 0
		if err := ahead.look(t.Context(), time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	shown, err := reader.Findings(t.Context(), desk.FindingQuery{})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, f := range shown {
		if f.Rule == evasion.Structuring && f.Pack == evasion.Default().ID && f.Severity == "high" && f.Operations != (desk.Finding{}).Operations {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d findings of structuring are shown, want 1: %v", n, shown)
	}
}
