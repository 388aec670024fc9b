package store

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flopwatch/flopwatch/collector/internal/lab"
)

// The newest price of a customer holds, totals of different days add up, and a total
// of the same days replaces the one before; importing twice changes nothing.
func TestRevenueIsReplacedAndAddedUp(t *testing.T) {
	s := open(t, t.TempDir())
	put := func(rows ...RevenueRow) {
		t.Helper()
		if err := s.PutRevenue(t.Context(), rows); err != nil {
			t.Fatal(err)
		}
	}
	january := RevenueRow{Customer: "cus_a", FromDay: "2026-01-01", ToDay: "2026-02-01", Currency: "USD", BilledCents: 100}
	february := RevenueRow{Customer: "cus_a", FromDay: "2026-02-01", ToDay: "2026-03-01", Currency: "USD", BilledCents: 40}
	put(january, february, RevenueRow{Customer: "cus_b", Currency: "EUR", CentsPerDeviceHour: 200})
	put(january, february)
	corrected := january
	corrected.BilledCents = 90
	put(corrected, RevenueRow{Customer: "cus_b", Currency: "EUR", CentsPerDeviceHour: 249})
	got, err := revenues(t.Context(), s.read)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]lab.Revenue{"cus_a": {Currency: "USD", BilledCents: 130}, "cus_b": {Currency: "EUR", CentsPerDeviceHour: 249}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("revenue (-want +got):\n%s", d)
	}
	put(RevenueRow{Customer: "cus_b", Currency: "USD", CentsPerDeviceHour: 300})
	if got, err = revenues(t.Context(), s.read); err != nil || got["cus_b"] != (lab.Revenue{Currency: "USD", CentsPerDeviceHour: 300}) {
		t.Errorf("in another currency: %+v, %v", got["cus_b"], err)
	}
}
