package collector

import (
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// heapGrowth is by how many percent the heap may grow before garbage is collected.
// Hosts, accounts and open segments of a large fleet live for ever, and to mark them
// again and again took a seventh of all time at Go's own 100.
const heapGrowth = 200

// giveRoom lets the heap grow further than Go would, up to half of the memory that
// there is: near that, garbage is collected as often as is needed. GOGC and GOMEMLIMIT
// have the last word.
func giveRoom() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(heapGrowth)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(heapLimit("/proc/self/cgroup", "/sys/fs/cgroup"))
	}
}

// heapLimit is half of the memory of the machine, or of the control group (version 2)
// if that is less; no limit where neither can be read.
func heapLimit(membership, root string) int64 {
	limit := int64(math.MaxInt64)
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		limit = int64(info.Totalram) * int64(info.Unit)
	}
	text, err := os.ReadFile(membership)
	if err != nil {
		return limit / 2
	}
	_, group, found := strings.Cut("\n"+string(text), "\n0::")
	if group, _, _ = strings.Cut(group, "\n"); !found {
		return limit / 2
	}
	for ; ; group = filepath.Dir(group) { // each group is bound by those around it
		if text, err := os.ReadFile(filepath.Join(root, group, "memory.max")); err == nil {
			if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && n > 0 {
				limit = min(limit, n)
			}
		}
		if group == "/" || group == "." {
			return limit / 2
		}
	}
}
