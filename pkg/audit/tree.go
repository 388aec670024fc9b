package audit

import (
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// Hash is a node of the tree.
type Hash = tlog.Hash

// HashReader returns nodes of the tree by their number in the order in which
// Hashes makes them.
type HashReader = tlog.HashReader

// Hashes returns the nodes that the leaf at seq adds to the tree, to be stored
// from number Nodes(seq) on. read is asked for nodes of earlier leaves.
func Hashes(seq int64, leaf []byte, read HashReader) ([]Hash, error) {
	nodes, err := tlog.StoredHashes(seq, leaf, read)
	if err != nil {
		return nil, fmt.Errorf("add leaf %d to the audit tree: %w", seq, err)
	}
	return nodes, nil
}

// Nodes returns the number of nodes of a tree of size leaves, 0 for none.
func Nodes(size int64) int64 {
	if size == 0 {
		return 0
	}
	return tlog.StoredHashCount(size)
}

// Root returns the hash of the tree of the first size leaves.
func Root(size int64, read HashReader) (Hash, error) {
	root, err := tlog.TreeHash(size, read)
	if err != nil {
		return Hash{}, fmt.Errorf("root of the audit tree at %d leaves: %w", size, err)
	}
	return root, nil
}

// Inclusion proves that a leaf is in a tree.
type Inclusion struct {
	Seq  int64  `json:"seq"`
	Path []Hash `json:"path"`
}

// ProveInclusion returns the proof that the leaf at seq is in the tree of the
// first size leaves.
func ProveInclusion(size, seq int64, read HashReader) (Inclusion, error) {
	path, err := tlog.ProveRecord(size, seq, read)
	if err != nil {
		return Inclusion{}, fmt.Errorf("prove audit entry %d in a tree of %d: %w", seq, size, err)
	}
	return Inclusion{seq, path}, nil
}

// CheckInclusion fails unless the leaf is in the tree that a checkpoint names.
func CheckInclusion(c Checkpoint, leaf []byte, p Inclusion) error {
	if err := tlog.CheckRecord(p.Path, c.Size, c.Root, p.Seq, tlog.RecordHash(leaf)); err != nil {
		return fmt.Errorf("audit entry %d is not in the log of %d entries: %w", p.Seq, c.Size, err)
	}
	return nil
}

// ProveConsistency returns the proof that the tree of the first size leaves grew
// out of that of the first old leaves, which are at least one.
func ProveConsistency(size, old int64, read HashReader) ([]Hash, error) {
	path, err := tlog.ProveTree(size, old, read)
	if err != nil {
		return nil, fmt.Errorf("prove that the audit log of %d entries grew out of %d: %w", size, old, err)
	}
	return path, nil
}

// CheckConsistency fails unless the log that next names only added to the one
// that old names.
func CheckConsistency(next, old Checkpoint, path []Hash) error {
	if err := tlog.CheckTree(path, next.Size, next.Root, old.Size, old.Root); err != nil {
		return fmt.Errorf("the audit log of %d entries did not grow out of that of %d: %w", next.Size, old.Size, err)
	}
	return nil
}
