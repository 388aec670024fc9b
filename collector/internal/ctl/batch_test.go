package ctl

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
)

// allocated returns how many bytes f took from the heap in all.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// A file of one gigabyte is refused with the line on which it became too long, by
// reading no more of it than one import may have.
func TestGigabyteIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "huge.csv")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = file.WriteString("party_id,form\n" + strings.Repeat("p,person\n", 1000))
	if err = errors.Join(err, file.Truncate(1<<30), file.Close()); err != nil {
		t.Fatal(err)
	}
	used := allocated(func() { _, _, err = readBounded(path) })
	if err == nil || !strings.Contains(err.Error(), "huge.csv:1002: row: is beyond the first 8 MiB") {
		t.Errorf("%v", err)
	}
	if used > 10*apitypes.MaxImportBytes {
		t.Errorf("%d MiB were allocated to refuse it", used>>20)
	}
}

// endless is a stream of n bytes of rows.
type endless struct {
	row  string
	left int
}

func (e *endless) Read(p []byte) (int, error) {
	if e.left <= 0 {
		return 0, io.EOF
	}
	n := 0
	for len(p)-n >= len(e.row) && e.left > 0 {
		n += copy(p[n:], e.row)
		e.left -= len(e.row)
	}
	return n, nil
}

// A feed of one gigabyte goes through in batches, and takes the memory of one.
func TestGigabyteIsFed(t *testing.T) {
	row := `{"account":"acc_1","time":"2026-01-31T12:00:00Z","ip":"203.0.113.77","action":"api"}` + "\n"
	var rows, largest int
	var err error
	used := allocated(func() {
		err = batches(&endless{row, 1 << 30}, func(batch []byte, before int) error {
			if before != rows {
				return fmt.Errorf("%d rows before, %d were sent", before, rows)
			}
			rows += strings.Count(string(batch[:1]), "{") * (len(batch) / len(row))
			largest = max(largest, len(batch))
			return nil
		})
	})
	if err != nil || rows != (1<<30+len(row)-1)/len(row) || largest > batchBytes {
		t.Errorf("%d rows, the largest batch %d bytes, %v", rows, largest, err)
	}
	if used > 64<<20 {
		t.Errorf("%d MiB were allocated", used>>20)
	}
}

func TestBatchesTellLines(t *testing.T) {
	long := strings.Repeat("{}\n", 3) + strings.Repeat("x", maxLine+1)
	if err := batches(strings.NewReader(long), func([]byte, int) error { return nil }); err == nil || !strings.Contains(err.Error(), "line 4 is longer") {
		t.Error(err)
	}
	err := shifted(errors.New("the file has faults\nstdin:7: ip: must be an address\nstdin:12: row: x"), 20_000)
	if want := "the file has faults\nstdin:20007: ip: must be an address\nstdin:20012: row: x"; err.Error() != want {
		t.Errorf("%v", err)
	}
}
