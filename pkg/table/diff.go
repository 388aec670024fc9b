package table

// Diff is what an import changes, by id.
type Diff struct {
	New, Changed, Unchanged []string
}

// Compare says what laying next over current changes. What next does not name stays
// as it is.
func Compare[T any](current map[string]T, next []T, id func(T) string, same func(was, is T) bool) Diff {
	var d Diff
	for _, is := range next {
		was, known := current[id(is)]
		switch {
		case !known:
			d.New = append(d.New, id(is))
		case same(was, is):
			d.Unchanged = append(d.Unchanged, id(is))
		default:
			d.Changed = append(d.Changed, id(is))
		}
	}
	return d
}
