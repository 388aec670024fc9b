package reservation

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const header = "reservation_id,tenant_id,accelerator,devices,from,to,network_gbit_s\n"

func TestReadCSV(t *testing.T) {
	all, err := ReadCSV("r.csv", []byte(header+"r1,ten-a,H100-SXM5-80GB,1024,2026-01-01T00:00:00Z,2026-03-01T00:00:00Z,400\nr2,ten-b,A100-SXM4-80GB,8,2026-01-01T00:00:00Z,2026-01-01T00:00:00Z,\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []Reservation{
		{ID: "r1", Tenant: "ten-a", Accelerator: "H100-SXM5-80GB", Devices: 1024, FromNS: all[0].FromNS, ToNS: all[0].FromNS + int64(59*24*time.Hour), NetworkGbitS: 400, Source: "r.csv:2"},
		{ID: "r2", Tenant: "ten-b", Accelerator: "A100-SXM4-80GB", Devices: 8, FromNS: all[0].FromNS, ToNS: all[0].FromNS, Source: "r.csv:3"},
	}
	if d := cmp.Diff(want, all); d != "" {
		t.Error(d)
	}
	if all[0].Withdrawn() || !all[1].Withdrawn() {
		t.Error("the second is withdrawn and the first is not")
	}
	// 1,024 × 989.4e12 for 59 days.
	if most := all[0].Most(0).Float(); most < 5.15e24 || most > 5.17e24 {
		t.Errorf("can do %g", most)
	}
	if all[0].Most(all[0].ToNS) != 0 {
		t.Error("what is over can do nothing more")
	}
}

func TestFaultsNameTheirPlace(t *testing.T) {
	_, err := ReadCSV("r.csv", []byte(header+"r1,,H999,0,yesterday,2026-01-01T00:00:00Z,\nr1,ten,H100-SXM5-80GB,1,2026-01-02T00:00:00Z,2026-01-01T00:00:00Z,x\nshort\n"))
	for _, want := range []string{"r.csv:2: tenant_id", "r.csv:2: accelerator", "r.csv:2: devices", "r.csv:2: from", "r.csv:3: reservation_id", "r.csv:3: to", "r.csv:3: network_gbit_s", "r.csv:4: row"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not told: %v", want, err)
		}
	}
	if _, err := ReadCSV("r.csv", []byte("reservation_id,tenant_id,tenant_id\n")); err == nil || !strings.Contains(err.Error(), "r.csv:1: column 3: tenant_id is there twice") {
		t.Errorf("header: %v", err)
	}
	if _, err := ReadCSV("r.csv", []byte(header+"\"unclosed")); err == nil || !strings.Contains(err.Error(), "r.csv:2: row") {
		t.Errorf("a quote that is not closed: %v", err)
	}
}

func FuzzReadCSV(f *testing.F) {
	f.Add([]byte(header + "r1,ten-a,H100-SXM5-80GB,1024,2026-01-01T00:00:00Z,2026-03-01T00:00:00Z,400\n"))
	f.Add([]byte(header + "\"unclosed"))
	f.Fuzz(func(t *testing.T, data []byte) {
		all, err := ReadCSV("f", data)
		for i := range all {
			if err == nil && (all[i].ID == "" || all[i].Devices < 1 || all[i].ToNS < all[i].FromNS || all[i].Most(0) < 0) {
				t.Errorf("%+v passed", all[i])
			}
		}
	})
}
