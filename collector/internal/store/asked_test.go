package store

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestAskedOnce(t *testing.T) {
	s := open(t, t.TempDir())
	ctx := t.Context()
	noon := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	key := strings.Repeat("a", 64)
	begin := func(request string, now time.Time) (Asked, bool) {
		t.Helper()
		before, first, err := s.BeginOnce(ctx, key, request, now, now.Add(-24*time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		return before, first
	}
	if _, first := begin("one", noon); !first {
		t.Error("the first is not the first")
	}
	if before, first := begin("two", noon); first || before.Request != "one" || before.Status != 0 || len(before.Sealed) != 0 {
		t.Errorf("%+v %t", before, first)
	}
	if err := s.EndOnce(ctx, key, 200, []byte("sealed")); err != nil {
		t.Fatal(err)
	}
	if before, first := begin("one", noon.Add(23*time.Hour)); first || before.Status != 200 || string(before.Sealed) != "sealed" {
		t.Errorf("%+v %t", before, first)
	}
	if _, first := begin("one", noon.Add(25*time.Hour)); !first {
		t.Error("it is kept for more than a day")
	}
	if err := s.ForgetOnce(ctx, key); err != nil {
		t.Fatal(err)
	}
	// Of many at once one is the first.
	var firsts atomic.Int32
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			_, first, err := s.BeginOnce(ctx, key, "one", noon, noon.Add(-time.Hour))
			if err != nil {
				t.Error(err)
			}
			if first {
				firsts.Add(1)
			}
		})
	}
	if wait.Wait(); firsts.Load() != 1 {
		t.Errorf("%d were the first", firsts.Load())
	}
	if err := s.EndOnce(ctx, key, 204, nil); err != nil {
		t.Fatal(err)
	}
}
