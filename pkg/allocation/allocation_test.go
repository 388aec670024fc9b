package allocation

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/flopwatch/flopwatch/pkg/measure"
	"github.com/flopwatch/flopwatch/pkg/table"
)

const (
	idA = "aaaaaaaaaaaaaaaaaaaaaaaaaa"
	idB = "bbbbbbbbbbbbbbbbbbbbbbbbbb"
)

// drawn makes up allocations that overlap, conflict and differ in how exactly
// they select.
func drawn(t *rapid.T) []Allocation {
	var all []Allocation
	for i := range rapid.IntRange(0, 12).Draw(t, "allocations") {
		a := Allocation{
			ID: fmt.Sprint("a", i), Host: rapid.SampledFrom([]string{idA, idB, "alpha", ""}).Draw(t, "host"),
			Device: rapid.SampledFrom([]measure.DeviceID{"", "d", "parent"}).Draw(t, "device"),
			Tenant: measure.TenantID(fmt.Sprint("t", rapid.IntRange(0, 2).Draw(t, "tenant"))),
			FromNS: int64(rapid.IntRange(1, 30).Draw(t, "from")),
		}
		if a.Host == "" || rapid.Bool().Draw(t, "workload") {
			a.WorkloadKind, a.WorkloadID = measure.KindSlurmJob, rapid.SampledFrom([]string{"1", "2"}).Draw(t, "job")
		}
		if rapid.Bool().Draw(t, "ends") {
			a.ToNS = a.FromNS + int64(rapid.IntRange(0, 20).Draw(t, "length"))
		}
		all = append(all, a)
	}
	return all
}

func place(t *rapid.T) Place {
	p := Place{
		HostID: rapid.SampledFrom([]string{idA, idB}).Draw(t, "host id"), HostName: rapid.SampledFrom([]string{"alpha", "beta", idA, ""}).Draw(t, "host name"),
		Device: "d", Parent: rapid.SampledFrom([]measure.DeviceID{"", "parent"}).Draw(t, "parent"),
	}
	if rapid.Bool().Draw(t, "works") {
		p.Workload = measure.Workload{Kind: measure.KindSlurmJob, ID: rapid.SampledFrom([]string{"1", "2", "3"}).Draw(t, "job"), Hint: "hint"}
	}
	return p
}

// plainly decides one instant by looking at every allocation.
func plainly(all []Allocation, p Place, at int64) []measure.TenantID {
	best, tenants := 0, []measure.TenantID(nil)
	for _, a := range all {
		if at < a.FromNS || at >= a.end() {
			continue
		}
		if a.Host != "" && a.Host != p.HostID && (a.Host != p.HostName || IsHostID(a.Host)) {
			continue
		}
		rank := 1
		switch {
		case a.Device == "":
		case a.Device == p.Device:
			rank += 2
		case a.Device == p.Parent:
			rank++
		default:
			continue
		}
		if a.WorkloadKind != "" {
			if a.WorkloadKind != p.Workload.Kind || a.WorkloadID != p.Workload.ID {
				continue
			}
			rank += 3
		}
		if rank > best {
			best, tenants = rank, nil
		}
		if rank == best {
			tenants = append(tenants, a.Tenant)
		}
	}
	slices.Sort(tenants)
	return slices.Compact(tenants)
}

// Invariant I1 in the table: the pieces cover the span exactly, each instant is
// decided as by looking at every allocation, and the order of these is nothing.
func TestResolve(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all, p := drawn(t), place(t)
		from := int64(rapid.IntRange(0, 40).Draw(t, "start"))
		to := from + int64(rapid.IntRange(1, 40).Draw(t, "elapsed"))
		pieces := NewTable(all).Resolve(p, from, to)
		if again := NewTable(rapid.Permutation(all).Draw(t, "order")).Resolve(p, from, to); gocmp.Diff(pieces, again) != "" {
			t.Fatalf("the order matters: %v, %v", pieces, again)
		}
		at := from
		for i, piece := range pieces {
			if piece.FromNS != at || piece.ToNS <= at || i > 0 && slices.Equal(piece.Tenants, pieces[i-1].Tenants) {
				t.Fatalf("pieces %v of [%d, %d)", pieces, from, to)
			}
			for ; at < piece.ToNS; at++ {
				if want := plainly(all, p, at); !slices.Equal(want, piece.Tenants) {
					t.Fatalf("at %d: %v, want %v", at, piece.Tenants, want)
				}
			}
		}
		if at != to {
			t.Fatalf("pieces %v end before %d", pieces, to)
		}
		if table := NewTable(all); !table.Concerns(p.HostID, p.HostName) && (len(pieces) != 1 || pieces[0].Tenants != nil) {
			t.Fatalf("pieces %v of a host that nothing is about", pieces)
		}
	})
}

// What Changes leaves out does not change.
func TestChanges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before, after := map[string]Allocation{}, map[string]Allocation{}
		for _, a := range drawn(t) {
			before[a.ID], after[a.ID] = a, a
		}
		next := drawn(t)
		for _, a := range next {
			after[a.ID] = a
		}
		values := func(m map[string]Allocation) (out []Allocation) {
			for _, a := range m {
				out = append(out, a)
			}
			return out
		}
		changes, p := Changes(before, next), place(t)
		for at := int64(0); at < 60; at++ {
			if slices.Equal(plainly(values(before), p, at), plainly(values(after), p, at)) {
				continue
			}
			if !slices.ContainsFunc(changes, func(c Change) bool { return c.Span.FromNS <= at && at < c.Span.ToNS }) {
				t.Fatalf("the answer at %d changes, and no change %v covers it", at, changes)
			}
		}
		if again := Changes(after, next); len(again) != 0 {
			t.Fatalf("a second time: %v", again)
		}
	})
}

func TestSpecificity(t *testing.T) {
	job := func(a Allocation) Allocation {
		a.WorkloadKind, a.WorkloadID = measure.KindSlurmJob, "7"
		return a
	}
	host, device := Allocation{Host: idA, Tenant: "host"}, Allocation{Host: idA, Device: "d", Tenant: "device"}
	work, both := job(Allocation{Host: "alpha", Tenant: "work"}), job(Allocation{Host: idA, Device: "d", Tenant: "both"})
	p := Place{HostID: idA, HostName: "alpha", Device: "d", Workload: measure.Workload{Kind: measure.KindSlurmJob, ID: "7"}}
	for want, all := range map[measure.TenantID][]Allocation{
		"host": {host}, "device": {host, device}, "work": {host, device, work}, "both": {host, device, work, both},
	} {
		if got := NewTable(all).Resolve(p, 1, 2); len(got) != 1 || len(got[0].Tenants) != 1 || got[0].Tenants[0] != want {
			t.Errorf("%v decides, want %s", got, want)
		}
	}
	// A host may not say another's id as its name.
	thief := Place{HostID: idB, HostName: idA}
	if got := NewTable([]Allocation{host}).Resolve(thief, 1, 2); got[0].Tenants != nil {
		t.Errorf("by its name a host became another: %v", got)
	}
}

func TestConflicts(t *testing.T) {
	table := NewTable([]Allocation{
		{ID: "1", Host: "h", Tenant: "a", FromNS: 10, ToNS: 20}, {ID: "2", Host: "h", Tenant: "b", FromNS: 15},
		{ID: "3", Host: "h", Tenant: "a", FromNS: 12, ToNS: 18}, {ID: "4", Host: "h", Device: "d", Tenant: "c", FromNS: 1},
	})
	want := []Conflict{
		{[]string{"1", "2", "3"}, []measure.TenantID{"a", "b"}, Span{15, 18}},
		{[]string{"1", "2"}, []measure.TenantID{"a", "b"}, Span{18, 20}},
	}
	if d := gocmp.Diff(want, table.Conflicts()); d != "" {
		t.Error(d)
	}
	pieces := table.Resolve(Place{HostName: "h"}, 5, 30)
	if d := gocmp.Diff([]Piece{{5, 10, nil}, {10, 15, []measure.TenantID{"a"}}, {15, 20, []measure.TenantID{"a", "b"}}, {20, 30, []measure.TenantID{"b"}}}, pieces); d != "" {
		t.Error(d)
	}
}

func TestMerge(t *testing.T) {
	if d := gocmp.Diff([]Span{{1, 6}, {8, 9}}, Merge([]Span{{8, 9}, {3, 6}, {1, 3}, {2, 4}})); d != "" {
		t.Error(d)
	}
}

const head = "allocation_id,host,device,workload_kind,workload_id,tenant_id,from,to\n"

func TestBothFormsSayTheSame(t *testing.T) {
	want := []Allocation{
		{ID: "a1", Host: "gpu7", Device: "GPU-1", Tenant: "ten-1", FromNS: 1767225600000000000, ToNS: 1767225600000000001},
		{ID: "a2", WorkloadKind: measure.KindSlurmJob, WorkloadID: "8812", Tenant: "ten-2", FromNS: 1767225600000000000},
	}
	fromCSV, err1 := ReadCSV("f", []byte("\ufeff"+head+"a2,,,slurm_job,8812,ten-2,2026-01-01T00:00:00Z,\r\na1,gpu7,GPU-1,,,ten-1,2026-01-01T01:00:00+01:00,2026-01-01T00:00:00.000000001Z\n"))
	fromNDJSON, err2 := ReadNDJSON("f", []byte(`{"allocation_id":"a2","workload_kind":"slurm_job","workload_id":"8812","tenant_id":"ten-2","from":"2026-01-01T00:00:00Z"}

{"allocation_id":"a1","host":"gpu7","device":"GPU-1","tenant_id":"ten-1","from":"2026-01-01T00:00:00Z","to":"2026-01-01T00:00:00.000000001Z"}`))
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	same := gocmp.Comparer(Allocation.Same)
	if d := gocmp.Diff(want, fromCSV, same); d != "" {
		t.Error(d)
	}
	if d := gocmp.Diff(want, fromNDJSON, same); d != "" {
		t.Error(d)
	}
	if fromCSV[1].Source != "f:2" || fromNDJSON[0].Source != "f:3" {
		t.Errorf("sources %s, %s", fromCSV[1].Source, fromNDJSON[0].Source)
	}
}

var aFault = regexp.MustCompile(`^file:(\d+: [a-z_]+(?: \d+)?): .+$`)

// places returns "line: column" of each line of an error.
func places(t testing.TB, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	var all []string
	for line := range strings.Lines(err.Error()) {
		m := aFault.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if m == nil {
			t.Errorf("%q is not file:line: column: rule", line)
			continue
		}
		all = append(all, m[1])
	}
	return all
}

// Every fault is told at once, with its place and without the value.
func TestFaults(t *testing.T) {
	const secret, rest = "Some-Detail", ",2026-01-01T00:00:00Z,\n"
	for name, c := range map[string]struct {
		read func(string, []byte) ([]Allocation, error)
		text string
		want []string
	}{
		"nothing":        {ReadCSV, "", []string{"1: header"}},
		"unknown column": {ReadCSV, "allocation_id,tenant_id,from," + secret + "\n", []string{"1: column 4"}},
		"column twice":   {ReadCSV, "allocation_id,tenant_id,from,from\n", []string{"1: column 4"}},
		"column missing": {ReadCSV, "allocation_id,host\n", []string{"1: tenant_id", "1: from"}},
		"not UTF-8":      {ReadCSV, head + "a\n\xff", []string{"3: text"}},
		"cells":          {ReadCSV, head + "a,b\n", []string{"2: row"}},
		"quotes":         {ReadCSV, head + "a\"b,c\n", []string{"2: row"}},
		"all of a row":   {ReadCSV, head + "!," + secret + "\u202e,d ," + secret + ",,,yesterday,1600-01-01T00:00:00Z\n", []string{"2: allocation_id", "2: tenant_id", "2: host", "2: device", "2: workload_kind", "2: from", "2: to"}},
		"no host":        {ReadCSV, head + "a,,d,,,t" + rest, []string{"2: host"}},
		"half workload":  {ReadCSV, head + "a,h,,pod,,t" + rest, []string{"2: workload_id"}},
		"ends before":    {ReadCSV, head + "a,h,,,,t,2026-01-01T00:00:00Z,2025-01-01T00:00:00Z\n", []string{"2: to"}},
		"id twice":       {ReadCSV, head + "a,h,,,,t" + rest + "a,h,,,,t" + rest, []string{"3: allocation_id"}},
		"no object":      {ReadNDJSON, "[]\n" + secret + "\n{", []string{"1: line", "2: line", "3: line"}},
		"unknown key":    {ReadNDJSON, `{"` + secret + `":"x"}`, []string{"1: line"}},
		"key twice":      {ReadNDJSON, `{"host":"a","host":"b"}`, []string{"1: host"}},
		"no text":        {ReadNDJSON, `{"host":null,"from":7}`, []string{"1: host", "1: from"}},
		"long line":      {ReadNDJSON, "\n" + strings.Repeat("x", 9<<10), []string{"2: line"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.read("file", []byte(c.text))
			if got != nil {
				t.Errorf("allocations in spite of a fault: %v", got)
			}
			if d := gocmp.Diff(c.want, places(t, err)); d != "" {
				t.Errorf("faults (-want +got):\n%s%v", d, err)
			}
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("a fault repeats the value: %v", err)
			}
		})
	}
	for _, read := range []func(string, []byte) ([]Allocation, error){ReadCSV, ReadNDJSON} {
		if _, err := read("file", []byte(head+strings.Repeat("!,,,,,,,\n", 1000))); len(places(t, err)) != table.MaxFaults {
			t.Errorf("%d faults, want %d", len(places(t, err)), table.MaxFaults)
		}
	}
}

func FuzzReadCSV(f *testing.F) {
	fuzz(f, ReadCSV, head+"a,h,,,,t,2026-01-01T00:00:00Z,\n", head+"\"")
}

func FuzzReadNDJSON(f *testing.F) {
	fuzz(f, ReadNDJSON, `{"allocation_id":"a","host":"h","tenant_id":"t","from":"2026-01-01T00:00:00Z"}`, "{\n}")
}

func fuzz(f *testing.F, read func(string, []byte) ([]Allocation, error), seeds ...string) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := read("file", data)
		if err != nil {
			if got != nil || len(places(t, err)) > table.MaxFaults {
				t.Errorf("%d allocations with %v", len(got), err)
			}
			return
		}
		if !slices.IsSortedFunc(got, func(a, b Allocation) int { return cmp.Compare(a.ID, b.ID) }) {
			t.Error("out of order")
		}
		for _, a := range got {
			if a.Tenant == "" || a.FromNS <= 0 || a.ToNS != 0 && a.ToNS < a.FromNS || a.Host == "" && a.WorkloadID == "" {
				t.Errorf("bad allocation %+v", a)
			}
		}
	})
}

func BenchmarkResolve(b *testing.B) {
	var all []Allocation
	for i := range 100_000 {
		all = append(all, Allocation{ID: fmt.Sprint(i), Host: fmt.Sprint("host", i%1000), Tenant: "t", FromNS: int64(i), ToNS: int64(i) + 1000})
	}
	table := NewTable(all)
	p := Place{HostID: idA, HostName: "host7", Device: "d", Workload: measure.Workload{Kind: measure.KindSlurmJob, ID: "7"}}
	b.ReportAllocs()
	for b.Loop() {
		table.Resolve(p, 50_007, 50_107)
	}
}
