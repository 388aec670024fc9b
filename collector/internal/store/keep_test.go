package store

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/store/storetest"
)

// What was made of one state is given to all who ask, until somebody writes, here or
// in another program, or it is ten seconds old.
func TestKeep(t *testing.T) {
	var mu sync.Mutex
	now := time.Unix(1_800_000_000, 0)
	s, err := openOn(t, t.TempDir()+"/flopwatch.db", Options{Now: func() time.Time { mu.Lock(); defer mu.Unlock(); return now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	r := NewReader(s, "", false)
	made := map[string]int{}
	keep := func(what string) int {
		t.Helper()
		got, err := r.Keep(t.Context(), what, func() (any, int, error) { made[what]++; return made[what], 10, nil })
		if err != nil {
			t.Fatal(err)
		}
		return got.(int)
	}
	want := func(what string, n int) {
		t.Helper()
		if got := keep(what); got != n {
			t.Errorf("%s was made %d times, want %d", what, got, n)
		}
	}
	want("a", 1)
	want("a", 1)
	want("b", 1)
	bump := func(ctx context.Context) {
		t.Helper()
		if err := s.update(ctx, func(tx *sql.Tx) error {
			_, err := tx.Exec("UPDATE meta SET value = value + 1 WHERE key = 'revision'")
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	bump(growing(t.Context()))
	want("a", 2)
	bump(t.Context())
	want("a", 3)
	want("b", 2)
	storetest.Edit(t, s.path, "UPDATE meta SET value = value + 1 WHERE key = 'revision'")
	want("a", 4)
	mu.Lock()
	now = now.Add(11 * time.Second)
	mu.Unlock()
	want("a", 5)

	fault := errors.New("could not be made")
	if _, err := r.Keep(t.Context(), "c", func() (any, int, error) { return nil, 0, fault }); !errors.Is(err, fault) {
		t.Errorf("%v", err)
	}
	want("c", 1)
}

// A slow answer is given again while the ledger grows, and not once somebody did
// something, at this collector or at another one.
func TestAnActElsewhereShows(t *testing.T) {
	s := open(t, t.TempDir())
	var slow remembered[int]
	made := 0
	want := func(what string, n int) {
		t.Helper()
		got, err := slow.get(t.Context(), s, func() (int, error) { made++; return made, nil })
		if slow.took < time.Hour {
			slow.took = time.Hour // as if it had taken so long
		}
		if err != nil || got != n {
			t.Errorf("%s: it was made %d times, want %d: %v", what, got, n, err)
		}
	}
	nothing := func(*sql.Tx) error { return nil }
	want("at first", 1)
	if err := s.update(growing(t.Context()), nothing); err != nil {
		t.Fatal(err)
	}
	want("growth", 1)
	before, err := s.state(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.update(t.Context(), nothing); err != nil {
		t.Fatal(err)
	}
	after, err := s.state(t.Context())
	if err != nil || after.everyAct != before.everyAct+1 {
		t.Errorf("an act makes %d of %d: %v", after.everyAct, before.everyAct, err)
	}
	want("an act here", 2)
	elsewhere := func(ctx context.Context) {
		t.Helper()
		if s.opts.Postgres == "" { // one collector alone, and programs of the same machine
			text := "UPDATE meta SET value = value + 1 WHERE key = 'revision'"
			if ctx.Value(growth{}) == nil {
				text = "UPDATE meta SET value = value + 1 WHERE key = 'acts'"
			}
			storetest.Edit(t, s.path, text)
			return
		}
		other, err := openOn(t, t.TempDir()+"/flopwatch.db", Options{Postgres: s.opts.Postgres})
		if err == nil {
			err = errors.Join(other.update(ctx, nothing), other.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	elsewhere(growing(t.Context()))
	want("growth elsewhere", 2)
	elsewhere(t.Context())
	want("an act elsewhere", 3)
}

// However much is asked for, what is kept stays within its bounds, and what was
// asked for last is there.
func TestKeepForgets(t *testing.T) {
	s := open(t, t.TempDir())
	r := NewReader(s, "", false)
	for i := range 200 {
		what := strconv.Itoa(i)
		if _, err := r.Keep(t.Context(), what, func() (any, int, error) { return i, 1 << 20, nil }); err != nil {
			t.Fatal(err)
		}
		if r.shelf.bytes > keptBytes {
			t.Fatalf("%d bytes are kept", r.shelf.bytes)
		}
		got, err := r.Keep(t.Context(), what, func() (any, int, error) { return nil, 0, errors.New("it was forgotten at once") })
		if err != nil || got != i {
			t.Fatal(got, err)
		}
	}
	if len(r.shelf.items) != r.shelf.order.Len() || len(r.shelf.items) < 16 {
		t.Errorf("%d items, %d in order", len(r.shelf.items), r.shelf.order.Len())
	}
	for i := range 80_000 { // what cannot be made takes place too
		_, _ = r.Keep(t.Context(), "none "+strconv.Itoa(i), func() (any, int, error) { return nil, 0, errors.New("not there") })
		if i%1000 == 0 && r.shelf.bytes > keptBytes {
			t.Fatalf("%d bytes are kept", r.shelf.bytes)
		}
		if len(r.shelf.items) > keptBytes/itemBytes {
			t.Fatalf("%d items", len(r.shelf.items))
		}
	}
}
