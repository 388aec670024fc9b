package collector

import (
	"strings"
	"testing"
)

// A file that is no table is a fault with its line, of the first row too.
func TestRevenueThatIsNoTable(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "header"},
		{"id,name\n\"unclosed", "revenue:1: row"},
		{"PK\x03\x04", "revenue:1: row"},
		{"customer_id,from,to,currency,billed,price_per_device_hour\na,b\n", "revenue:2: row"},
		{"customer_id,from,to,currency,billed,price_per_device_hour\n\"a", "revenue:2: row"},
	} {
		if rows, err := readRevenue("revenue", []byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %d rows, %v, want %q", c.text, len(rows), err, c.want)
		}
	}
}
