package rollout_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/rollout"
	"github.com/flopwatch/flopwatch/pkg/settings"
)

var noon = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

// fleet is hosts with a clock. Each reports what it is told; those for which
// breaks says so observe only so much of their time.
type fleet struct {
	text  *settings.Fleet
	hosts []rollout.Host
	roll  rollout.Rollout
	now   time.Time
	stuck string // host that goes on to report version 1
}

func start(t *testing.T, n int) *fleet {
	t.Helper()
	text, err := settings.Read("s.yaml", []byte("version: 2\ntitle: t\nlayers: [{batch: 20s}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	f := &fleet{text: text, now: noon}
	for i := range n {
		f.hosts = append(f.hosts, rollout.Host{Host: settings.Host{ID: fmt.Sprintf("host-%05d", i)}, Reports: 1, Devices: 8})
	}
	f.roll = rollout.Begin("pol_2", 2, 1, f.hosts, f.now)
	return f
}

// pass lets a minute go by.
func (f *fleet) pass(permilleWith func(host string) int64) {
	f.now = f.now.Add(time.Minute)
	first := rollout.First(f.hosts, 2)
	for i := range f.hosts {
		h := &f.hosts[i]
		h.Reports = f.roll.Wants(f.text, h.ID, first)
		if h.ID == f.stuck {
			h.Reports = 1
		}
		h.Elapsed += 8 * 60_000
		share := int64(995)
		if h.Reports == 2 {
			share = permilleWith(h.ID)
		}
		h.Observed += 8 * 60 * share
	}
	f.roll, _ = f.roll.Advance(f.text, f.hosts, f.now)
}

func (f *fleet) with() int {
	n := 0
	for _, h := range f.hosts {
		if h.Reports == 2 {
			n++
		}
	}
	return n
}

func TestStepsGoToAll(t *testing.T) {
	f := start(t, 10_000)
	fine := func(string) int64 { return 995 }
	var seen []int
	for range 40 {
		f.pass(fine)
		if n := f.with(); len(seen) == 0 || seen[len(seen)-1] != n {
			seen = append(seen, n)
		}
	}
	if f.roll.State != rollout.Done || len(seen) != 3 || seen[0] < 50 || seen[0] > 150 || seen[1] < 900 || seen[1] > 1100 || seen[2] != 10_000 {
		t.Errorf("%s with %v hosts", f.roll.State, seen)
	}
	if by, behind := f.roll.Converged(f.text, f.hosts); by[2] != 10_000 || len(behind) != 0 {
		t.Errorf("%v, %d behind", by, len(behind))
	}
}

// A version by which hosts see less is stopped at the first step, and the hosts
// that have it go back.
func TestBadVersionStops(t *testing.T) {
	for _, n := range []int{3, 1_000} {
		f := start(t, n)
		reached := 0
		for range 40 {
			f.pass(func(string) int64 { return 900 })
			reached = max(reached, f.with())
		}
		if f.roll.State != rollout.Stopped || f.with() != 0 || reached > max(1, n/50) || !strings.Contains(f.roll.Reason, "90.0 %") {
			t.Errorf("%d hosts: %s (%s), %d reached, %d have it", n, f.roll.State, f.roll.Reason, reached, f.with())
		}
	}
}

// What only shows on the rest of the fleet stops it there.
func TestLaterDropStops(t *testing.T) {
	f := start(t, 1_000)
	for range 40 {
		f.pass(func(host string) int64 {
			if rollout.In(host, 2, 10) {
				return 995
			}
			return 700
		})
	}
	if f.roll.State != rollout.Stopped || !strings.Contains(f.roll.Reason, "theirs before") || f.with() != 0 {
		t.Errorf("%s (%s)", f.roll.State, f.roll.Reason)
	}
}

// Hosts that fall silent observe nothing.
func TestSilenceStops(t *testing.T) {
	f := start(t, 1_000)
	first := rollout.First(f.hosts, 2)
	for range 5 {
		f.now = f.now.Add(time.Minute)
		for i := range f.hosts {
			if h := &f.hosts[i]; f.roll.Wants(f.text, h.ID, first) != 2 {
				h.Elapsed, h.Observed = h.Elapsed+480_000, h.Observed+479_000
			}
		}
		f.roll, _ = f.roll.Advance(f.text, f.hosts, f.now)
	}
	if f.roll.State != rollout.Stopped {
		t.Errorf("%+v", f.roll.State)
	}
}

// A step is not left while a host of it runs another version.
func TestWaitsForEveryHost(t *testing.T) {
	f := start(t, 1_000)
	f.stuck = rollout.First(f.hosts, 2)
	for range 40 {
		f.pass(func(string) int64 { return 995 })
	}
	if f.roll.State != rollout.Rolling || f.roll.Step != 0 {
		t.Errorf("%s, step %d", f.roll.State, f.roll.Step)
	}
	if _, behind := f.roll.Converged(f.text, f.hosts); len(behind) != 1 || behind[0] != f.stuck {
		t.Errorf("behind: %v", behind)
	}
}
