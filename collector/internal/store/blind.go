package store

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/collector/internal/party/resolve"
	"github.com/flopwatch/flopwatch/pkg/audit"
)

// Blinder turns sealed personal data into keyed hashes, so that parties can be
// compared by them and what they say stays where it is sealed.
type Blinder interface {
	// Blind returns hashes by id of the sealed data of parties, and nothing for
	// what was erased. The value of an id says whether the party is a person. Names
	// are hashed with the hasher it is given.
	Blind(ctx context.Context, persons map[string]bool, h *resolve.Hasher) (map[string]Blinded, error)
}

// Blinded is what sealed data of a party say, for comparison alone.
type Blinded struct {
	Names  []resolve.Name
	Hashes map[party.IdentifierType]string // of values, as those of identifiers are hashed
	Birth  string                          // likewise, of the date of birth
}

// everyParty stands in the log of personal data for all parties at once.
const everyParty = "every-party"

// blind brings what is known of sealed data up to date with the parties. That a
// program opened them is logged before it does, once for all that are new. Of
// what was erased nothing is kept.
func (l *linker) blind(ctx context.Context, s party.Snapshot) error {
	if l.blinder == nil {
		return nil
	}
	before := l.blinded
	l.blinded = make(map[string]Blinded, len(before))
	fresh := map[string]bool{}
	for _, id := range ordered(s.Parties) {
		p := s.Parties[id]
		if _, gone := s.Erasures[id]; gone || p.Sealed == "" {
			continue
		}
		if known, ok := before[p.Sealed]; ok {
			l.blinded[p.Sealed] = known
			continue
		}
		fresh[p.Sealed] = p.Form == party.Person
	}
	if len(fresh) == 0 {
		return nil
	}
	if err := l.store.LogBlind(ctx, len(fresh), "compared by keyed hashes, by the rules of "+l.weights.Title()); err != nil {
		return err
	}
	found, err := l.blinder.Blind(ctx, fresh, l.hasher)
	if err != nil {
		return err
	}
	for id, b := range found {
		l.blinded[id] = b
	}
	return nil
}

// LogBlind records that a program turns personal data of n parties into keyed
// hashes, before it does.
func (s *Store) LogBlind(ctx context.Context, n int, reason string) error {
	err := s.update(audit.Because(ctx, "personal_data.blind", reason), func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO personal_access (id, at_ns, actor, party, fields, reason) VALUES (?, ?, ?, ?, ?, ?)",
			NewID("rvl_"), s.opts.Now().UnixNano(), audit.Of(ctx).Actor.ID, everyParty, fmt.Sprintf("hashes of %d", n), reason)
		return err
	})
	if err != nil {
		return fmt.Errorf("log that parties are compared: %w", err)
	}
	return nil
}
