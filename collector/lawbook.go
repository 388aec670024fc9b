package collector

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/clock"
	"github.com/flopwatch/flopwatch/collector/internal/draft"
	"github.com/flopwatch/flopwatch/collector/internal/policy"
	"github.com/flopwatch/flopwatch/collector/internal/store"
)

// lawbook says which packs decide: the shipped ones that are active, and in their
// place what two people put in force since.
type lawbook struct {
	store   *store.Store
	shipped []*policy.Pack
	now     func() time.Time
}

// inForce returns the packs that decide now, by id.
func (l lawbook) inForce(ctx context.Context) (map[string]*policy.Pack, error) {
	out, err := l.latest(ctx)
	now := l.now()
	maps.DeleteFunc(out, func(_ string, p *policy.Pack) bool { return !p.Active || p.Over(now) })
	return out, err
}

// latest returns each pack as it decides now or decided last, by id. A case stays
// under the pack that it was opened under: the clocks of a duty do not end with it.
func (l lawbook) latest(ctx context.Context) (map[string]*policy.Pack, error) {
	out := map[string]*policy.Pack{}
	for _, p := range l.shipped {
		out[p.ID] = p
	}
	in, err := l.store.PacksInForce(ctx, l.now())
	if err != nil {
		return nil, err
	}
	for _, x := range in {
		p, err := policy.Read(x.ID, []byte(x.Text))
		if err != nil {
			return nil, fmt.Errorf("policy %s: %w", x.Policy, err)
		}
		out[p.ID] = p
	}
	return out, nil
}

// list returns the packs that decide now, in the order of their ids.
func (l lawbook) list(ctx context.Context) ([]*policy.Pack, error) {
	in, err := l.inForce(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]*policy.Pack, 0, len(in))
	for _, id := range slices.Sorted(maps.Keys(in)) {
		out = append(out, in[id])
	}
	return out, nil
}

// source returns a pack by the digest of its file, whether it decides now or did
// once: what a report was written under stays with it.
func (l lawbook) source(ctx context.Context, digest [32]byte) (*policy.Pack, []byte, error) {
	if text := policy.ShippedSource(digest); text != nil {
		p, err := policy.Read("shipped", text)
		return p, text, err
	}
	all, err := l.store.Policies(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, q := range all {
		if q.Kind == draft.Pack && sha256.Sum256([]byte(q.Text)) == digest {
			p, err := policy.Read(q.Name, []byte(q.Text))
			return p, []byte(q.Text), err
		}
	}
	return nil, nil, fmt.Errorf("the file of the pack with digest %x is not known", digest)
}

// obligation returns a clock of a pack, which runs from an instant that is given;
// ok is false if there is no such pack or it has none of the name.
func obligation(packs map[string]*policy.Pack, pack, name string) (o clock.Obligation, ok bool, err error) {
	p, ok := packs[pack]
	if !ok {
		return o, false, nil
	}
	k, ok := p.ClockNamed(name)
	if !ok {
		return o, false, nil
	}
	zone, err := time.LoadLocation(k.Zone)
	if err != nil {
		return o, false, fmt.Errorf("pack %s: clock %s: %w", p.ID, k.ID, err)
	}
	return clock.Obligation{Name: k.ID, Basis: clock.Given, Days: k.Days, Zone: zone}, true, nil
}
