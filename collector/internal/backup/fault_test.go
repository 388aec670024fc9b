package backup_test

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/backup"
)

// With this variable set to a data directory the test program is a collector that
// counts a few batches there, while one of its file operations fails.
const storyEnv = "FLOPWATCH_TEST_STORY"

func TestStory(t *testing.T) {
	dir := os.Getenv(storyEnv)
	if dir == "" {
		t.Skip("a part of TestEveryDatabaseOperationFailsOnce")
	}
	for i := range 3 {
		count(t, dir, i, 2, noon.Add(time.Duration(i)*time.Hour))
		fmt.Printf("promised %d\n", 2*(i+1))
	}
}

// Every write, fsync, truncation and removal of SQLite fails once, as on a broken
// disk and as on a full one. What was promised before is there, the checker finds
// nothing wrong, and the next start goes on.
func TestEveryDatabaseOperationFailsOnce(t *testing.T) {
	cc, err := exec.LookPath("cc")
	if err != nil {
		t.Skip("needs a C compiler")
	}
	library := filepath.Join(t.TempDir(), "faults.so")
	if out, err := exec.Command(cc, "-shared", "-fPIC", "-O1", "-o", library, "../../../testdata/faults/faults.c", "-ldl").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	step := 9
	if os.Getenv("FLOPWATCH_LONG") != "" {
		step = 1
	}
	// The first life is in order: a start that makes the schema is tested there.
	fresh := t.TempDir()
	count(t, filepath.Join(fresh, "data"), 0, 1, noon)
	played := 0
	for _, kind := range []struct {
		name string
		err  syscall.Errno
		half string
	}{{"io error", syscall.EIO, ""}, {"disk full", syscall.ENOSPC, "1"}} {
		t.Run(kind.name, func(t *testing.T) {
			total, whats := 0, map[string]int{}
			for n := 0; n <= total; n += step {
				dir := t.TempDir()
				data := filepath.Join(dir, "data")
				if err := os.CopyFS(data, os.DirFS(filepath.Join(fresh, "data"))); err != nil {
					t.Fatal(err)
				}
				if err := os.Chmod(filepath.Join(data, "collector.key"), 0o600); err != nil {
					t.Fatal(err)
				}
				if err := os.Chmod(filepath.Join(data, "host.key"), 0o600); err != nil {
					t.Fatal(err)
				}
				c := exec.Command(os.Args[0], "-test.run", "^TestStory$")
				c.Env = append(os.Environ(), storyEnv+"="+data, "LD_PRELOAD="+library, "FAULT_PATH=flopwatch.db", fmt.Sprintf("FAULT_AT=%d", n),
					fmt.Sprintf("FAULT_ERROR=%d", kind.err), "FAULT_HALF="+kind.half, "FAULT_COUNT="+filepath.Join(dir, "count"))
				out, runErr := c.CombinedOutput()
				calls, what := counted(t, filepath.Join(dir, "count"))
				if n == 0 {
					if runErr != nil || calls < 20 {
						t.Fatalf("without a fault: %v, %d file operations\n%s", runErr, calls, out)
					}
					total = calls
					continue
				}
				if what == "" {
					continue // this life took fewer operations
				}
				whats[what]++
				played++
				promised := int64(1)
				for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
					if text, ok := strings.CutPrefix(lines.Text(), "promised "); ok {
						m, err := strconv.Atoi(text)
						if err != nil {
							t.Fatal(err)
						}
						promised = int64(1 + m)
					}
				}
				v, err := backup.Check(t.Context(), data)
				if err != nil || !v.Sound() || v.Batches < promised {
					t.Fatalf("operation %d (%s): promised %d batches, found %+v, %v\n%s", n, what, promised, v, err, out)
				}
				count(t, data, int(v.Batches), 1, noon.Add(5*time.Hour))
				if again, err := backup.Check(t.Context(), data); err != nil || !again.Sound() || again.Batches != v.Batches+1 {
					t.Fatalf("operation %d (%s): after going on: %+v, %v", n, what, again, err)
				}
			}
			if whats["write"] == 0 || whats["fsync"] == 0 {
				t.Errorf("operations that failed: %v", whats)
			}
			t.Logf("%d file operations, each %d. failed: %v", total, step, whats)
		})
	}
	t.Logf("%d faults", played)
}

// counted reads how many calls there were and which failed.
func counted(t *testing.T, path string) (int, string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	number, what, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	n, err := strconv.Atoi(strings.TrimSpace(number))
	if err != nil {
		t.Fatal(err)
	}
	return n, strings.TrimSpace(what)
}
