package swarm

import (
	"testing"
	"time"
)

func TestParseSizes(t *testing.T) {
	for _, bad := range []string{"", "8", "8:", ":1", "-1:1", "8:0", "8:-1", "8:NaN", "8:1,", "8:1;9:1", "10000000:1"} {
		if got, err := ParseSizes(bad); err == nil {
			t.Errorf("%q: got %v, want an error", bad, got)
		}
	}
	got, err := ParseSizes("0:0.1, 64:3")
	if err != nil || len(got) != 2 || got[0] != (Size{0, 0.1}) || got[1] != (Size{64, 3}) {
		t.Errorf("got %v, %v", got, err)
	}
}

// Every host has its place, and the shares come out as asked.
func TestPlan(t *testing.T) {
	const hosts = 10_000
	p := newPlan(Config{Hosts: hosts, Tenants: 7, Sizes: Sizes{{0, 0.1}, {1, 0.2}, {8, 0.3}, {64, 0.4}}})
	count := map[*job]int{}
	idle := 0
	for i := range hosts {
		if j := p.jobOf(i); j != nil {
			count[j]++
		} else {
			idle++
		}
	}
	bySize := map[int]int{0: idle}
	for _, n := range count {
		bySize[n] += n
	}
	for size, want := range map[int]int{0: 1000, 1: 2000, 8: 3000, 64: 4000} {
		if got := bySize[size]; got < want-64 || got > want+64 {
			t.Errorf("%d hosts run workloads of %d hosts, want about %d", got, size, want)
		}
	}
}

func TestQuantiles(t *testing.T) {
	var h histogram
	for i := range 1000 {
		h.add(time.Duration(i+1) * time.Millisecond)
	}
	for q, want := range map[float64]time.Duration{0.5: 500 * time.Millisecond, 0.99: 990 * time.Millisecond, 1: time.Second} {
		if got := h.quantile(q); got < want || got > want*105/100 {
			t.Errorf("quantile %g is %s, want %s to 5 %% more", q, got, want)
		}
	}
}

// Names of devices are told apart, and look as the driver's.
func TestDeviceID(t *testing.T) {
	seen := map[string]bool{}
	for host := range 1000 {
		for device := range 8 {
			id := string(deviceID(1, host, device))
			if seen[id] || len(id) != 40 || id[:4] != "GPU-" {
				t.Fatalf("device %d of host %d is called %q", device, host, id)
			}
			seen[id] = true
		}
	}
}
