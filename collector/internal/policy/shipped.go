package policy

import (
	"cmp"
	"crypto/sha256"
	"embed"
	"slices"
	"sync"
	"time"
)

//go:embed packs/*.yaml
var shipped embed.FS

// Shipped returns the packs of the program, ordered by id. They are part of the
// program and under test.
var Shipped = sync.OnceValue(func() []*Pack {
	entries, err := shipped.ReadDir("packs")
	if err != nil {
		panic(err)
	}
	var packs []*Pack
	for _, entry := range entries {
		data, err := shipped.ReadFile("packs/" + entry.Name())
		if err != nil {
			panic(err)
		}
		p, err := Read(entry.Name(), data)
		if err != nil {
			panic(err)
		}
		packs = append(packs, p)
	}
	slices.SortFunc(packs, func(a, b *Pack) int { return cmp.Compare(a.ID, b.ID) })
	return packs
})

// ShippedSource returns the bytes of a shipped pack's file, whose SHA-256 is the
// pack's digest; nil if none has it.
func ShippedSource(digest [32]byte) []byte {
	entries, err := shipped.ReadDir("packs")
	if err != nil {
		panic(err)
	}
	for _, entry := range entries {
		data, err := shipped.ReadFile("packs/" + entry.Name())
		if err != nil {
			panic(err)
		}
		if sha256.Sum256(data) == digest {
			return data
		}
	}
	return nil
}

// InForce returns the packs that are held against the fleet: those that are
// active, and not those whose time is over at an instant.
func InForce(packs []*Pack, now time.Time) []*Pack {
	var out []*Pack
	for _, p := range packs {
		if p.Active && !p.Over(now) {
			out = append(out, p)
		}
	}
	return out
}

// Over reports whether the time of the pack is over at an instant.
func (p *Pack) Over(now time.Time) bool {
	return p.Until != "" && now.UTC().Format(time.DateOnly) >= p.Until
}

// Ends returns when the time of the pack is over, zero if it has no end.
func (p *Pack) Ends() time.Time {
	end, err := time.Parse(time.DateOnly, p.Until)
	if err != nil {
		return time.Time{} // there is none: a pack that was read has no bad date
	}
	return end
}
