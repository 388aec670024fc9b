package power_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/flopwatch/flopwatch/collector/internal/power"
)

const slot = int64(power.Slot)

// kw is the energy of a slot at a mean power, in millijoules.
func kw(kilowatts float64) int64 { return int64(kilowatts * 1e6 * power.Slot.Seconds()) }

func TestCompare(t *testing.T) {
	whole := func(drawn, overhead float64) power.Metered {
		return power.Metered{Meters: 1, CoveredNS: slot, EnergyMJ: kw(drawn), OverheadMJ: kw(overhead)}
	}
	told := func(kilowatts float64) power.Reported {
		return power.Reported{Devices: 8, KnownNS: 8 * slot, EnergyMJ: kw(kilowatts)}
	}
	half := told(2)
	half.KnownNS /= 2
	for name, c := range map[string]struct {
		m    power.Metered
		r    power.Reported
		age  time.Duration
		want power.Answer
	}{
		"equal":                             {whole(5.2, 1.2), told(4), time.Hour, power.Agrees},
		"9 % more drawn":                    {whole(5.7, 1.2), told(4), time.Hour, power.Agrees},
		"12 % more drawn":                   {whole(5.95, 1.2), told(4), time.Hour, power.More},
		"9 % less drawn":                    {whole(4.75, 1.2), told(4), time.Hour, power.Agrees},
		"12 % less drawn":                   {whole(4.5, 1.2), told(4), time.Hour, power.Less},
		"too early":                         {whole(5.2, 1.2), told(4), 9 * time.Minute, power.Open},
		"half of the devices seen":          {whole(5.2, 1.2), half, time.Hour, power.Open},
		"half of the devices seen for good": {whole(5.2, 1.2), half, 74 * time.Hour, power.More},
		"half seen, and little drawn":       {whole(3.2, 1.2), half, 74 * time.Hour, power.CannotTell},
		"no device, and much drawn":         {whole(5.2, 1.2), power.Reported{}, 74 * time.Hour, power.More},
		"no device, and nothing drawn":      {whole(1.2, 1.2), power.Reported{}, 74 * time.Hour, power.CannotTell},
		"meter half blind":                  {power.Metered{Meters: 2, CoveredNS: slot, EnergyMJ: kw(2.6), OverheadMJ: kw(0.6)}, told(4), time.Hour, power.Open},
		"meter half blind for good":         {power.Metered{Meters: 2, CoveredNS: slot, EnergyMJ: kw(2.6), OverheadMJ: kw(0.6)}, told(4), 74 * time.Hour, power.CannotTell},
		"two feeds":                         {power.Metered{Meters: 2, CoveredNS: 2 * slot, EnergyMJ: kw(5.2), OverheadMJ: kw(1.2)}, told(4), time.Hour, power.Agrees},
		"a little of the meter is missing":  {power.Metered{Meters: 1, CoveredNS: slot * 95 / 100, EnergyMJ: kw(5.2) * 95 / 100, OverheadMJ: kw(1.2) * 95 / 100}, told(4), time.Hour, power.Agrees},
	} {
		got, why := power.Compare(c.m, c.r, c.age)
		if got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
		if told := got == power.More || got == power.Less || got == power.CannotTell; told != (why != "") {
			t.Errorf("%s: %s because %q", name, got, why)
		}
	}
}

// However a reading lies over slots, its parts are it.
func TestPartsAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := power.Reading{StartNS: rapid.Int64Range(1, 1<<61).Draw(t, "start"), EnergyMJ: rapid.Int64Range(0, 1e15).Draw(t, "energy")}
		r.EndNS = r.StartNS + rapid.Int64Range(1, int64(power.MaxSpan)).Draw(t, "length")
		r.OverheadMJ = rapid.Int64Range(0, r.EnergyMJ).Draw(t, "overhead")
		var covered, energy, overhead int64
		last := int64(-1)
		for _, p := range r.Parts() {
			if p.SlotNS%slot != 0 || p.SlotNS <= last || p.EnergyMJ < 0 || p.OverheadMJ < 0 || p.CoveredNS <= 0 || p.CoveredNS > slot {
				t.Fatalf("%+v", p)
			}
			covered, energy, overhead, last = covered+p.CoveredNS, energy+p.EnergyMJ, overhead+p.OverheadMJ, p.SlotNS
		}
		if covered != r.EndNS-r.StartNS || energy != r.EnergyMJ || overhead != r.OverheadMJ {
			t.Fatalf("%+v adds up to %d ns, %d mJ, %d mJ", r, covered, energy, overhead)
		}
	})
}

const header = "meter_id,host,kind,from,to,watts,overhead_watts\n"

var host = strings.Repeat("a", 26)

func TestRead(t *testing.T) {
	at := time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)
	want := []power.Reading{
		{Meter: "pdu-a/12", Kind: power.PDU, Host: host, StartNS: at.UnixNano(), EndNS: at.Add(time.Minute).UnixNano(), EnergyMJ: 312_030_000, OverheadMJ: 72_000_000},
		{Meter: "pdu-a/12", Kind: power.PDU, Host: host, StartNS: at.Add(time.Minute).UnixNano(), EndNS: at.Add(2 * time.Minute).UnixNano(), EnergyMJ: 300_000_000},
	}
	rows := "pdu-a/12," + host + ",pdu,2026-07-01T00:01:00Z,2026-07-01T00:02:00Z,5000,\npdu-a/12," + host + ",pdu,2026-07-01T00:00:00Z,2026-07-01T00:01:00Z,5200.5,1200\n"
	got, err := power.ReadCSV("f", []byte("\ufeff"+header+rows))
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, d)
	}
	lines := fmt.Sprintf(`{"meter_id":"pdu-a/12","host":%q,"kind":"pdu","from":"2026-07-01T00:00:00Z","to":"2026-07-01T00:01:00Z","watts":"5200.5","overhead_watts":"1200"}

{"meter_id":"pdu-a/12","host":%q,"kind":"pdu","from":"2026-07-01T00:01:00Z","to":"2026-07-01T00:02:00Z","watts":"5000"}`, host, host)
	got, err = power.ReadNDJSON("f", []byte(lines))
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, d)
	}
}

func TestFaultsAreNamed(t *testing.T) {
	row := func(cells ...string) string { return header + strings.Join(cells, ",") + "\n" }
	from, to := "2026-07-01T00:00:00Z", "2026-07-01T00:01:00Z"
	good := strings.Join([]string{"m", host, "pdu", from, to, "5", "1"}, ",") + "\n"
	for text, want := range map[string]string{
		"":                      "f:1: header: is missing or not CSV",
		"meter_id,host,volts\n": "f:1: column 3: is not known",
		"meter_id,meter_id\n":   "f:1: column 2: meter_id is there twice",
		"meter_id,host\n":       "f:1: kind: is missing",
		header + "a,b\n":        "f:2: row: has 2 cells, the header has 7",
		row("=1", host, "pdu", from, to, "5", ""):                  "f:2: meter_id: must be",
		row("m", "node1", "pdu", from, to, "5", ""):                "f:2: host: must be the id",
		row("m", host, "ups", from, to, "5", ""):                   "f:2: kind: must be bmc, pdu or other",
		row("m", host, "pdu", "yesterday", to, "5", ""):            "f:2: from: must be a time",
		row("m", host, "pdu", to, from, "5", ""):                   "f:2: to: must be after from",
		row("m", host, "pdu", from, to, "-5", ""):                  "f:2: watts: must be a number",
		row("m", host, "pdu", from, to, "NaN", ""):                 "f:2: watts: must be a number",
		row("m", host, "pdu", from, to, "5", "6"):                  "f:2: overhead_watts: must not be more",
		header + good + good:                                       "f:3: from: overlaps the reading of the meter on line 2",
		header + good + strings.Replace(good, ",pdu,", ",bmc,", 1): "f:3: meter_id: is of another host or kind than on line 2",
	} {
		got, err := power.ReadCSV("f", []byte(text))
		if err == nil || len(got) > 0 || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	for text, want := range map[string]string{
		"[]":                        "f:1: line: must be a JSON object",
		`{"volts":"1"}`:             "f:1: line: has a key that is not known",
		`{"watts":1}`:               "f:1: watts: must be a text",
		`{"watts":"1","watts":"2"}`: "f:1: watts: is there twice",
		`{"watts":"1"} {}`:          "f:1: line: must be a JSON object",
		`{"watts":"1"`:              "f:1: line: must be a JSON object",
	} {
		if got, err := power.ReadNDJSON("f", []byte(text)); err == nil || len(got) > 0 || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(header + "m," + host + ",pdu,2026-07-01T00:00:00Z,2026-07-01T00:01:00Z,5,1\n"))
	f.Add([]byte(`{"meter_id":"m","host":"` + host + `","kind":"bmc","from":"2026-07-01T00:00:00Z","to":"2026-07-01T00:01:00Z","watts":"5"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, read := range []func(string, []byte) ([]power.Reading, error){power.ReadCSV, power.ReadNDJSON} {
			got, err := read("f", data)
			if err != nil && got != nil {
				t.Error("readings with an error")
			}
			for i, r := range got {
				if r.EndNS <= r.StartNS || r.EnergyMJ < r.OverheadMJ || r.OverheadMJ < 0 || len(r.Parts()) > 98 {
					t.Errorf("%+v", r)
				}
				if i > 0 && got[i-1].Meter == r.Meter && got[i-1].EndNS > r.StartNS {
					t.Error("readings overlap")
				}
			}
		}
	})
}
