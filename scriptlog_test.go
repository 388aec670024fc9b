package flopwatch_test

import (
	"database/sql"
	"encoding/binary"
	"os"
	"path/filepath"
	"strconv"

	_ "github.com/mattn/go-sqlite3"
	"github.com/rogpeppe/go-internal/testscript"
)

// flipDatabase flips one bit of an entry of the audit log in the database, behind
// the collector's back:
//
//	flip-database data/flopwatch.db 3
func flipDatabase(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: flip-database file entry")
	}
	db, err := sql.Open("sqlite3", "file:"+ts.MkAbs(args[0])+"?_busy_timeout=30000")
	ts.Check(err)
	defer func() { ts.Check(db.Close()) }()
	var leaf []byte
	ts.Check(db.QueryRow("SELECT leaf FROM audit_leaf WHERE seq = ?", args[1]).Scan(&leaf))
	leaf[len(leaf)/2] ^= 1
	// Triggers forbid it; who may write the file takes them out and puts them back.
	rows, err := db.Query("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit_leaf'")
	ts.Check(err)
	var drop, create string
	for rows.Next() {
		var name, text string
		ts.Check(rows.Scan(&name, &text))
		drop, create = drop+"DROP TRIGGER "+name+";", create+text+";"
	}
	ts.Check(rows.Err())
	_, err = db.Exec(drop)
	ts.Check(err)
	_, err = db.Exec("UPDATE audit_leaf SET leaf = ? WHERE seq = ?", leaf, args[1])
	ts.Check(err)
	_, err = db.Exec(create)
	ts.Check(err)
}

// flipExport flips one bit of an entry in an exported log of fewer than 256:
//
//	flip-export folder 3
func flipExport(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: flip-export folder entry")
	}
	seq, err := strconv.Atoi(args[1])
	ts.Check(err)
	names, err := filepath.Glob(filepath.Join(ts.MkAbs(args[0]), "tile", "entries", "*.p", "*"))
	ts.Check(err)
	if len(names) != 1 {
		ts.Fatalf("%d tiles of entries", len(names))
	}
	content, err := os.ReadFile(names[0])
	ts.Check(err)
	at := 0
	for range seq {
		at += 2 + int(binary.BigEndian.Uint16(content[at:]))
	}
	content[at+2+int(binary.BigEndian.Uint16(content[at:]))/2] ^= 1
	ts.Check(os.WriteFile(names[0], content, 0o600))
}
