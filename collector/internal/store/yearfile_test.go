package store

import (
	"os"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/store/storetest"
)

// TestFillYearOf fills the database that YEAR_OF names, which a collector has made and
// left, with a year of hours of 400 devices; TestStartOnAYear of the whole programs asks
// for it, because it may not import this package.
func TestFillYearOf(t *testing.T) {
	path := os.Getenv("YEAR_OF")
	if path == "" {
		t.Skip("for make start-times YEAR=1, which sets YEAR_OF")
	}
	y := storetest.Year{Hosts: 50, Days: 365, PerDay: 24}
	begin := time.Now()
	storetest.FillYear(t, path, y)
	t.Logf("%d segments filled in %v", y.Segments(), time.Since(begin).Round(time.Millisecond))
}
