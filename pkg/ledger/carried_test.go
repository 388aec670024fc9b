package ledger_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/ledger/ledgertest"
)

// That rows are given out later changes no figure, wherever a collector restarts
// meanwhile, and the rows balance at every instant.
func TestCarryingChangesNothing(t *testing.T) {
	carried := 0
	rapid.Check(t, func(t *rapid.T) {
		steps := drawHistory(t)
		flip := rapid.Bool()
		whole, want := ledger.New(), ledgertest.NewRows()
		for _, b := range ledgertest.Batches(steps, func() bool { return false }) {
			if err := whole.Apply(b); err != nil {
				t.Fatal(err)
			}
		}
		want.Write(whole.Take())
		book, rows := ledger.New(), ledgertest.NewRows()
		now := int64(1000)
		positions := map[ledger.HostID]ledger.Position{}
		for _, b := range ledgertest.Batches(steps, func() bool { return flip.Draw(t, "cut") }) {
			if err := book.Apply(b); err != nil {
				t.Fatal(err)
			}
			positions[b.Host] = b.Position
			now += int64(rapid.IntRange(0, 20).Draw(t, "passes"))
			if !flip.Draw(t, "take") {
				continue
			}
			c := book.TakeDue(now, 30)
			if len(c.Carried) != len(c.CarriedHosts) {
				t.Fatalf("%d hosts are carried and %d told", len(c.Carried), len(c.CarriedHosts))
			}
			carried += len(c.Carried)
			inOrderOfHosts(t, c)
			rows.Write(c)
			for i, behind := range c.Carried {
				if p, err := behind.Position(); err != nil || p != positions[c.CarriedHosts[i].ID] {
					t.Fatalf("host %s is carried at %v, want %v: %v", c.CarriedHosts[i].ID, p, positions[c.CarriedHosts[i].ID], err)
				}
			}
			if problems := ledger.Check(slices.Collect(maps.Values(rows.Accounts)), maps.Values(rows.Segments)); problems != nil {
				t.Fatalf("rows that are behind do not balance: %v", problems)
			}
			if flip.Draw(t, "restart") {
				var err error
				if book, err = ledger.Restore(rows.State()); err != nil {
					t.Fatal(err)
				}
				if book.Behind() != (len(rows.Carried) > 0) {
					t.Fatalf("restored ledger behind: %t, with %d carried", book.Behind(), len(rows.Carried))
				}
				for host, p := range positions {
					if book.Position(host) != p {
						t.Fatalf("host %s is at %v after a restart, want %v", host, book.Position(host), p)
					}
				}
			}
		}
		rows.Write(book.Take())
		if book.Behind() || len(rows.Carried) > 0 {
			t.Fatalf("after a whole Take %d hosts are carried", len(rows.Carried))
		}
		if diff := cmp.Diff(want.Segments, rows.Segments); diff != "" {
			t.Fatalf("segments differ (-whole +carried):\n%s", diff)
		}
		if diff := cmp.Diff(want.Accounts, rows.Accounts); diff != "" {
			t.Fatalf("accounts differ (-whole +carried):\n%s", diff)
		}
	})
	if carried == 0 {
		t.Error("nothing was carried")
	}
}

// inOrderOfHosts says that accounts come in the order of their hosts, for who goes
// through both at once.
func inOrderOfHosts(t *rapid.T, c ledger.Changes) {
	t.Helper()
	accounts, reported := c.Accounts, c.CarriedAccounts
	for _, h := range c.Hosts {
		for ; len(accounts) > 0 && accounts[0].Host == h.ID; accounts = accounts[1:] {
		}
	}
	for _, h := range c.CarriedHosts {
		for ; len(reported) > 0 && reported[0].Host == h.ID; reported = reported[1:] {
		}
	}
	if len(accounts)+len(reported) > 0 {
		t.Fatalf("%d accounts and %d reported ones do not follow their hosts", len(accounts), len(reported))
	}
}

// A host whose figures only grow costs no rows until the wait is over, also when it
// falls silent.
func TestRowsOfAHostThatFellSilentSettle(t *testing.T) {
	book := ledger.New()
	give := func(seq uint64, now int64) ledger.Changes {
		b := &ledger.Batch{Host: "h", Position: ledger.Position{Epoch: 1, Seq: seq}, Devices: []ledger.Device{ledgertest.Device("GPU-0")}}
		b.Windows = append(b.Windows, busy(int64(seq)*10, int64(seq)*10+10))
		if err := book.Apply(b); err != nil {
			t.Fatal(err)
		}
		return book.TakeDue(now, 100)
	}
	if c := give(1, 1000); len(c.Opened) != 1 || len(c.Hosts) != 1 || len(c.Carried) != 0 {
		t.Fatalf("first batch: %+v", c)
	}
	for seq := uint64(2); seq < 5; seq++ {
		if c := give(seq, 1000+int64(seq)); len(c.Hosts)+len(c.Accounts)+len(c.Extended) != 0 || len(c.Carried) != 1 {
			t.Fatalf("batch %d: %+v", seq, c)
		}
	}
	if c := book.TakeDue(1101, 100); !c.Empty() {
		t.Fatalf("too early: %+v", c)
	}
	c := book.TakeDue(1102, 100)
	if len(c.Hosts) != 1 || len(c.Accounts) != 1 || len(c.Extended) != 1 || len(c.Settled) != 1 || c.Extended[0].EndNS != 50*second {
		t.Fatalf("after the wait: %+v", c)
	}
	if c := book.TakeDue(2000, 100); !c.Empty() || book.Behind() {
		t.Fatalf("again: %+v", c)
	}
}

// The rows of many hosts follow one another, and not all at once.
func TestRowsFollowOneAnother(t *testing.T) {
	book := ledger.New()
	const hosts, after = 1000, 100
	most, turns := 0, map[int64]int{}
	for now := int64(1); now <= 3*after; now++ {
		for i := range hosts {
			b := &ledger.Batch{Host: ledger.HostID(fmt.Sprint("h", i)), Position: ledger.Position{Epoch: 1, Seq: uint64(now)}, Devices: []ledger.Device{ledgertest.Device("GPU-0")}}
			b.Windows = append(b.Windows, busy(now*10, now*10+10))
			if err := book.Apply(b); err != nil {
				t.Fatal(err)
			}
		}
		c := book.TakeDue(now, after)
		if now == 1 {
			continue // the first rows
		}
		if len(c.Hosts)+len(c.Carried) != hosts || len(c.Settled) != len(c.Hosts) {
			t.Fatalf("%d hosts had their turn and %d are carried, of %d", len(c.Hosts), len(c.Carried), hosts)
		}
		most = max(most, len(c.Hosts))
		for _, h := range c.Hosts {
			turns[h.No]++
		}
	}
	if most > 2*hosts/after {
		t.Errorf("%d hosts had their turn at once, want about %d", most, hosts/after)
	}
	for no := range int64(hosts) {
		if n := turns[no+1]; n < 1 || n > 4 {
			t.Errorf("host %d had its turn %d times in three rounds", no+1, n)
		}
	}
}

func FuzzCarried(f *testing.F) {
	book := ledger.New()
	rows := ledgertest.NewRows()
	for seq := uint64(1); seq < 4; seq++ {
		b := &ledger.Batch{Host: "h", Position: ledger.Position{Epoch: 1, Seq: seq}, Devices: []ledger.Device{ledgertest.Device("GPU-0")}}
		b.Windows = append(b.Windows, busy(int64(seq)*10, int64(seq)*10+10))
		if err := book.Apply(b); err != nil {
			f.Fatal(err)
		}
		rows.Write(book.TakeDue(int64(seq), 100))
	}
	for _, state := range rows.Carried {
		f.Add(state)
	}
	f.Fuzz(func(_ *testing.T, state []byte) {
		s := rows.State()
		s.Carried = []ledger.Carried{{HostNo: 1, State: state}}
		_, _ = ledger.Restore(s) // an error or a ledger, and no panic
	})
}
