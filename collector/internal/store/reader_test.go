package store

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// counted is a store that holds the fleet, with its runs derived.
func counted(t *testing.T) (*Store, *Reader) {
	t.Helper()
	s := open(t, t.TempDir())
	count(t, s, nil, fleet()...)
	if err := NewDeriver(s, nil, time.Now).Derive(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s, NewReader(s, "1.2", false)
}

// must reads one answer.
func must[T any](t testing.TB, read func(context.Context) (T, error)) T {
	t.Helper()
	got, err := read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func put(t testing.TB, s *Store, all ...party.Customer) party.Diff {
	t.Helper()
	diff, err := s.PutCustomers(t.Context(), all, false)
	if err != nil {
		t.Fatal(err)
	}
	return diff
}

// Measured figures and figures of allocation are kept apart.
func TestTenants(t *testing.T) {
	s, r := counted(t)
	put(t, s, party.Customer{ID: "cus", Name: "Customer", Status: party.US, Tenants: []measure.TenantID{"t2", "t9"}})
	want := []desk.Tenant{
		{ID: "t1", ForeignStatus: "undetermined", Figure: figure1, Devices: 3, Runs: 1, FirstNS: at(0), LastNS: at(60)},
		{ID: "t2", CustomerID: "cus", CustomerName: "Customer", ForeignStatus: "us", Figure: figure2, Devices: 1, Runs: 1, FirstNS: at(10), LastNS: at(20)},
		{ID: "t9", CustomerID: "cus", CustomerName: "Customer", ForeignStatus: "us", Figure: desk.Figure{Coverage: 1}}, // did nothing
	}
	if d := cmp.Diff(want, must(t, r.Tenants), cmpopts.EquateApprox(0, 1e-12)); d != "" {
		t.Errorf("tenants (-want +got):\n%s", d)
	}
}

func TestRuns(t *testing.T) {
	s, r := counted(t)
	put(t, s, party.Customer{ID: "cus", Name: "Customer", Status: party.Foreign, Tenants: []measure.TenantID{"t1"}})
	want := []desk.Run{
		{Tenant: "t1", CustomerID: "cus", CustomerName: "Customer", ForeignStatus: "foreign", Label: "7", JoinedBy: "slurm_job 7", Figure: figure1,
			Hosts: 2, Devices: 3, Accelerators: []string{"B200", "H100"}, StartNS: at(0), EndNS: at(60), Open: true},
		{Tenant: "t2", ForeignStatus: "undetermined", Label: "container c", JoinedBy: "one workload, no scheduler job", Figure: figure2,
			Hosts: 1, Devices: 1, Accelerators: []string{"H100"}, StartNS: at(10), EndNS: at(20)},
	}
	for _, c := range []struct {
		tenant measure.TenantID
		limit  int
		want   []desk.Run
	}{{"", 0, want}, {"", 1, want[:1]}, {"t2", 0, want[1:]}, {"t1", 9, want[:1]}, {"t3", 0, nil}} {
		got, err := r.Runs(t.Context(), desk.RunQuery{Tenant: c.tenant, Limit: c.limit})
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(c.want, got, cmpopts.IgnoreFields(desk.Run{}, "ID", "Verdict"), cmpopts.EquateApprox(0, 1e-12), cmpopts.EquateEmpty()); d != "" {
			t.Errorf("runs of %q, at most %d (-want +got):\n%s", c.tenant, c.limit, d)
		}
	}
}

func TestHosts(t *testing.T) {
	_, r := counted(t)
	want := []desk.Host{
		{ID: "hosta", Name: "alpha", AgentVersion: "1.0", Epoch: 1, Seq: 2, Devices: 2, Accelerators: []string{"H100"}, FirstNS: at(0), LastNS: at(60)},
		{ID: "hostb", Name: "beta", AgentVersion: "1.0", Epoch: 1, Seq: 1, Devices: 1, Accelerators: []string{"B200"}, FirstNS: at(0), LastNS: at(15)},
	}
	if d := cmp.Diff(want, must(t, r.Hosts)); d != "" {
		t.Errorf("hosts (-want +got):\n%s", d)
	}
}

func TestCoverage(t *testing.T) {
	_, r := counted(t)
	want := []desk.Coverage{
		{Host: "hosta", HostName: "alpha", Devices: 2, Elapsed: secondsOf(80), Unobserved: secondsOf(40), Coverage: 0.5, Hidden: 80_000, LastNS: at(60), Evidence: desk.Evidence{Claimed: secondsOf(40)}},
		{Host: "hostb", HostName: "beta", Devices: 1, Elapsed: secondsOf(15), Coverage: 1, LastNS: at(15), Evidence: desk.Evidence{Claimed: secondsOf(15)}},
	}
	if d := cmp.Diff(want, must(t, r.Coverage)); d != "" {
		t.Errorf("coverage (-want +got):\n%s", d)
	}
}

func TestCustomersByOperations(t *testing.T) {
	s, r := counted(t)
	put(t, s,
		party.Customer{ID: "a", Name: "did nothing", Status: party.US},
		party.Customer{ID: "b", Name: "B", Country: "DE", Status: party.Foreign, StatusReason: "why", Demonstration: true, Tenants: []measure.TenantID{"t2"}},
		party.Customer{ID: "c", Name: "C", Status: party.Undetermined, Tenants: []measure.TenantID{"t1", "t9"}})
	want := []desk.Customer{
		{ID: "c", Name: "C", ForeignStatus: "undetermined", Tenants: []measure.TenantID{"t1", "t9"}},
		{ID: "b", Name: "B", Country: "DE", ForeignStatus: "foreign", StatusReason: "why", Demonstration: true, Tenants: []measure.TenantID{"t2"}},
		{ID: "a", Name: "did nothing", ForeignStatus: "us"},
	}
	if d := cmp.Diff(want, must(t, r.Customers)); d != "" {
		t.Errorf("customers (-want +got):\n%s", d)
	}
}

func TestStatus(t *testing.T) {
	s, _ := counted(t)
	before := must(t, NewReader(s, "1.2", true).Status)
	want := desk.Status{Version: "1.2", Demonstration: true, Watermark: at(60), Batches: 3}
	if d := cmp.Diff(want, before, cmpopts.IgnoreFields(desk.Status{}, "Revision")); d != "" {
		t.Errorf("status (-want +got):\n%s", d)
	}
	put(t, s, party.Customer{ID: "a", Name: "A", Status: party.US})
	if after := must(t, NewReader(s, "1.2", true).Status); after.Revision <= before.Revision {
		t.Errorf("revision %d after an import, %d before", after.Revision, before.Revision)
	}
}

// An empty store answers, and says that nothing was missed.
func TestEmptyStore(t *testing.T) {
	r := NewReader(open(t, t.TempDir()), "", false)
	if got := must(t, r.Check); !got.Balanced || got.Devices != 0 || got.Totals.Figure.Coverage != 1 || got.Totals.Unseen != (compute.Bounds{}) {
		t.Errorf("check %+v", got)
	}
	if n := len(must(t, r.Tenants)) + len(must(t, r.Customers)) + len(must(t, r.Hosts)) + len(must(t, r.Coverage)); n != 0 {
		t.Errorf("%d rows of nothing", n)
	}
}
