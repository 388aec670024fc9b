package party

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/flopwatch/flopwatch/pkg/measure"
	"github.com/flopwatch/flopwatch/pkg/table"
)

const head = "customer_id,name,country,foreign_status,status_reason,demonstration,tenant_id\n"

func TestReadCSV(t *testing.T) {
	got, err := ReadCSV("c.csv", []byte("\ufeff"+head+
		"cus_b,\"Beta, Ltd\",DE,foreign,organised abroad,true,ten-2\n"+
		"cus_b,\"Beta, Ltd\",DE,foreign,organised abroad,true,ten-1\r\n"+
		"cus_a,=SUM(A1),,,,,\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []Customer{
		// A missing status is undetermined, never domestic.
		{ID: "cus_a", Name: "=SUM(A1)", Status: Undetermined, Source: "c.csv:4"},
		{ID: "cus_b", Name: "Beta, Ltd", Country: "DE", Status: Foreign, StatusReason: "organised abroad", Demonstration: true,
			Tenants: []measure.TenantID{"ten-1", "ten-2"}, Source: "c.csv:2"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestReadJSON(t *testing.T) {
	got, err := ReadJSON("c.json", []byte(`[
		{"customer_id": "cus_b", "name": "Beta", "foreign_status": "us", "demonstration": true,
		 "tenant_ids": ["z", "a"]},

		{"customer_id": "cus_a", "name": "Alpha", "country": "FR"}
	]`))
	if err != nil {
		t.Fatal(err)
	}
	want := []Customer{
		{ID: "cus_a", Name: "Alpha", Country: "FR", Status: Undetermined, Source: "c.json:5"},
		{ID: "cus_b", Name: "Beta", Status: US, Demonstration: true, Tenants: []measure.TenantID{"a", "z"}, Source: "c.json:2"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// Every fault is told at once, with its place and without the value.
func TestFaults(t *testing.T) {
	const secret = "Personal-Detail"
	for name, c := range map[string]struct {
		read func(string, []byte) ([]Customer, error)
		text string
		want []string // "line: column"
	}{
		"nothing":         {ReadCSV, "", []string{"1: header"}},
		"unknown column":  {ReadCSV, "customer_id,name," + secret + "\n", []string{"1: column 3"}},
		"column twice":    {ReadCSV, "customer_id,name,name\n", []string{"1: column 3"}},
		"column missing":  {ReadCSV, "customer_id,country\n", []string{"1: name"}},
		"many columns":    {ReadCSV, "customer_id,name" + strings.Repeat(",name", 99) + "\n", []string{"1: column 3", "1: column 4", "1: column 5", "1: column 6", "1: column 7", "1: column 8", "1: column 9", "1: column 10", "1: column 11", "1: column 12", "1: column 13", "1: column 14"}},
		"not UTF-8":       {ReadCSV, head + "a,\xff\n", []string{"2: text"}},
		"cells":           {ReadCSV, head + "a,b\n", []string{"2: row"}},
		"quotes, and on":  {ReadCSV, head + "a,b\"c\",,,,,\nb,,,,,,\n", []string{"2: row", "3: name"}},
		"all of one row":  {ReadCSV, head + "!," + secret + "\u202e,Fr,alien,x\ty,perhaps,a\u200bb\n", []string{"2: demonstration", "2: customer_id", "2: name", "2: status_reason", "2: country", "2: foreign_status", "2: tenant_id"}},
		"several rows":    {ReadCSV, head + "a,,,,,,\nb,ok,,,,,\nc,ok,X,,,,\n", []string{"2: name", "4: country"}},
		"long name":       {ReadCSV, head + "a," + strings.Repeat("n", 301) + ",,,,,\n", []string{"2: name"}},
		"long tenant":     {ReadCSV, head + "a,n,,,,," + strings.Repeat("n", 201) + "\n", []string{"2: tenant_id"}},
		"long id":         {ReadCSV, head + strings.Repeat("n", 65) + ",n,,,,,\n", []string{"2: customer_id"}},
		"spaces":          {ReadCSV, head + "a, " + secret + ",,,,,\n", []string{"2: name"}},
		"only a space":    {ReadCSV, head + "a,\u00a0,,,,,\n", []string{"2: name"}},
		"filler":          {ReadCSV, head + "a,x\u3164y,,,,,\n", []string{"2: name"}},
		"other details":   {ReadCSV, head + "a,n,,,,,t1\na,m,,,,,t2\n", []string{"3: customer_id"}},
		"other status":    {ReadCSV, head + "a,n,,us,,,t1\na,n,,,,,t2\n", []string{"3: customer_id"}},
		"again alone":     {ReadCSV, head + "a,n,,,,,\na,n,,,,,\n", []string{"3: customer_id"}},
		"tenant twice":    {ReadCSV, head + "a,n,,,,,t\na,n,,,,,t\n", []string{"3: tenant_id"}},
		"two claim it":    {ReadCSV, head + "a,n,,,,," + secret + "\nb,n,,,,," + secret + "\n", []string{"3: tenant_id"}},
		"quoted newline":  {ReadCSV, head + "a,\"two\nlines\",,,,,\nb,,,,,,\n", []string{"2: name", "4: name"}},
		"no array":        {ReadJSON, `{"customer_id":"a"}`, []string{"1: document"}},
		"no end":          {ReadJSON, "[\n{\"customer_id\":\"a\",\"name\":\"n\"}", []string{"2: document"}},
		"after the end":   {ReadJSON, `[] []`, []string{"1: document"}},
		"not JSON":        {ReadJSON, "[\n{\"customer_id\":\"a\",\"name\":\"n\"},\n{" + secret + "}]", []string{"3: customer"}},
		"element":         {ReadJSON, `["a", null, 7]`, []string{"1: customer", "1: customer", "1: customer"}},
		"unknown key":     {ReadJSON, `[{"customer_id":"a","name":"n","` + secret + `":1}]`, []string{"1: customer"}},
		"other case":      {ReadJSON, `[{"Customer_ID":"a","name":"n"}]`, []string{"1: customer", "1: customer_id"}},
		"key twice":       {ReadJSON, `[{"customer_id":"a","name":"n","name":"m"}]`, []string{"1: name"}},
		"wrong types":     {ReadJSON, `[{"customer_id":1,"name":["n"],"demonstration":"yes","tenant_ids":"t"},` + "\n" + `{"customer_id":"b"}]`, []string{"1: customer_id", "1: name", "1: demonstration", "1: tenant_ids", "1: customer_id", "1: name", "2: name"}},
		"null":            {ReadJSON, `[{"customer_id":"a","name":"n","foreign_status":null,"tenant_ids":["t",null]}]`, []string{"1: foreign_status", "1: tenant_ids"}},
		"empty tenant":    {ReadJSON, `[{"customer_id":"a","name":"n","tenant_ids":["",""]}]`, []string{"1: tenant_ids", "1: tenant_ids"}},
		"customer twice":  {ReadJSON, `[{"customer_id":"a","name":"n"},{"customer_id":"a","name":"n"}]`, []string{"1: customer_id"}},
		"JSON, two claim": {ReadJSON, "[{\"customer_id\":\"a\",\"name\":\"n\",\"tenant_ids\":[\"t\"]},\n{\"customer_id\":\"b\",\"name\":\"n\",\"tenant_ids\":[\"t\"]}]", []string{"2: tenant_id"}},
		"JSON, not UTF-8": {ReadJSON, "[\n\xff]", []string{"2: text"}},
		"bidi, escaped":   {ReadJSON, `[{"customer_id":"a","name":"n\u202e"}]`, []string{"1: name"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.read("file", []byte(c.text))
			if got != nil {
				t.Errorf("customers in spite of a fault: %v", got)
			}
			if d := cmp.Diff(c.want, places(t, err)); d != "" {
				t.Errorf("faults (-want +got):\n%s%v", d, err)
			}
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("a fault repeats the value: %v", err)
			}
		})
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

func TestFaultsAreBounded(t *testing.T) {
	_, err := ReadCSV("file", []byte(head+strings.Repeat("!,,,,,,\n", 1000)))
	if n := len(places(t, err)); n != table.MaxFaults {
		t.Errorf("%d faults in CSV, want %d", n, table.MaxFaults)
	}
	_, err = ReadJSON("file", []byte("["+strings.Repeat("1,", 1000)+"1]"))
	if n := len(places(t, err)); n != table.MaxFaults {
		t.Errorf("%d faults in JSON, want %d", n, table.MaxFaults)
	}
	_, err = ReadCSV("file", make([]byte, MaxBytes+1))
	if d := cmp.Diff([]string{"1: text"}, places(t, err)); d != "" {
		t.Error(d)
	}
}

// drawn makes up customers that no fault can be found in.
func drawn(t *rapid.T) []Customer {
	var all []Customer
	tenant := 0
	for i := range rapid.IntRange(0, 6).Draw(t, "customers") {
		c := Customer{
			ID: fmt.Sprintf("cus_%d", i), Name: rapid.StringMatching(`[=+@A-Za-zäß東京"',;-]([ \t]?[A-Za-z0-9,"'äß東京]){0,20}`).Draw(t, "name"),
			Country: rapid.SampledFrom([]string{"", "DE", "US"}).Draw(t, "country"), Status: rapid.SampledFrom([]ForeignStatus{Foreign, US, Undetermined}).Draw(t, "status"),
			StatusReason: rapid.SampledFrom([]string{"", "a, \"reason\""}).Draw(t, "reason"), Demonstration: rapid.Bool().Draw(t, "demonstration"),
		}
		c.Name = strings.ReplaceAll(c.Name, "\t", " ")
		for range rapid.IntRange(0, 3).Draw(t, "tenants") {
			tenant++
			c.Tenants = append(c.Tenants, measure.TenantID(fmt.Sprintf("ten-%03d", tenant)))
		}
		all = append(all, c)
	}
	return all
}

// What is written in either form and any order is read back the same.
func TestBothFormsSayTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawn(t)
		var rows []string
		var list []map[string]any
		cell := func(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }
		for _, c := range want {
			tenants := c.Tenants
			list = append(list, map[string]any{"customer_id": c.ID, "name": c.Name, "country": c.Country, "foreign_status": c.Status,
				"status_reason": c.StatusReason, "demonstration": c.Demonstration, "tenant_ids": append([]measure.TenantID{}, tenants...)})
			if len(tenants) == 0 {
				tenants = []measure.TenantID{""}
			}
			for _, tenant := range tenants {
				rows = append(rows, strings.Join([]string{c.ID, cell(c.Name), c.Country, string(c.Status), cell(c.StatusReason), fmt.Sprint(c.Demonstration), string(tenant)}, ","))
			}
		}
		text, err := json.Marshal(rapid.Permutation(list).Draw(t, "list"))
		if err != nil {
			t.Fatal(err)
		}
		if list == nil {
			text = []byte("[]")
		}
		fromCSV, err1 := ReadCSV("c", []byte(head+strings.Join(rapid.Permutation(rows).Draw(t, "rows"), "\n")))
		fromJSON, err2 := ReadJSON("c", text)
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		same := cmp.Comparer(Customer.Equal)
		if d := cmp.Diff(append([]Customer{}, want...), fromCSV, same); d != "" {
			t.Errorf("CSV: %s", d)
		}
		if d := cmp.Diff(append([]Customer{}, want...), fromJSON, same); d != "" {
			t.Errorf("JSON: %s", d)
		}
	})
}

func FuzzReadCSV(f *testing.F) { fuzz(f, ReadCSV, head+"cus_a,A,DE,us,,true,t\n", head+"\"") }

func FuzzReadJSON(f *testing.F) {
	fuzz(f, ReadJSON, `[{"customer_id":"a","name":"n","tenant_ids":["t"]}]`, `[{"name":null},`)
}

func fuzz(f *testing.F, read func(string, []byte) ([]Customer, error), seeds ...string) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := read("file", data)
		if err != nil {
			if got != nil || len(places(t, err)) > table.MaxFaults {
				t.Errorf("%d customers with %v", len(got), err)
			}
			return
		}
		owner := map[measure.TenantID]bool{}
		for i, c := range got {
			if i > 0 && got[i-1].ID >= c.ID {
				t.Errorf("out of order: %q", c.ID)
			}
			if c.Status != Foreign && c.Status != US && c.Status != Undetermined || c.Name == "" || !table.Readable(c.Name, maxText) {
				t.Errorf("bad customer %+v", c)
			}
			for _, tenant := range c.Tenants {
				if owner[tenant] || tenant == "" {
					t.Errorf("tenant %q is held twice or empty", tenant)
				}
				owner[tenant] = true
			}
		}
	})
}
