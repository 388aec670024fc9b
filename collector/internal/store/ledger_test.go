package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	framing "github.com/flopwatch/flopwatch/pkg/evidence"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/flopwatch/flopwatch/pkg/bundle"
	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/ledger/ledgertest"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// rows reads everything back.
func rows(t testing.TB, s *Store) *ledgertest.Rows {
	t.Helper()
	tx, err := s.read.BeginTx(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := tx.Rollback(); err != nil {
			t.Error(err)
		}
	}()
	hosts, err1 := loadHosts(context.Background(), tx, "")
	accounts, err2 := loadAccounts(context.Background(), tx, "")
	segments, err3 := loadSegments(context.Background(), tx, "")
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	r := ledgertest.NewRows()
	r.Write(ledger.Changes{Hosts: hosts, Accounts: accounts, Opened: segments})
	return r
}

// Invariant I1 through the database: what is read back is what an undisturbed
// ledger in memory holds, wherever checkpoints and restarts fall.
func TestLedgerSurvivesRestarts(t *testing.T) {
	dir := t.TempDir()
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		s, err := openOn(t, filepath.Join(dir, fmt.Sprint(run), "flopwatch.db"), Options{})
		if err != nil {
			rt.Fatal(err)
		}
		defer func() {
			if err := s.Close(); err != nil {
				rt.Error(err)
			}
		}()
		flip := rapid.Bool()
		batches := ledgertest.Batches(ledgertest.History(rapid.IntRange(1, 40).Draw(rt, "windows"), func(n int) int {
			return rapid.IntRange(0, n-1).Draw(rt, "n")
		}), func() bool { return flip.Draw(rt, "cut") })
		whole, want := ledger.New(), ledgertest.NewRows()
		book, now := ledger.New(), int64(1000)
		for _, b := range batches {
			if err := errors.Join(whole.Apply(b), book.Apply(b)); err != nil {
				rt.Fatal(err)
			}
			if !flip.Draw(rt, "checkpoint") {
				continue
			}
			now += int64(rapid.IntRange(0, 20).Draw(rt, "passes"))
			if _, err := s.Checkpoint(t.Context(), Checkpoint{At: noon, Changes: book.TakeDue(now, int64(rapid.IntRange(0, 30).Draw(rt, "carry")))}); err != nil {
				rt.Fatal(err)
			}
			if flip.Draw(rt, "restart") {
				var err error
				if book, err = s.LoadLedger(t.Context()); err != nil {
					rt.Fatal(err)
				}
			}
		}
		if _, err := s.Checkpoint(t.Context(), Checkpoint{At: noon, Changes: book.Take()}); err != nil {
			rt.Fatal(err)
		}
		want.Write(whole.Take())
		got := rows(t, s)
		if diff := cmp.Diff(want, got); diff != "" {
			rt.Fatalf("database differs (-memory +database):\n%s", diff)
		}
		if p := ledger.Check(slices.Collect(maps.Values(got.Accounts)), maps.Values(got.Segments)); p != nil {
			rt.Fatal(p)
		}
	})
}

type follower func(ctx context.Context, tx *sql.Tx, c Commit) error

func (f follower) Follow(ctx context.Context, tx *sql.Tx, c Commit) error { return f(ctx, tx, c) }

func oneBatch(seq uint64) *ledger.Batch {
	steps := ledgertest.History(10, func(n int) int { return n / 2 })
	b := ledgertest.Batches(steps, func() bool { return false })[0]
	b.Position = ledger.Position{Epoch: 1, Seq: seq}
	return b
}

// A follower that fails takes the facts, the words and the evidence with it.
func TestFollowerIsInTheTransaction(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	checkpoint := func(f follower) error {
		book, err := s.LoadLedger(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := book.Apply(oneBatch(1)); err != nil {
			t.Fatal(err)
		}
		_, err = s.Checkpoint(t.Context(), Checkpoint{
			At: noon, Changes: book.Take(), Frames: framing.AppendFrame(nil, []byte("envelope")), FrameCount: 1,
		}, f)
		return err
	}
	boom := errors.New("boom")
	if err := checkpoint(func(context.Context, *sql.Tx, Commit) error { return boom }); !errors.Is(err, boom) {
		t.Fatalf("error is %v, want boom", err)
	}
	if r := rows(t, s); len(r.Hosts)+len(r.Accounts)+len(r.Segments) != 0 {
		t.Fatalf("a failed checkpoint left rows: %+v", r)
	}
	var commit Commit
	if err := checkpoint(func(_ context.Context, tx *sql.Tx, c Commit) error {
		commit = c
		var n int
		if err := tx.QueryRow("SELECT count(*) FROM segment").Scan(&n); err != nil || n != len(c.Segments) {
			t.Errorf("the follower sees %d segments, told %d: %v", n, len(c.Segments), err)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if commit.Revision != 1 || commit.WatermarkNS == 0 || len(commit.Hosts) != 1 || len(commit.Segments) == 0 {
		t.Errorf("commit %+v", commit)
	}
	data, err := os.ReadFile(filepath.Join(dir, "evidence", "2026-03-01.fwe"))
	if err != nil {
		t.Fatal(err)
	}
	if want := framing.AppendFrame(nil, []byte("envelope")); !bytes.Equal(data, want) {
		t.Errorf("evidence holds %d bytes, want one frame of %d", len(data), len(want))
	}
}

// A batch that was not counted is left out of bundles for ever, also when it had to make
// room in quarantine: counted anew it would make the figures others than those that were
// reported.
func TestWhatIsNotCountedIsKnownForEver(t *testing.T) {
	s, err := openOn(t, filepath.Join(t.TempDir(), "q.db"), Options{QuarantineRows: 3})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	const host = "aaaaaaaaaaaaaaaaaaaaaaaaaa"
	early := []byte("a batch whose windows lie in the future")
	all := []Quarantine{{Host: host, Reason: "future", Received: noon, Envelope: early}, {Host: host, Reason: "past", Received: noon, Envelope: []byte("and one of long ago")}}
	for range 5 {
		all = append(all, Quarantine{Host: host, Reason: "signature", Received: noon, Envelope: []byte("what anybody may send")})
	}
	for range 2 { // that comes again is known already
		c := Checkpoint{At: noon, Quarantine: all}
		if _, err := s.Checkpoint(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	kept := 0
	if err := s.read.QueryRow("SELECT count(*) FROM quarantine WHERE reason <> 'signature'").Scan(&kept); err != nil || kept != 0 {
		t.Fatalf("%d are in quarantine still, %v", kept, err)
	}
	err = s.update(t.Context(), func(tx *sql.Tx) error {
		if _, err := tx.Exec("INSERT INTO host (no, id, public_key, name, os, kernel, agent_version, attribution, boot_id, epoch, seq, hash, first_ns, last_ns, batches) VALUES (1, ?, ?, 'h', '', '', '', '', '', 1, 1, ?, 1, 2, 1)",
			host, make([]byte, 32), make([]byte, 32)); err != nil {
			return err
		}
		sealed := Sealed{Claims: []bundle.Run{{Parts: []bundle.Part{{Host: host}}}}}
		if err := fleetOf(t.Context(), tx, &sealed, map[string]bool{}); err != nil {
			return err
		}
		sum := sha256.Sum256(early)
		if got := sealed.Fleet.Hosts[0].Placeholders; len(got) != 2 || !slices.Contains(got, hex.EncodeToString(sum[:])) {
			t.Errorf("left out of a bundle: %v", got)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestQuarantineIsBounded(t *testing.T) {
	s, err := openOn(t, filepath.Join(t.TempDir(), "q.db"), Options{QuarantineRows: 5, QuarantineBytes: 100})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	put := func(n, size int) (ids []int64) {
		var all []Quarantine
		for range n {
			all = append(all, Quarantine{Host: "h", Reason: "signature", Received: noon, Envelope: make([]byte, size)})
		}
		if _, err := s.Checkpoint(t.Context(), Checkpoint{At: noon, Quarantine: all}); err != nil {
			t.Fatal(err)
		}
		rows, err := s.read.Query("SELECT id FROM quarantine ORDER BY id")
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			var id int64
			if err := rows.Scan(&id); err != nil {
				t.Fatal(err)
			}
			ids = append(ids, id)
		}
		return ids
	}
	if diff := cmp.Diff([]int64{4, 5, 6, 7, 8}, put(8, 1)); diff != "" {
		t.Errorf("by rows (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]int64{9, 10}, put(2, 50)); diff != "" {
		t.Errorf("by bytes (-want +got):\n%s", diff)
	}
	var counted int
	if err := s.read.QueryRow("SELECT value FROM meta WHERE key = 'quarantined'").Scan(&counted); err != nil || counted != 10 {
		t.Errorf("counted %d, want 10: %v", counted, err)
	}
}
