package party

import (
	"maps"
	"slices"
)

// Ordered returns the ids of objects in order.
func Ordered[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }
