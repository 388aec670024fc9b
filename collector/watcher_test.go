package collector

import (
	"crypto/ed25519"
	"database/sql"
	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flopwatch/flopwatch/collector/internal/inventory"
	"github.com/flopwatch/flopwatch/collector/internal/store"
	"github.com/flopwatch/flopwatch/pkg/attest"
	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// watched is a watcher over a store with one host in the inventory.
type watched struct {
	*watcher
	path  string // of the database
	host  ledger.HostID
	start time.Time
}

func newWatched(t *testing.T) *watched {
	t.Helper()
	path := filepath.Join(t.TempDir(), "flopwatch.db")
	db, err := store.Open(t.Context(), path, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	start := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	public := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)).Public().(ed25519.PublicKey)
	id := ledger.HostID(attest.HostID(public))
	for _, c := range []inventory.Change{
		{Act: inventory.Invite, Name: "node-1", Devices: []inventory.Devices{{Count: 2, IDs: []measure.DeviceID{"gpu0", "gpu1"}}}, Invitation: &inventory.Invitation{ExpiresNS: start.Add(time.Hour).UnixNano()}},
		{Act: inventory.Enroll, Key: &inventory.Key{Signing: public, Broker: "U1"}},
	} {
		c.Host, c.AtNS, c.By = id, start.UnixNano(), "operator"
		if _, err := db.ChangeHost(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	return &watched{watcher: newWatcher(db, slog.New(slog.DiscardHandler), start), path: path, host: id, start: start}
}

// at looks and returns all findings there are.
func (w *watched) at(t *testing.T, after time.Duration) []string {
	t.Helper()
	if err := w.look(t.Context(), w.start.Add(after)); err != nil {
		t.Fatal(err)
	}
	all, err := store.NewReader(w.store, "", false).Findings(t.Context(), desk.FindingQuery{})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, f := range all {
		if f.Subject != "host:"+string(w.host) {
			t.Errorf("finding about %s", f.Subject)
		}
		out = append(out, f.Rule+" "+f.Level)
	}
	return out
}

// reports lets the host and one that nobody expects report.
func (w *watched) reports(t *testing.T, after time.Duration, ends time.Time, devices ...measure.DeviceID) {
	t.Helper()
	c := store.Commit{At: w.start.Add(after)}
	for _, host := range []ledger.HostID{w.host, "a stranger"} {
		c.Hosts = append(c.Hosts, ledger.Host{ID: host, LastNS: ends.UnixNano(), BootID: "b"})
		for _, d := range devices {
			c.Accounts = append(c.Accounts, ledger.Account{Host: host, Device: ledger.Device{Device: measure.Device{ID: d}}, LastNS: ends.UnixNano()})
		}
	}
	if err := w.Follow(t.Context(), nil, c); err != nil {
		t.Fatal(err)
	}
}

// A host of the inventory that falls silent becomes a finding, once; a host that
// nobody expects does not.
func TestSilentHostBecomesAFinding(t *testing.T) {
	w := newWatched(t)
	reports := func(after time.Duration, devices ...measure.DeviceID) {
		w.reports(t, after, w.start.Add(after), devices...)
	}
	reports(10*time.Second, "gpu0", "gpu1")
	if got := w.at(t, 30*time.Second); got != nil {
		t.Fatalf("found %v", got)
	}
	reports(4*time.Minute, "gpu0")
	if d := cmp.Diff([]string{"G4 missing device finding"}, w.at(t, 4*time.Minute)); d != "" {
		t.Errorf("a hidden device (-want +got):\n%s", d)
	}
	want := []string{"G1 silent host warning", "G4 missing device finding"}
	for range 2 {
		if d := cmp.Diff(want, w.at(t, 6*time.Minute)); d != "" {
			t.Errorf("silence (-want +got):\n%s", d)
		}
	}
	if d := cmp.Diff(append([]string{"G1 silent host finding"}, want...), w.at(t, 20*time.Minute)); d != "" {
		t.Errorf("long silence (-want +got):\n%s", d)
	}
}

// What a report showed is told by the next look when it could not be written at
// once.
func TestFindingOfAReportOutlivesAFailedLook(t *testing.T) {
	w := newWatched(t)
	w.reports(t, 0, w.start.Add(time.Hour), "gpu0", "gpu1")
	other, err := sql.Open("sqlite3", w.path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := other.Close(); err != nil {
			t.Error(err)
		}
	}()
	if _, err := other.ExecContext(t.Context(), `CREATE TRIGGER refuse BEFORE INSERT ON finding BEGIN SELECT RAISE(ABORT, 'no'); END`); err != nil {
		t.Fatal(err)
	}
	if err := w.look(t.Context(), w.start); err == nil {
		t.Fatal("a finding that cannot be written is no error")
	}
	if _, err := other.ExecContext(t.Context(), `DROP TRIGGER refuse`); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"G8 clock warning"}, w.at(t, 0)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// One device that two hosts report is a finding about both, once.
func TestOneDeviceOnTwoHosts(t *testing.T) {
	w := newWatched(t)
	book := ledger.New()
	for i, host := range []ledger.HostID{w.host, "bbbbbbbbbbbbbbbbbbbbbbbbbb"} {
		b := &ledger.Batch{Host: host, PublicKey: make([]byte, 32), Name: "n", BootID: "b", Position: ledger.Position{Epoch: 1, Seq: 1, Hash: [32]byte{byte(i + 1)}},
			Devices: []ledger.Device{{Device: measure.Device{ID: "GPU-one"}}},
			Windows: []measure.Window{{Device: "GPU-one", StartNS: w.start.UnixNano(), EndNS: w.start.Add(10 * time.Second).UnixNano(),
				Entries: []measure.Entry{{State: measure.Idle, Duration: 10 * time.Second}}}}}
		if err := book.Apply(b); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.store.Checkpoint(t.Context(), store.Checkpoint{At: w.start, Changes: book.Take()}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := w.look(t.Context(), w.start.Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	all, err := store.NewReader(w.store, "", false).Findings(t.Context(), desk.FindingQuery{})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, f := range all {
		if f.Rule == store.RuleTwinDevice {
			n++
		}
	}
	if n != 2 {
		t.Errorf("%d findings, want one about each host", n)
	}
	if twins, err := w.store.TwinDevices(t.Context(), w.start.Add(time.Hour).UnixNano()); err != nil || len(twins) != 0 {
		t.Errorf("an hour later: %v %v", twins, err)
	}
}
