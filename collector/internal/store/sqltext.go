package store

import (
	"errors"
	"strings"

	"github.com/mattn/go-sqlite3"

	"github.com/flopwatch/flopwatch/collector/internal/postgres"
)

// upsert returns the statement that writes a row, over the one with its key if there
// is one. Columns and key are lists with commas.
func upsert(table, columns, key string) string {
	names := splitNames(columns)
	keys := splitNames(key)
	var sets []string
	for _, name := range names {
		isKey := false
		for _, k := range keys {
			isKey = isKey || k == name
		}
		if !isKey {
			sets = append(sets, name+" = excluded."+name)
		}
	}
	return "INSERT INTO " + table + " (" + strings.Join(names, ", ") + ") VALUES (?" + strings.Repeat(", ?", len(names)-1) +
		") ON CONFLICT (" + strings.Join(keys, ", ") + ") DO UPDATE SET " + strings.Join(sets, ", ")
}

func splitNames(list string) []string {
	var out []string
	for name := range strings.SplitSeq(list, ",") {
		out = append(out, strings.TrimSpace(name))
	}
	return out
}

var (
	putRunDay  = upsert("run_day", "tenant, run, "+dayColumns, "tenant, run, day")
	putRunJoin = upsert("run_join", joinColumns+", tenant", "id")
	putRun     = upsert("run", runColumns+", tenant", "id")
)

// isTaken says whether a row was refused because its key is there already.
func isTaken(err error) bool {
	var fault sqlite3.Error
	return errors.As(err, &fault) && fault.ExtendedCode == sqlite3.ErrConstraintUnique || postgres.IsUnique(err)
}
