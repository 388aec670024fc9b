package audit

import (
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// Outside is the action of an entry that tells of a change by another program.
const Outside = "audit.outside"

// Walk reads a log from its first entry on, and holds each entry against those
// before it: nothing is missing, and each object was as it was last left.
type Walk struct {
	Entries   int64 // that were read, with those that are missing between them
	ClockBack int   // entries that are dated before an earlier one

	newest time.Time
	after  map[Object]string
	front  []Hash // of the largest whole subtrees, left to right
	levels []int  // of front
}

// NewWalk returns a walk that has read nothing.
func NewWalk() *Walk { return &Walk{after: map[Object]string{}} }

// Step reads the leaf at seq and says what is wrong with it, in words. ok is
// false where the leaf is no entry at all.
func (w *Walk) Step(seq int64, leaf []byte) (e Entry, ok bool, problems []string) {
	tell := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	if seq != w.Entries {
		tell("audit entry %d: entry %d is missing before it", seq, w.Entries)
		w.Entries = seq
	}
	w.Entries++
	e, err := ParseLeaf(leaf)
	if err != nil {
		tell("audit entry %d: %v", seq, err)
		return e, false, problems
	}
	if e.Seq != seq {
		tell("audit entry %d: it says that it is entry %d", seq, e.Seq)
	}
	if e.At.Before(w.newest) {
		w.ClockBack++
	} else {
		w.newest = e.At
	}
	if before := w.after[e.Object]; e.Before != before {
		tell("audit entry %d: %s %s was not as the entry before it says", seq, e.Object.Kind, e.Object.ID)
	}
	if w.after[e.Object] = e.After; e.After == "" {
		delete(w.after, e.Object)
	}
	if e.Action == Outside {
		tell("audit entry %d: another program changed %s %s before %s", seq, e.Object.Kind, e.Object.ID, e.At.Format(time.RFC3339))
	}
	return e, true, problems
}

// After returns the digest of each object as the log last holds it. It is the
// walk's own: who changes it changes what later steps say.
func (w *Walk) After() map[Object]string { return w.after }

// Grow adds a leaf to the tree that the walk works out, and calls made with every
// node that the leaf completes, by level from 0 and number in its level. It goes
// on with the hash that made returns. It needs no more memory than the height of
// the tree.
func (w *Walk) Grow(leaf []byte, made func(level int, n int64, h Hash) Hash) {
	hash, level, n := tlog.RecordHash(leaf), 0, w.leaves()
	for {
		hash = made(level, n, hash)
		last := len(w.front) - 1
		if last < 0 || w.levels[last] != level {
			break
		}
		hash, level, n = tlog.NodeHash(w.front[last], hash), level+1, n/2
		w.front, w.levels = w.front[:last], w.levels[:last]
	}
	w.front, w.levels = append(w.front, hash), append(w.levels, level)
}

// leaves returns how many leaves Grow was called with.
func (w *Walk) leaves() (n int64) {
	for _, level := range w.levels {
		n += 1 << level
	}
	return n
}

// Root returns the root of the tree that Grow worked out so far.
func (w *Walk) Root() Hash {
	if len(w.front) == 0 {
		return Hash{}
	}
	root := w.front[len(w.front)-1]
	for i := len(w.front) - 2; i >= 0; i-- {
		root = tlog.NodeHash(w.front[i], root)
	}
	return root
}
