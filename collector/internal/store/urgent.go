package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
)

// mostUrgent is the urgency of a critical finding; least urgent is 0.
const mostUrgent = 3

// urgentPage returns the findings of a query by urgency, and among equals the
// oldest first: level after level along the index, until the page is full.
func urgentPage(ctx context.Context, tx *sql.Tx, q desk.FindingQuery) (page []desk.Finding, err error) {
	from, behind := mostUrgent, int64(0)
	if q.After != "" {
		err := tx.QueryRowContext(ctx, "SELECT s.urgency, s.no FROM finding f JOIN finding_standing s ON s.no = f.no WHERE f.id = ?", q.After).Scan(&from, &behind)
		if errors.Is(err, sql.ErrNoRows) {
			err = desk.ErrGone
		}
		if err != nil {
			return nil, fmt.Errorf("finding %s: %w", q.After, err)
		}
	}
	for level := from; level >= 0; level-- {
		rest := 0
		if q.Limit > 0 {
			if rest = q.Limit - len(page); rest == 0 {
				break
			}
		}
		text, args := urgentQuery(q, level, behind, rest)
		rows, err := scanFindings(ctx, tx, text, args)
		if err != nil {
			return nil, err
		}
		page, behind = append(page, rows...), 0
	}
	return page, nil
}

// urgentQuery asks for the findings of one urgency behind a row, oldest first.
func urgentQuery(q desk.FindingQuery, urgency int, behind int64, limit int) (text string, args []any) {
	var oldest []string
	for _, state := range orEvery(writtenAs(q.State)) {
		if q.By != "" {
			oldest = append(oldest, "SELECT no FROM (SELECT no FROM finding_standing WHERE actor = ? AND state = ? AND no > ? AND urgency = ? ORDER BY no LIMIT ?) AS part")
			args = append(args, q.By, state, behind, urgency, rowLimit(limit))
			continue
		}
		oldest = append(oldest, "SELECT no FROM (SELECT no FROM finding_standing WHERE state = ? AND urgency = ? AND no > ? ORDER BY no LIMIT ?) AS part")
		args = append(args, state, urgency, behind, rowLimit(limit))
	}
	return findingColumns + " WHERE f.no IN (" + strings.Join(oldest, " UNION ALL ") + ") ORDER BY f.no LIMIT ?", append(args, rowLimit(limit))
}
