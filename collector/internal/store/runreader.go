package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// openFor is how far a run may be behind the newest window of the fleet and
// still count as open: hosts do not report at the same instant. It is three
// windows of the usual length.
const openFor = 30 * time.Second

// Runs returns the runs of a query, most operations first. Each way to ask has an
// index to go along, so that a page costs what it shows.
func (r *Reader) Runs(ctx context.Context, q desk.RunQuery) ([]desk.Run, error) {
	var out []desk.Run
	err := r.view(ctx, "runs", func(tx *sql.Tx) error {
		watermark, err := meta(ctx, tx, "watermark_ns")
		if err != nil {
			return err
		}
		text, args, err := runQuery(ctx, tx, q)
		if err != nil {
			return err
		}
		err = each(ctx, tx, func(rows *sql.Rows) error {
			var run desk.Run
			var row runRow
			if err := rows.Scan(append(row.targets(), &run.Tenant)...); err != nil {
				return err
			}
			run.ID, run.Label, run.JoinedBy, run.Hosts, run.Devices, run.StartNS, run.EndNS = row.id, row.label, row.joinedBy, row.hosts, row.devices, row.startNS, row.endNS
			run.Verdict, err = verdictOf(row.verdict)
			run.Accelerators, run.Figure = union(row.accelerators, ""), row.sums.figure()
			run.Open = run.EndNS >= watermark-int64(openFor)
			out = append(out, run)
			return err
		}, text, args...)
		if err != nil {
			return err
		}
		return nameOwners(ctx, tx, out)
	})
	return out, err
}

// nameOwners says whose tenants did the runs.
func nameOwners(ctx context.Context, tx *sql.Tx, runs []desk.Run) error {
	of := map[measure.TenantID][]int{}
	for i := range runs {
		runs[i].ForeignStatus = string(party.Undetermined)
		of[runs[i].Tenant] = append(of[runs[i].Tenant], i)
	}
	return each(ctx, tx, func(rows *sql.Rows) error {
		var tenant measure.TenantID
		var c party.Customer
		if err := rows.Scan(&tenant, &c.ID, &c.Name, &c.Status); err != nil {
			return err
		}
		for _, i := range of[tenant] {
			runs[i].CustomerID, runs[i].CustomerName, runs[i].ForeignStatus = c.ID, c.Name, statusOf(c)
		}
		return nil
	}, `SELECT ct.tenant, c.id, c.name, c.status FROM customer_tenant ct JOIN customer c ON c.id = ct.customer
		WHERE ct.tenant IN (SELECT value FROM json_each(?))`, jsonList(slices.Collect(maps.Keys(of))))
}

// jsonList is a list as one argument of a query: json_each makes it rows again.
func jsonList[T ~string](list []T) string {
	text, err := json.Marshal(list)
	if err != nil {
		panic(err) // strings always are JSON
	}
	return string(text)
}

func runQuery(ctx context.Context, tx *sql.Tx, q desk.RunQuery) (text string, args []any, err error) {
	var where []string
	need := func(condition string, values ...any) {
		where, args = append(where, condition), append(args, values...)
	}
	if q.IDs != nil {
		need("id IN (SELECT value FROM json_each(?))", jsonList(q.IDs))
	}
	if q.Prefix != "" {
		need("id >= ? AND id < ?", q.Prefix, prefixEnd(q.Prefix))
	}
	if q.Tenant != "" {
		need("tenant = ?", string(q.Tenant))
	}
	if q.Customer != "" {
		need("tenant IN (SELECT tenant FROM customer_tenant WHERE customer = ?)", q.Customer)
	}
	if q.After != "" {
		var best int64
		err := tx.QueryRowContext(ctx, "SELECT emp_best + theo_best FROM run WHERE id = ?", q.After).Scan(&best)
		if errors.Is(err, sql.ErrNoRows) {
			err = desk.ErrGone
		}
		if err != nil {
			return "", nil, fmt.Errorf("run %s: %w", q.After, err)
		}
		need("emp_best + theo_best <= ? AND (emp_best + theo_best < ? OR id > ?)", best, best, q.After)
	}
	return "SELECT " + runColumns + ", tenant FROM run" + conditions(where) + " ORDER BY emp_best + theo_best DESC, id LIMIT ?", append(args, rowLimit(q.Limit)), nil
}

func conditions(all []string) string {
	if len(all) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(all, " AND ")
}

func rowLimit(limit int) int {
	if limit <= 0 {
		return math.MaxInt
	}
	return limit
}
