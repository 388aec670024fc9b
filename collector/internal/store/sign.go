package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// maxSigns is how many words of one kind are kept of a workload on one host, those
// heard of last.
const maxSigns = 64

// signSlack is how far from the time of a workload a sign of it may be: agents look
// before the first window is closed, and what was written last is told after it.
const signSlack = int64(10 * time.Minute)

// signs keeps the events that are signs.
func (w *writer) signs(events []ledger.HostEvent) error {
	type of struct {
		host int64
		measure.Sign
	}
	var all []of
	for i := range events {
		if s, ok := measure.SignOf(events[i].Event); ok {
			all = append(all, of{events[i].HostNo, s})
		}
	}
	err := w.each(`INSERT INTO sign (workload_kind, workload_id, host, kind, word, first_ns, last_ns, ranks) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (workload_kind, workload_id, host, kind, word) DO UPDATE SET first_ns = min(sign.first_ns, excluded.first_ns), last_ns = max(sign.last_ns, excluded.last_ns), ranks = max(sign.ranks, excluded.ranks)`, "sign", len(all), func(i int, row []any) []any {
		s := &all[i]
		return append(row, string(s.Workload.Kind), s.Workload.ID, s.host, string(s.Kind), s.Word, s.TimeNS, s.TimeNS, s.Ranks)
	})
	if err != nil {
		return err
	}
	type place struct {
		workload measure.Workload
		host     int64
		kind     measure.EventKind
	}
	done := map[place]bool{}
	for i := range all {
		p := place{all[i].Workload, all[i].host, all[i].Kind}
		if done[p] {
			continue
		}
		done[p] = true
		_, err := w.tx.ExecContext(w.ctx, `DELETE FROM sign WHERE workload_kind = ?1 AND workload_id = ?2 AND host = ?3 AND kind = ?4 AND word NOT IN
			(SELECT word FROM sign WHERE workload_kind = ?1 AND workload_id = ?2 AND host = ?3 AND kind = ?4 ORDER BY last_ns DESC, word LIMIT ?5)`,
			string(p.workload.Kind), p.workload.ID, p.host, string(p.kind), maxSigns)
		if err != nil {
			return fmt.Errorf("bound signs: %w", err)
		}
	}
	return nil
}

// readSigns fills in what hosts saw of the members.
func readSigns(ctx context.Context, q querier, members []member) error {
	some := false
	err := each(ctx, q, func(rows *sql.Rows) error { return rows.Scan(&some) }, "SELECT EXISTS (SELECT 1 FROM sign)")
	if err != nil || !some {
		return err
	}
	of := map[measure.Workload][]int{}
	for i := range members {
		w := members[i].Workload
		w.Hint = "" // hosts see what a workload does, not what it is for
		of[w] = append(of[w], i)
	}
	for w, list := range of {
		err := each(ctx, q, func(rows *sql.Rows) error {
			var host, first, last int64
			var kind measure.EventKind
			var word string
			var ranks int
			if err := rows.Scan(&host, &kind, &word, &first, &last, &ranks); err != nil {
				return err
			}
			for _, i := range list {
				if m := &members[i]; m.hostNo == host && first <= m.EndNS+signSlack && last >= m.StartNS-signSlack {
					m.sign(kind, word, ranks)
				}
			}
			return nil
		}, "SELECT host, kind, word, first_ns, last_ns, ranks FROM sign WHERE workload_kind = ? AND workload_id = ? ORDER BY last_ns, word", string(w.Kind), w.ID)
		if err != nil {
			return fmt.Errorf("read signs: %w", err)
		}
	}
	return nil
}

// sign takes up a sign. They come by time: of images and checkpoints written the
// newest holds, of checkpoints read the first.
func (m *member) sign(kind measure.EventKind, word string, ranks int) {
	switch kind {
	case measure.EventCommunicator:
		if !slices.Contains(m.Communicators, word) {
			m.Communicators = append(m.Communicators, word)
		}
		m.behaviour.ranks = max(m.behaviour.ranks, ranks)
	case measure.EventImage:
		m.Image = word
	case measure.EventReadCheckpoint:
		if m.ReadCheckpoint == "" {
			m.ReadCheckpoint = word
		}
	case measure.EventWroteCheckpoint:
		m.WroteCheckpoint = word
	}
}
