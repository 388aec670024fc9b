package probe

import (
	"errors"
	"fmt"
	"strings"
)

// maxPath and maxLines bound what is taken from one cgroup file; the kernel
// gives one line per hierarchy, of which there are about a dozen.
const (
	maxPath  = 4096
	maxLines = 64
)

// ParseCgroup reads /proc/PID/cgroup and returns the paths, the unified
// hierarchy's first. The suffix of a removed cgroup is dropped. A line that the
// kernel cannot have written is an error that names it.
func ParseCgroup(data []byte) ([]string, error) {
	var unified, others []string
	seen := map[string]bool{}
	text := strings.TrimSuffix(string(data), "\n")
	if text == "" {
		return nil, errors.New("cgroup: empty")
	}
	for i, line := range strings.Split(text, "\n") {
		if i >= maxLines {
			return nil, fmt.Errorf("cgroup: more than %d lines", maxLines)
		}
		parts := strings.SplitN(line, ":", 3)
		if len(parts) != 3 || !strings.HasPrefix(parts[2], "/") || !isDigits(parts[0]) {
			return nil, fmt.Errorf("cgroup: line %d is not hierarchy:controllers:/path", i+1)
		}
		if len(parts[2]) > maxPath {
			return nil, fmt.Errorf("cgroup: line %d: path longer than %d bytes", i+1, maxPath)
		}
		// A second line for a hierarchy would be the name of a cgroup that holds a
		// newline, made to look like a line.
		if seen[parts[0]] {
			return nil, fmt.Errorf("cgroup: line %d: hierarchy %.20s for the second time", i+1, parts[0])
		}
		seen[parts[0]] = true
		path := strings.TrimSuffix(parts[2], " (deleted)")
		if parts[0] == "0" && parts[1] == "" {
			unified = append(unified, path)
		} else {
			others = append(others, path)
		}
	}
	return append(unified, others...), nil
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
