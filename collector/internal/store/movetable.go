package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strconv"
	"strings"

	"github.com/flopwatch/flopwatch/collector/internal/postgres"
)

// stepRows is after how many rows of a table a move says how far it is.
const stepRows = 1 << 16

// table is a table with its columns, in an order in which it can be filled.
type table struct {
	name    string
	columns []string // quoted
	order   string   // its key, or all columns where it has none
	needs   []string // tables that it refers to
	rows    int64
}

// tables returns the tables of the old database, those that others refer to first.
func (m *mover) tables() ([]table, error) {
	var found []table
	err := each(m.ctx, m.old, func(rows *sql.Rows) error {
		var t table
		err := rows.Scan(&t.name)
		found = append(found, t)
		return err
	}, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name")
	if err != nil {
		return nil, fmt.Errorf("read tables: %w", err)
	}
	for i := range found {
		t := &found[i]
		var key []string
		err := each(m.ctx, m.old, func(rows *sql.Rows) error {
			var name string
			var pk int
			err := rows.Scan(&name, &pk)
			t.columns = append(t.columns, quote(name))
			return err
		}, "SELECT name, pk FROM pragma_table_info(?) ORDER BY cid", t.name)
		if err == nil {
			err = each(m.ctx, m.old, func(rows *sql.Rows) error {
				var name string
				err := rows.Scan(&name)
				key = append(key, quote(name))
				return err
			}, "SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk", t.name)
		}
		if err == nil {
			err = each(m.ctx, m.old, func(rows *sql.Rows) error {
				var name string
				err := rows.Scan(&name)
				t.needs = append(t.needs, name)
				return err
			}, `SELECT DISTINCT "table" FROM pragma_foreign_key_list(?)`, t.name)
		}
		if err != nil {
			return nil, fmt.Errorf("read columns of %s: %w", t.name, err)
		}
		if key == nil {
			key = t.columns
		}
		t.order = strings.Join(key, ", ")
		if err := m.old.QueryRowContext(m.ctx, "SELECT count(*) FROM "+quote(t.name)).Scan(&t.rows); err != nil {
			return nil, fmt.Errorf("count rows of %s: %w", t.name, err)
		}
	}
	var sorted []table
	for len(found) > 0 {
		i := slices.IndexFunc(found, func(t table) bool {
			return !slices.ContainsFunc(t.needs, func(name string) bool {
				return name != t.name && slices.ContainsFunc(found, func(o table) bool { return o.name == name })
			})
		})
		if i < 0 {
			return nil, errors.New("tables refer to each other in a circle")
		}
		sorted = append(sorted, found[i])
		found = slices.Delete(found, i, i+1)
	}
	return sorted, nil
}

func quote(name string) string { return `"` + name + `"` }

// selection is the query of all rows, in an order that both engines have.
func (t table) selection() string {
	return "SELECT " + strings.Join(t.columns, ", ") + " FROM " + quote(t.name) + " ORDER BY " + t.order
}

// names returns the columns without quotes.
func (t table) names() []string {
	out := make([]string, len(t.columns))
	for i, c := range t.columns {
		out[i] = strings.Trim(c, `"`)
	}
	return out
}

// each calls f with each row, which f may keep no longer than the call.
func (t table) each(ctx context.Context, q querier, f func(row []any) error) error {
	cells, targets := make([]any, len(t.columns)), make([]any, len(t.columns))
	for i := range cells {
		targets[i] = &cells[i]
	}
	err := each(ctx, q, func(rows *sql.Rows) error {
		if err := rows.Scan(targets...); err != nil {
			return err
		}
		for i, c := range cells {
			cells[i] = postgres.Storable(c)
		}
		return f(cells)
	}, t.selection())
	if err != nil {
		return fmt.Errorf("read %s: %w", t.name, err)
	}
	return nil
}

// digest reads the table, and calls step now and then with the rows that it has read.
func (t table) digest(ctx context.Context, q querier, step func(rows int64)) (Moved, error) {
	sum := t.newSum()
	err := t.each(ctx, q, func(row []any) error {
		if sum.rows%stepRows == stepRows-1 {
			step(sum.rows)
		}
		return sum.add(row)
	})
	return sum.moved(), err
}

// rowSum is the digest of the rows of a table, in the order in which they are added.
type rowSum struct {
	table string
	rows  int64
	hash  hash.Hash
	text  []byte // of the row
	cell  []byte
}

func (t table) newSum() *rowSum {
	s := &rowSum{table: t.name, hash: sha256.New()}
	fmt.Fprintf(s.hash, "%s (%s)\n", t.name, strings.Join(t.columns, ", "))
	return s
}

// add adds a row: the length of each value's text, and the text, which begins with a
// letter for its type.
func (s *rowSum) add(row []any) error {
	s.rows++
	s.text = s.text[:0]
	for _, v := range row {
		c := s.cell[:0]
		switch v := v.(type) {
		case nil:
			c = append(c, 'n')
		case int64:
			c = strconv.AppendInt(append(c, 'i'), v, 10)
		case float64:
			c = strconv.AppendFloat(append(c, 'f'), v, 'g', -1, 64)
		case string:
			c = append(append(c, 's'), v...)
		case []byte:
			c = hex.AppendEncode(append(c, 'b'), v)
		default:
			return fmt.Errorf("value of type %T", v)
		}
		s.text = append(strconv.AppendInt(s.text, int64(len(c)), 10), ' ')
		s.text = append(append(s.text, c...), '\n')
		s.cell = c
	}
	_, err := s.hash.Write(s.text)
	return err
}

func (s *rowSum) moved() Moved {
	return Moved{Table: s.table, Rows: s.rows, Digest: hex.EncodeToString(s.hash.Sum(nil))}
}
