package bpf

import (
	"fmt"
	"os"
	"testing"
)

// The tests run this program again for processes of which they know everything:
// helper name arguments.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "helper" {
		if err := helper(os.Args[2], os.Args[3:]); err != nil {
			fmt.Fprintln(os.Stderr, "helper:", err)
			os.Exit(1)
		}
		return
	}
	before := descriptors()
	code := m.Run()
	if after := descriptors(); code == 0 && before != after {
		fmt.Fprintf(os.Stderr, "%d descriptors are open after the tests, %d were before\n", after, before)
		code = 1
	}
	os.Exit(code)
}

// descriptors counts this process's, less what the Go runtime keeps for itself
// once a file was waited for.
func descriptors() int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return -1
	}
	n := 0
	for _, e := range entries {
		switch target, _ := os.Readlink("/proc/self/fd/" + e.Name()); target {
		case "anon_inode:[eventpoll]", "anon_inode:[eventfd]", "":
		default:
			n++
		}
	}
	return n
}
