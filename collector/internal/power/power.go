// Package power holds what hosts report against meters that they do not control.
//
// A meter at the board management controller or in the power distribution unit
// knows what a host draws, whoever is root on it. A quarter of an hour in which
// both agree is corroborated; one in which they do not is a finding. The package
// is pure: time is an argument.
package power

import (
	"fmt"
	"time"
)

// Kind says what a meter is. Meters of one kind on one host are added up, such as
// the two feeds of a host; those of different kinds see the same energy, and each
// is compared by itself.
type Kind string

// The kinds.
const (
	BMC   Kind = "bmc"   // of the board management controller
	PDU   Kind = "pdu"   // an outlet of a power distribution unit
	Other Kind = "other" // a hypervisor's or a rack's
)

// Reading is the mean power that a meter saw over an interval.
type Reading struct {
	Meter      string
	Kind       Kind
	Host       string // id
	StartNS    int64  // half-open, Unix nanoseconds
	EndNS      int64
	EnergyMJ   int64 // in millijoules
	OverheadMJ int64 // of it what is not for devices: processors, fans, losses
}

// Slot is the length over which energy is compared. Slots are aligned to UTC.
const Slot = 15 * time.Minute

// What is compared, and when.
const (
	TolerancePercent = 10               // of the larger of both
	MeteredPercent   = 90               // of a slot that the meters must have seen
	ReportedPercent  = 99               // of the device time of a slot that the host must have observed
	Settle           = 10 * time.Minute // after a slot before it is looked at
	GiveUp           = 73 * time.Hour   // after a slot; a host's spool holds three days
)

// Metered is what the meters of one kind on one host saw of a slot.
type Metered struct {
	Meters     int
	CoveredNS  int64 // of all meters together
	EnergyMJ   int64
	OverheadMJ int64
}

// Reported is what the host reported of the same slot.
type Reported struct {
	Devices  int   // that it reported then
	KnownNS  int64 // device time of which the energy is known
	EnergyMJ int64
}

// Answer is what a comparison came to.
type Answer int

// The answers. An open slot is looked at again.
const (
	Open       Answer = iota
	Agrees            // within the tolerance
	More              // the meter saw more than the host reports
	Less              // the meter saw less
	CannotTell        // one side is missing for good
)

// String returns the answer as lists show it.
func (a Answer) String() string {
	return [...]string{"open", "agrees", "more drawn than reported", "less drawn than reported", "cannot tell"}[a]
}

// Part is the energy of a reading that lies in one slot.
type Part struct {
	SlotNS, CoveredNS, EnergyMJ, OverheadMJ int64
}

// Parts splits a reading over slots, by time. The parts add up to the whole.
func (r Reading) Parts() []Part {
	var out []Part
	whole := r.EndNS - r.StartNS
	var energy, overhead int64
	for at := r.StartNS; at < r.EndNS; {
		slot := at - at%int64(Slot)
		end := min(slot+int64(Slot), r.EndNS)
		upTo := func(total int64) int64 { return int64(float64(total) * (float64(end-r.StartNS) / float64(whole))) }
		p := Part{SlotNS: slot, CoveredNS: end - at, EnergyMJ: upTo(r.EnergyMJ) - energy, OverheadMJ: upTo(r.OverheadMJ) - overhead}
		energy, overhead = energy+p.EnergyMJ, overhead+p.OverheadMJ
		out = append(out, p)
		at = end
	}
	return out
}

// Compare holds meters against a report, an age after the end of the slot. The
// reason is in words, and "" for what agrees or is open.
func Compare(m Metered, r Reported, age time.Duration) (Answer, string) {
	if age < Settle {
		return Open, ""
	}
	late := func(why string) (Answer, string) {
		if age < GiveUp {
			return Open, ""
		}
		return CannotTell, why
	}
	full := int64(m.Meters) * int64(Slot)
	if m.Meters == 0 || m.CoveredNS*100 < full*MeteredPercent {
		return late("the meters did not see all of it")
	}
	scale := float64(full) / float64(m.CoveredNS)
	drawn, overhead := float64(m.EnergyMJ)*scale, float64(m.OverheadMJ)*scale
	told := overhead + float64(r.EnergyMJ)
	allowed := max(drawn, told) * TolerancePercent / 100
	expected := int64(r.Devices) * int64(Slot)
	observed := expected > 0 && r.KnownNS*100 >= expected*ReportedPercent
	kilowatts := func(mj float64) float64 { return mj / 1e6 / Slot.Seconds() }
	switch {
	case !observed && age < GiveUp: // what is missing may still come from the spool
		return Open, ""
	case drawn-told > allowed && observed:
		return More, fmt.Sprintf("meters saw %.2f kW, of which %.2f kW is not for devices; the devices report %.2f kW", kilowatts(drawn), kilowatts(overhead), kilowatts(float64(r.EnergyMJ)))
	case drawn-told > allowed:
		return More, fmt.Sprintf("meters saw %.2f kW, of which %.2f kW is not for devices; the energy of %.0f %% of the device time was reported, %.2f kW",
			kilowatts(drawn), kilowatts(overhead), share(r.KnownNS, expected), kilowatts(float64(r.EnergyMJ)))
	case !observed:
		return CannotTell, "the host did not report the energy of all its devices"
	case told-drawn > allowed:
		return Less, fmt.Sprintf("meters saw %.2f kW, of which %.2f kW is not for devices; the devices report %.2f kW", kilowatts(drawn), kilowatts(overhead), kilowatts(float64(r.EnergyMJ)))
	}
	return Agrees, ""
}

func share(part, whole int64) float64 {
	if whole == 0 {
		return 0
	}
	return 100 * float64(part) / float64(whole)
}
