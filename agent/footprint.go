package agent

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Starting reads most of the program file: libraries prepare themselves, the kernel's
// types and the configuration are parsed. Little of it is used again, yet it counts as
// memory of the agent as long as it is mapped.
const (
	startEnds   = 30 * time.Second // since start; devices, owners and connections were all there several times
	lightenNext = time.Hour        // what seldom work left is given back too
)

// stayLight gives back what was only needed once, until ctx ends.
func stayLight(ctx context.Context, log *slog.Logger) {
	wait := time.NewTimer(startEnds)
	defer wait.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-wait.C:
		}
		debug.FreeOSMemory()
		if err := dropProgramPages(); err != nil {
			log.DebugContext(ctx, "pages of the program are kept", slog.Any("error", err))
		}
		wait.Reset(lightenNext)
	}
}

// dropProgramPages unmaps the pages of the program file. They stay in the kernel's
// cache of files, and what is used again is mapped again from there.
func dropProgramPages() error {
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return fmt.Errorf("find the program file: %w", err)
	}
	maps, err := os.Open("/proc/self/smaps")
	if err != nil {
		return fmt.Errorf("read what is mapped: %w", err)
	}
	all, err := pristine(maps, program)
	_ = maps.Close() // was only read
	if err != nil {
		return fmt.Errorf("read what is mapped: %w", err)
	}
	for _, m := range all {
		// One byte that is used again would map the 2 MB around it on a kernel that keeps
		// files in large pages; one that does not knows no such advice.
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, m.start, m.end-m.start, unix.MADV_NOHUGEPAGE)
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, m.start, m.end-m.start, unix.MADV_DONTNEED); errno != 0 {
			return fmt.Errorf("give back %d bytes of %s: %w", m.end-m.start, program, errno)
		}
	}
	return nil
}

// span is a range of addresses.
type span struct{ start, end uintptr }

// pristine returns what is mapped of a file, cannot be written and never was, from the
// text of /proc/PID/smaps, see proc_pid_smaps(5). The dynamic linker writes into parts
// of the program before it makes them read-only: giving those back would lose it.
func pristine(smaps io.Reader, file string) ([]span, error) {
	var out []span
	var m span // of file, until its Anonymous line tells
	lines := bufio.NewScanner(smaps)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		switch {
		case len(f) == 3 && f[0] == "Anonymous:":
			if m.end > m.start && f[1] == "0" {
				out = append(out, m)
			}
			m = span{}
		case len(f) >= 5 && !strings.HasSuffix(f[0], ":"):
			m = span{}
			if len(f) < 6 || strings.Join(f[5:], " ") != file || f[1][0] != 'r' || f[1][1] != '-' {
				continue
			}
			from, to, _ := strings.Cut(f[0], "-")
			start, err := strconv.ParseUint(from, 16, 64)
			if err != nil {
				return nil, err
			}
			end, err := strconv.ParseUint(to, 16, 64)
			if err != nil {
				return nil, err
			}
			m = span{uintptr(start), uintptr(end)}
		}
	}
	return out, lines.Err()
}
