package screening

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// features says which features agreed and how much, without their values.
func features(scores map[string]float64) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(scores)) {
		if scores[name] > 0 && len(parts) < 10 {
			parts = append(parts, fmt.Sprintf("%s %.2f", name, scores[name]))
		}
	}
	return strings.Join(parts, ", ")
}
