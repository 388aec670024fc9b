package table_test

import (
	"encoding/csv"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/flopwatch/flopwatch/pkg/table"
)

// read reads text below a header of two cells, and stops after most faults.
func read(in *csv.Reader, most int) (said []string, err error) {
	in.FieldsPerRecord = -1
	faults := 0
	err = table.Reader{
		Name: "f", Width: 2,
		Full: func() bool { return faults >= most },
		Fault: func(line int, column, rule string) {
			faults++
			said = append(said, fmt.Sprintf("%d: %s: %s", line, column, rule))
		},
		Row: func(line int, cells []string) {
			said = append(said, fmt.Sprint(line, table.Named([]string{"a", "b"}, cells)))
		},
	}.Read(in)
	return said, err
}

func TestRowsBehindAFaultAreRead(t *testing.T) {
	const text = "1,2\nshort\n3,\"x\"y\n\"two\nlines\",4\n5,6\n\"unclosed"
	got, err := read(csv.NewReader(strings.NewReader(text)), 9)
	want := []string{"1 map[a:1 b:2]", "2: row: has 1 cells, the header has 2", "3: row: is not CSV", "4 map[a:two\nlines b:4]", "6 map[a:5 b:6]", "7: row: is not CSV"}
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, d)
	}
	if got, err := read(csv.NewReader(strings.NewReader(text)), 1); len(got) != 2 || err != nil {
		t.Errorf("after the first fault: %q, %v", got, err)
	}
}

func TestReadingThatFails(t *testing.T) {
	broken := errors.New("disk")
	if _, err := read(csv.NewReader(iotest.ErrReader(broken)), 9); !errors.Is(err, broken) {
		t.Errorf("%v, want what the reader said", err)
	}
}
