package ledger

import "hash/fnv"

// Spread returns the number by which hosts are spread over partitions: FNV-1a of
// the id in 32 bits, which is what the broker's subject mapping computes too.
func (id HostID) Spread() uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id)) // never fails
	return h.Sum32()
}

// Partition is a share of the hosts: those whose spread leaves No when it is
// divided by Of. The zero value is all hosts.
type Partition struct{ No, Of int }

// Holds reports whether the host belongs to the partition.
func (p Partition) Holds(id HostID) bool {
	return p.Of <= 1 || int(id.Spread()%uint32(p.Of)) == p.No
}

// next returns the lowest number above last that is the partition's to give: it
// leaves No when it is divided by Of. So ledgers of two partitions never give one
// number twice, and none has to ask another.
func (p Partition) next(last int64) int64 {
	if p.Of <= 1 {
		return last + 1
	}
	of := int64(p.Of)
	return last + 1 + ((int64(p.No)-last-1)%of+of)%of
}
