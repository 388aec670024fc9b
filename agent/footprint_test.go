package agent

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// What was written to is kept, whatever it may do now; so is what is of others.
func TestPristinePagesOfTheProgram(t *testing.T) {
	const smaps = `00400000-00a00000 r-xp 00000000 fe:00 1 /usr/bin/flopwatch agent
Size:               6144 kB
Rss:                4000 kB
Anonymous:             0 kB
AnonHugePages:         0 kB
VmFlags: rd ex mr mw me sd
00a00000-00a01000 r--p 00600000 fe:00 1 /usr/bin/flopwatch agent
Anonymous:             4 kB
00a01000-00c00000 r--p 00601000 fe:00 1 /usr/bin/flopwatch agent
Anonymous:             0 kB
00c00000-00c10000 rw-p 00800000 fe:00 1 /usr/bin/flopwatch agent
Anonymous:             0 kB
00c10000-00c20000 rw-p 00000000 00:00 0
Anonymous:             0 kB
7f0000000000-7f0000100000 r-xp 00000000 fe:00 2 /usr/lib/libc.so.6
Anonymous:             0 kB
`
	got, err := pristine(strings.NewReader(smaps), "/usr/bin/flopwatch agent")
	want := []span{{0x400000, 0xa00000}, {0xa01000, 0xc00000}}
	if err != nil || len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("got %x, %v, want %x", got, err, want)
	}
	if _, err := pristine(strings.NewReader("0040000z-1 r-xp 0 0 1 /a\n"), "/a"); err == nil {
		t.Error("an address that is none was read")
	}
}

// The program goes on when its pages are gone, and takes up fewer.
func TestProgramGoesOnWithoutItsPages(t *testing.T) {
	if os.Getenv("FLOPWATCH_TEST_PAGES") == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestProgramGoesOnWithoutItsPages$")
		cmd.Env = append(os.Environ(), "FLOPWATCH_TEST_PAGES=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	readProgram(t)
	before := residentFile(t)
	for range 20 {
		if err := dropProgramPages(); err != nil {
			t.Fatal(err)
		}
	}
	if after := residentFile(t); after >= before {
		t.Errorf("%d kB of files before, %d kB after", before, after)
	}
}

// readProgram maps all pages of the program, as a start that reads much of it does.
// This process may have read no more than it goes on using.
func readProgram(t *testing.T) {
	t.Helper()
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	maps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	all, err := pristine(bytes.NewReader(maps), program)
	if err != nil || len(all) == 0 {
		t.Fatalf("%d mappings of %s, %v", len(all), program, err)
	}
	for _, m := range all {
		switch _, _, errno := unix.Syscall(unix.SYS_MADVISE, m.start, m.end-m.start, unix.MADV_POPULATE_READ); errno {
		case 0:
		case unix.EINVAL:
			t.Skip("this kernel cannot map pages on request (it needs 5.14)")
		default:
			t.Fatalf("map %s: %v", program, errno)
		}
	}
}

// residentFile is how much of files this process has mapped and read, in kB.
func residentFile(t *testing.T) (kB int) {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	// A program that lies in a tmpfs is counted as shared memory.
	for _, key := range []string{"RssFile:", "RssShmem:"} {
		_, rest, _ := strings.Cut(string(status), key)
		var n int
		if _, err := fmt.Sscan(rest, &n); err != nil {
			t.Fatal(err)
		}
		kB += n
	}
	return kB
}
