package lab

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"hash"
	"maps"
	"slices"

	"github.com/flopwatch/flopwatch/collector/internal/policy"
)

// writeFacts adds facts to a digest, in an order that does not depend on the map's.
func writeFacts(sum hash.Hash, facts policy.Facts) {
	keys := slices.SortedFunc(maps.Keys(facts), func(a, b policy.FactKey) int {
		return cmp.Or(cmp.Compare(a.Measure, b.Measure), cmp.Compare(a.WindowDays, b.WindowDays), cmp.Compare(a.NetworkGbitS, b.NetworkGbitS), cmp.Compare(a.CountryGroup, b.CountryGroup))
	})
	for _, k := range keys {
		f := facts[k]
		fmt.Fprintf(sum, "\nf %q %d %d %q %d %d %d", k.Measure, k.WindowDays, k.NetworkGbitS, k.CountryGroup, f.Low, f.Best, f.High)
	}
}

func writeDays(sum hash.Hash, days []Day) {
	buffer := make([]byte, 0, 56*len(days))
	for _, d := range days {
		for _, n := range []int64{int64(d.Day), int64(d.Operations.Low), int64(d.Operations.Best), int64(d.Operations.High), int64(d.Devices), d.ObservedS, d.ElapsedS} {
			buffer = binary.BigEndian.AppendUint64(buffer, uint64(n))
		}
	}
	sum.Write(buffer)
}
