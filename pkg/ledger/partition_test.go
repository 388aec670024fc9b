package ledger

import (
	"testing"

	"pgregory.net/rapid"
)

// The numbers of partitions never meet, grow, and leave out none that could be
// given sooner.
func TestNumbersOfPartitions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := Partition{Of: rapid.IntRange(1, 64).Draw(t, "of")}
		p.No = rapid.IntRange(0, p.Of-1).Draw(t, "no")
		last := rapid.Int64Range(0, 1<<60).Draw(t, "last")
		n := p.next(last)
		if n <= last || n > last+int64(p.Of) || n%int64(p.Of) != int64(p.No) {
			t.Fatalf("partition %d of %d gives %d after %d", p.No, p.Of, n, last)
		}
	})
	if n := (Partition{}).next(7); n != 8 {
		t.Errorf("one partition gives %d after 7", n)
	}
}

// Each host is in one partition.
func TestPartitionsShareTheHosts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id, of, in := HostID(rapid.String().Draw(t, "id")), rapid.IntRange(1, 64).Draw(t, "of"), 0
		for no := range of {
			if (Partition{no, of}).Holds(id) {
				in++
			}
		}
		if in != 1 {
			t.Fatalf("host %q is in %d of %d partitions", id, in, of)
		}
	})
}
