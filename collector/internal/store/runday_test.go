package store

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
)

// Days of a run are dated by the watermark, and a run that is not there has none.
func TestRunDays(t *testing.T) {
	s := open(t, t.TempDir())
	const watermark, day = int64(1767225600) * 1e9, int64(86400) * 1e9
	row := runRow{id: "run_a", recent: "1767225600:12,0,7"}
	values := append(row.values(), "ten-a")
	if _, err := s.db.Exec("INSERT INTO run ("+runColumns+", tenant) VALUES (?"+strings.Repeat(", ?", len(values)-1)+")", values...); err != nil {
		t.Fatal(err)
	}
	if _, err := s.db.Exec("UPDATE meta SET value = ? WHERE key = 'watermark_ns'", watermark); err != nil {
		t.Fatal(err)
	}
	days := func(id string) []desk.RunDay {
		return must(t, func(ctx context.Context) ([]desk.RunDay, error) { return NewReader(s, "", false).RunDays(ctx, id) })
	}
	want := []desk.RunDay{{ToNS: watermark - 2*day, Best: 7}, {ToNS: watermark - day}, {ToNS: watermark, Best: 12}}
	if diff := cmp.Diff(want, days("run_a")); diff != "" {
		t.Error(diff)
	}
	if got := days("run_none"); got != nil {
		t.Errorf("days of no run: %v", got)
	}
}
