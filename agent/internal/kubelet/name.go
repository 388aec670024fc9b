package kubelet

// isPlain accepts 1 to limit bytes of printable ASCII without spaces.
func isPlain(s string, limit int) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return s != "" && len(s) <= limit
}

// isID accepts uids of pods and ids of containers.
func isID(s string) bool { return consists(s, 128, "-_.") }

// isNamespace accepts a DNS label, as Kubernetes does.
func isNamespace(s string) bool { return isLower(s) && consists(s, 63, "-") }

// isName accepts the names of pods and containers.
func isName(s string) bool { return isLower(s) && consists(s, 253, "-.") }

// isLabelValue accepts what Kubernetes does, which may be empty.
func isLabelValue(s string) bool { return s == "" || consists(s, 63, "-_.") }

func isLower(s string) bool {
	for i := range len(s) {
		if s[i] >= 'A' && s[i] <= 'Z' {
			return false
		}
	}
	return true
}

// consists reports whether s has 1 to limit letters, digits and marks.
func consists(s string, limit int, marks string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		for j := 0; !letter && j < len(marks); j++ {
			letter = c == marks[j]
		}
		if !letter {
			return false
		}
	}
	return s != "" && len(s) <= limit
}
