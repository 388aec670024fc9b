package table_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flopwatch/flopwatch/pkg/table"
)

var sheet = table.Sheet{Columns: []string{"a", "b", "c"}, Required: 2}

// read returns the rows and the faults of a text, in either form.
func read(text string, json bool) (said []string) {
	faults := table.Faults{File: "f"}
	data, ok := faults.Text([]byte(text), 100)
	if ok {
		form := sheet.CSV
		if json {
			form = sheet.NDJSON
		}
		form(data, &faults, func(line int, cells map[string]string) { said = append(said, fmt.Sprint(line, cells)) })
	}
	if err := faults.Err(); err != nil {
		said = append(said, strings.Split(err.Error(), "\n")...)
	}
	return said
}

func TestSheet(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		json bool
		want []string
	}{
		"rows behind a fault": {"b,a\n1,2\nshort\n3,\"x\"y\n\"two\nlines\",4\n5,6\n\"unclosed", false, []string{
			"2 map[a:2 b:1]", "5 map[a:4 b:two\nlines]", "7 map[a:6 b:5]",
			"f:3: row: has 1 cells, the header has 2", "f:4: row: is not CSV", "f:8: row: is not CSV",
		}},
		"byte order mark":   {"\ufeffa,b\n1,2", false, []string{"2 map[a:1 b:2]"}},
		"nothing":           {"", false, []string{"f:1: header: is missing or not CSV"}},
		"header":            {"a,x,a", false, []string{"f:1: column 2: is not known; the columns are [a b c]", "f:1: column 3: a is there twice", "f:1: b: is missing"}},
		"not UTF-8":         {"a,b\n1,\xff", false, []string{"f:2: text: is not UTF-8"}},
		"cut in a letter":   {"a,b\n1,\xc3", false, []string{"f:2: text: is not UTF-8"}},
		"long":              {strings.Repeat("\n", 101), false, []string{"f:101: text: is longer than 100 bytes, which are as many as one import may have"}},
		"objects":           {"\ufeff{\"a\":\"1\"}\n\n{\"b\":\"=2\",\"c\":\"\"}", true, []string{"1 map[a:1]", "3 map[b:=2 c:]"}},
		"no object":         {"[]\nx\n{", true, []string{"f:1: line: must be a JSON object", "f:2: line: must be a JSON object", "f:3: line: must be a JSON object"}},
		"two objects":       {"{} {}", true, []string{"f:1: line: must be a JSON object"}},
		"all of one object": {`{"x":"1","a":"1","a":"2","b":1,"c":null}`, true, []string{"f:1: line: has a key that is not known; the keys are [a b c]", "f:1: a: is there twice", "f:1: b: must be a text", "f:1: c: must be a text"}},
	} {
		if d := cmp.Diff(c.want, read(c.text, c.json)); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}

func TestFaultsAreBounded(t *testing.T) {
	faults := table.Faults{File: "f"}
	rows := 0
	sheet.CSV([]byte("a,b\n"+strings.Repeat("x\n", 500)+"1,2\n"), &faults, func(int, map[string]string) { rows++ })
	if faults.Count() != table.MaxFaults || rows != 0 {
		t.Errorf("%d faults and %d rows behind them", faults.Count(), rows)
	}
	faults = table.Faults{File: "f"}
	sheet.NDJSON([]byte(strings.Repeat("x\n", 500)+"{}\n"+strings.Repeat("{", 9000)), &faults, func(int, map[string]string) { rows++ })
	if faults.Count() != table.MaxFaults || rows != 0 {
		t.Errorf("%d faults and %d rows behind them", faults.Count(), rows)
	}
}

func TestCells(t *testing.T) {
	for s, want := range map[string]bool{"a.B_9:-": true, "": false, "a b": false, "é": false, strings.Repeat("a", 65): false} {
		if table.Identifier(s) != want {
			t.Errorf("id %q", s)
		}
	}
	for s, want := range map[string]bool{"": true, "Zoë": true, "=SUM(A1)": true, " a": false, "a\u202eb": false, "a\u200bb": false, "x\u3164y": false, "a\nb": false} {
		if table.Readable(s, 9) != want {
			t.Errorf("text %q", s)
		}
	}
	if table.Readable("long", 3) || !table.Readable("long", 4) {
		t.Error("the length is not looked at")
	}
}

func TestCompare(t *testing.T) {
	type entry struct{ id, says string }
	got := table.Compare(map[string]entry{"a": {"a", "x"}, "b": {"b", "x"}, "c": {}}, []entry{{"a", "x"}, {"b", "y"}, {"d", "z"}},
		func(e entry) string { return e.id }, func(was, is entry) bool { return was == is })
	if d := cmp.Diff(table.Diff{New: []string{"d"}, Changed: []string{"b"}, Unchanged: []string{"a"}}, got); d != "" {
		t.Error(d)
	}
}
