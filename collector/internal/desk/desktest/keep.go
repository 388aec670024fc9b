package desktest

import "context"

// Keeping is a reader that keeps all that is made of its answers, as of a ledger into
// which nothing is written.
type Keeping struct {
	*Reader
	Hits int // answers that were given again
	Kept map[string]any
}

// Keep returns what make returned for the same words.
func (k *Keeping) Keep(_ context.Context, what string, make func() (any, int, error)) (any, error) {
	if v, ok := k.Kept[what]; ok {
		k.Hits++
		return v, nil
	}
	v, _, err := make()
	if err == nil {
		if k.Kept == nil {
			k.Kept = map[string]any{}
		}
		k.Kept[what] = v
	}
	return v, err
}
