package policy

import (
	"crypto/sha256"
	"fmt"
	"slices"
)

// Scaled returns the pack with the lines of its rules at so many percent, above
// 0. It is for trying, and of another digest.
func (p *Pack) Scaled(percent int) *Pack {
	q := *p
	q.Rules = slices.Clone(p.Rules)
	for i := range q.Rules {
		q.Rules[i].draw(max(1, percentOf(p.Rules[i].threshold, percent)))
	}
	q.Digest = sha256.Sum256(fmt.Appendf(p.Digest[:], "scaled %d", percent))
	return &q
}
