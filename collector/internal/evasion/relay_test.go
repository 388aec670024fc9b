package evasion

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	diff "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// movedSlowly is moved without anything left out: each run against each.
func (s *seen) movedSlowly() {
	ended := slices.Clone(s.Runs)
	slices.SortFunc(ended, func(a, b Run) int { return cmp.Or(cmp.Compare(a.EndNS, b.EndNS), cmp.Compare(a.ID, b.ID)) })
	for j := range s.Runs {
		b := &s.Runs[j]
		var best *Run
		bits := 0
		for i := range ended {
			a := &ended[i]
			if a.Devices < s.r.Relay.MinDevices || b.Devices < s.r.Relay.MinDevices || a.Accelerator != b.Accelerator || a.Tenant == b.Tenant ||
				!alike(a.Devices, b.Devices, s.r.Structuring.ShapePercent) ||
				a.EndNS < b.StartNS-int64(s.r.Relay.Gap) || a.EndNS > b.StartNS+int64(15*time.Minute) {
				continue
			}
			if n := s.goesOn(a, b, 0).bits; n >= s.r.Relay.MinBits && n > bits {
				best, bits = a, n
			}
		}
		if best != nil {
			c := s.goesOn(best, b, 0)
			s.relay(best, b, bits, c.words(best, b))
		}
	}
}

// What is left out when runs are held against one another changes no finding.
func TestMovedLeavesNothingOut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := Input{NowNS: from + 10*day}
		for i := range rapid.IntRange(1, 6).Draw(t, "accounts") {
			a := Account{Tenant: measure.TenantID(fmt.Sprint("t", i)), FirstNS: from}
			for _, kind := range []string{"owner", "payer", ByImage} {
				if n := rapid.IntRange(0, 3).Draw(t, kind); n > 0 {
					a.Marks = append(a.Marks, Mark{kind, fmt.Sprint(n)})
				}
			}
			a.Customer = rapid.SampledFrom([]string{"", "cus_a"}).Draw(t, "customer")
			in.Accounts = append(in.Accounts, a)
		}
		for i := range rapid.IntRange(2, 30).Draw(t, "runs") {
			start := from + int64(rapid.IntRange(0, 40).Draw(t, "start"))*hour/4
			hosts := make([]int64, 16)
			first := rapid.IntRange(0, 3).Draw(t, "hosts") * 8
			for k := range hosts {
				hosts[k] = int64(first + k)
			}
			in.Runs = append(in.Runs, Run{ID: fmt.Sprint("run_", i), Tenant: rapid.SampledFrom(in.Accounts).Draw(t, "of").Tenant, StartNS: start,
				EndNS: start + int64(rapid.IntRange(1, 40).Draw(t, "length"))*hour/4, Accelerator: rapid.SampledFrom([]string{"H100", "A100"}).Draw(t, "on"),
				Devices: rapid.SampledFrom([]int{32, 64, 65, 128, 130, 4096}).Draw(t, "devices"), Hosts: 16, Places: Sketch(hosts),
				Image: rapid.SampledFrom([]string{"", "", "i", "j"}).Draw(t, "image"), Operations: compute.Bounds{Best: ops(1e22)}})
			if rapid.IntRange(0, 3).Draw(t, "transfer") == 0 {
				in.Transfers = append(in.Transfers, Transfer{Tenant: in.Runs[i].Tenant, AtNS: start, Bytes: 20 << 30, Out: rapid.Bool().Draw(t, "out")})
			}
		}
		fast, slow := newSeen(in, Default()), newSeen(in, Default())
		fast.moved()
		slow.movedSlowly()
		if d := diff.Diff(slow.found, fast.found, diff.AllowUnexported(Finding{})); d != "" {
			t.Fatalf("other findings than each against each: %s", d)
		}
		if d := diff.Diff(slow.relays, fast.relays); d != "" {
			t.Fatalf("other relays than each against each: %s", d)
		}
	})
}
