package party

import (
	"maps"
	"slices"
)

// ordered returns the ids of objects in order.
func ordered[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }
