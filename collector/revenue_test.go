package collector

import (
	"slices"
	"strings"
	"testing"

	"github.com/flopwatch/flopwatch/collector/internal/store"
)

// A file that is no table is a fault with its line, of the first row too.
func TestRevenueThatIsNoTable(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "header"},
		{"id,name\n\"unclosed", "revenue:1: column 1"},
		{"PK\x03\x04", "revenue:1: column 1"},
		{"customer_id,from,to,currency,billed,price_per_device_hour\na,b\n", "revenue:2: row"},
		{"customer_id,from,to,currency,billed,price_per_device_hour\n\"a", "revenue:2: row"},
	} {
		if rows, err := readRevenue("revenue", []byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %d rows, %v, want %q", c.text, len(rows), err, c.want)
		}
	}
}

// Every fault of a row is told with its line and column; a good file is read as it is.
func TestRevenueRows(t *testing.T) {
	const header = "customer_id,from,to,currency,billed,price_per_device_hour\n"
	rows, err := readRevenue("r.csv", []byte("\ufeff"+header+"cus_a,2026-01-01,2026-02-01,USD,1234.5,\ncus_b,,,EUR,,2.49\n"))
	want := []store.RevenueRow{{Customer: "cus_a", FromDay: "2026-01-01", ToDay: "2026-02-01", Currency: "USD", BilledCents: 123_450}, {Customer: "cus_b", Currency: "EUR", CentsPerDeviceHour: 249}}
	if err != nil || !slices.Equal(rows, want) {
		t.Errorf("%+v, %v", rows, err)
	}
	for text, want := range map[string]string{
		",2026-01-01,2026-02-01,USD,1,":         "r.csv:2: customer_id",
		"cus_a,2026-01-01,2026-02-01,usd,1,":    "r.csv:2: currency",
		"cus_a,2026-01-01,2026-02-01,USD,1,2":   "r.csv:2: billed",
		"cus_a,,,USD,,":                         "r.csv:2: billed",
		"cus_a,2026-02-01,2026-01-01,USD,1,":    "r.csv:2: from: a total needs its days",
		"cus_a,2026-02-30,2026-03-01,USD,1,":    "r.csv:2: from: a total needs its days",
		"cus_a,2026-01-01,,USD,,2":              "r.csv:2: from: a price has no days",
		"cus_a,,,USD,,-2":                       "r.csv:2: price_per_device_hour",
		"cus_a,,,USD,,1e9":                      "r.csv:2: price_per_device_hour",
		"cus_a,,,USD,,NaN":                      "r.csv:2: price_per_device_hour",
		"cus_a,,,USD,,2.499":                    "r.csv:2: price_per_device_hour",
		"cus_a,2026-01-01,2026-02-01,USD,-0,":   "r.csv:2: billed",
		"cus_a,2026-01-01,2026-02-01,USD,1/2,":  "r.csv:2: billed",
		"cus_a,2026-01-01,2026-02-01,USD,1e13,": "r.csv:2: billed",
	} {
		if rows, err := readRevenue("r.csv", []byte(header+text+"\n")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %+v, %v, want %s", text, rows, err, want)
		}
	}
}

func FuzzReadRevenue(f *testing.F) {
	f.Add([]byte("customer_id,from,to,currency,billed,price_per_device_hour\ncus_a,2026-01-01,2026-02-01,USD,1234.5,\ncus_b,,,EUR,,2.49\n"))
	f.Add([]byte("customer_id,from,to,currency,billed,price_per_device_hour\n\"a"))
	f.Fuzz(func(t *testing.T, data []byte) {
		rows, err := readRevenue("f", data)
		if err != nil && rows != nil {
			t.Errorf("%d rows with %v", len(rows), err)
		}
		for _, r := range rows {
			if r.Customer == "" || (r.BilledCents > 0) == (r.CentsPerDeviceHour > 0) {
				t.Errorf("%+v passed", r)
			}
		}
	})
}
