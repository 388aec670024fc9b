package collector

import (
	"context"
	"maps"
	"slices"

	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/collector/internal/party/resolve"
	"github.com/flopwatch/flopwatch/collector/internal/store"
	"github.com/flopwatch/flopwatch/collector/internal/vault"
)

// blinder hashes personal data beside the vault, so that the store compares
// parties by what it cannot read. The store logged it before.
type blinder struct{ *vault.Vault }

// Blind returns hashes by id of the sealed data.
func (b blinder) Blind(ctx context.Context, persons map[string]bool, h *resolve.Hasher) (map[string]store.Blinded, error) {
	out := make(map[string]store.Blinded, len(persons))
	ids := slices.Sorted(maps.Keys(persons))
	_, err := b.Visit(ctx, ids, func(id string, fields map[string]string) { out[id] = b.blinded(fields, persons[id], h) })
	return out, err
}

// blinded hashes the fields of one party. A value that is none of its kind says
// nothing: it was taken as it came, and nobody is linked by it.
func (b blinder) blinded(fields map[string]string, person bool, h *resolve.Hasher) store.Blinded {
	out := store.Blinded{Hashes: map[party.IdentifierType]string{}}
	for _, f := range []string{"name", "name_original", "trade_name"} {
		out.Names = append(out.Names, h.Names(fields[f], person)...)
	}
	for t, f := range map[party.IdentifierType]string{party.Address: "address", party.Document: "national_id"} {
		value := fields[f]
		if value == "" || party.StandsForNone(t, value) {
			continue
		}
		if normal, _, err := party.Normal(t, value); err == nil {
			out.Hashes[t] = b.Hash(string(t), normal)
		}
	}
	if date := fields["birth_date"]; date != "" {
		out.Birth = b.Hash("birth", date)
	}
	return out
}
