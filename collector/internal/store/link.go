package store

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/flopwatch/flopwatch/collector/internal/approval"
	"github.com/flopwatch/flopwatch/collector/internal/party/resolve"
	"github.com/flopwatch/flopwatch/pkg/audit"
	"github.com/flopwatch/flopwatch/pkg/canonical"
)

// Errors of decisions on links.
var (
	ErrNoLink    = errors.New("there is no such link")
	ErrLinkState = errors.New("the link is not in a state in which this can be said of it")
)

const linkColumns = "id, a, b, class, directed, state, bits, needs, evidence, against, by, reason, from_ns, to_ns, recorded_ns, weights"

func scanLink(rows interface{ Scan(...any) error }, l *resolve.Link) error {
	var evidence, against []byte
	err := rows.Scan(&l.ID, &l.A, &l.B, &l.Class, &l.Directed, &l.State, &l.Bits, &l.Needs, &evidence, &against, &l.By, &l.Reason, &l.FromNS, &l.ToNS, &l.RecordedNS, &l.Weights)
	if err != nil {
		return err
	}
	l.Automatic = l.State == resolve.Automatic
	if err := errors.Join(json.Unmarshal(evidence, &l.Evidence), json.Unmarshal(against, &l.Against)); err != nil {
		return fmt.Errorf("link %s: %w", l.ID, err)
	}
	return nil
}

// linkHistory returns all records of links in the order of recording, or those
// of one link.
func linkHistory(ctx context.Context, q querier, id string) ([]resolve.Link, error) {
	var out []resolve.Link
	err := each(ctx, q, func(rows *sql.Rows) error {
		var l resolve.Link
		err := scanLink(rows, &l)
		out = append(out, l)
		return err
	}, "SELECT "+linkColumns+" FROM party_link WHERE ?1 = '' OR id = ?1 ORDER BY no", id)
	if err != nil {
		return nil, fmt.Errorf("read links: %w", err)
	}
	return out, nil
}

// standingLinks returns every link as it stands, also those that count no more.
func standingLinks(ctx context.Context, q querier) ([]resolve.Link, error) {
	var out []resolve.Link
	err := each(ctx, q, func(rows *sql.Rows) error {
		var l resolve.Link
		err := scanLink(rows, &l)
		out = append(out, l)
		return err
	}, "SELECT "+linkColumns+" FROM party_link WHERE no IN (SELECT max(no) FROM party_link GROUP BY id) ORDER BY recorded_ns, id")
	if err != nil {
		return nil, fmt.Errorf("read links: %w", err)
	}
	return out, nil
}

func writeLinks(ctx context.Context, tx *sql.Tx, all []resolve.Link) error {
	for i := range all {
		l := &all[i]
		evidence, err := json.Marshal(l.Evidence)
		if err != nil {
			return fmt.Errorf("link %s: %w", l.ID, err)
		}
		against, err := json.Marshal(l.Against)
		if err != nil {
			return fmt.Errorf("link %s: %w", l.ID, err)
		}
		_, err = tx.ExecContext(ctx, "INSERT INTO party_link ("+linkColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
			l.ID, string(l.A), string(l.B), string(l.Class), l.Directed, string(l.State), l.Bits, l.Needs, string(evidence), string(against), l.By, l.Reason, l.FromNS, l.ToNS, l.RecordedNS, l.Weights)
		if err != nil {
			return fmt.Errorf("link %s: %w", l.ID, err)
		}
	}
	return nil
}

// DecideLinks records what a person says of links, of all or of none, with one
// reason, and returns them as they stand then. An accepted link that is a bridge
// waits for ApproveLink. fromNS is since when accepted links hold, 0 for always.
// It wraps ErrNoLink or ErrLinkState.
func (s *Store) DecideLinks(ctx context.Context, ids []string, v resolve.Verdict, by, reason string, fromNS int64) ([]resolve.Link, error) {
	var out []resolve.Link
	err := s.update(audit.Because(ctx, "link."+string(v), reason), func(tx *sql.Tx) error {
		out = nil
		if v == resolve.Approve {
			return fmt.Errorf("%w: a second person approves by itself", ErrLinkState)
		}
		all, err := standingLinks(ctx, tx)
		if err != nil {
			return err
		}
		at := map[string]int{}
		for i := range all {
			at[all[i].ID] = i
		}
		now := s.opts.Now().UnixNano()
		bridges := bridgesWith(all, ids, v)
		for _, id := range ids {
			i, known := at[id]
			if !known {
				return fmt.Errorf("%.40s: %w", id, ErrNoLink)
			}
			next, err := resolve.Decide(all[i], v, by, reason, fromNS, bridges[id], now)
			if err != nil {
				return fmt.Errorf("%s: %w: %w", id, ErrLinkState, err)
			}
			out = append(out, next)
		}
		if err := writeLinks(ctx, tx, out); err != nil {
			return err
		}
		return customersChanged(ctx, tx)
	})
	if err != nil {
		return nil, fmt.Errorf("decide on links: %w", err)
	}
	return out, nil
}

// bridgesWith returns which of the links of the ids a second person must approve
// before they count, looked at together: see resolve.BridgesAmong.
func bridgesWith(all []resolve.Link, ids []string, v resolve.Verdict) map[string]bool {
	if v != resolve.Accept {
		return nil
	}
	var counting, asked []resolve.Link
	for _, l := range all {
		switch {
		case l.Class == resolve.Coordination:
		case l.State.Counts():
			counting = append(counting, l)
		case slices.Contains(ids, l.ID):
			asked = append(asked, l)
		}
	}
	return resolve.BridgesAmong(counting, asked)
}

// LinkDigest is what a second person approves: the link as it waits.
func LinkDigest(l resolve.Link) (approval.Digest, error) {
	return canonical.Digest(map[string]any{"id": l.ID, "a": string(l.A), "b": string(l.B), "class": string(l.Class), "state": string(l.State), "by": l.By,
		"reason": l.Reason, "bits": fmt.Sprintf("%.2f", l.Bits), "recorded_ns": fmt.Sprint(l.RecordedNS), "from_ns": fmt.Sprint(l.FromNS)})
}

// ApproveLink records the second word on a bridge that was accepted. It wraps
// ErrNoLink, ErrLinkState or why package approval refuses it.
func (s *Store) ApproveLink(ctx context.Context, id string, by approval.Approver, shown approval.Digest, reason string) (resolve.Link, error) {
	var out resolve.Link
	err := s.update(audit.Because(ctx, "link.approve", reason), func(tx *sql.Tx) error {
		history, err := linkHistory(ctx, tx, id)
		if err != nil {
			return err
		}
		if id == "" || len(history) == 0 {
			return ErrNoLink
		}
		stands := history[len(history)-1]
		if stands.State != resolve.Pending {
			return ErrLinkState
		}
		digest, err := LinkDigest(stands)
		if err != nil {
			return err
		}
		now := s.opts.Now()
		if _, err := (approval.Proposal{Digest: digest, Authors: []string{stands.By}}).Approve(by, shown, now); err != nil {
			return err
		}
		if out, err = resolve.Decide(stands, resolve.Approve, by.ID, reason, stands.FromNS, false, now.UnixNano()); err != nil {
			return fmt.Errorf("%w: %w", ErrLinkState, err)
		}
		if err := writeLinks(ctx, tx, []resolve.Link{out}); err != nil {
			return err
		}
		return customersChanged(ctx, tx)
	})
	if err != nil {
		return out, fmt.Errorf("approve link %.40s: %w", id, err)
	}
	return out, nil
}

// ParseDigest reads the digest of a link in hexadecimal digits.
func ParseDigest(text string) (d approval.Digest, err error) {
	n, err := hex.Decode(d[:], []byte(text[:min(len(text), 2*len(d))]))
	if err != nil || n != len(d) || len(text) != 2*len(d) {
		return d, errors.New("a digest has 64 hexadecimal digits")
	}
	return d, nil
}
