package swarm

import (
	"syscall"
	"time"
)

// Report says what a swarm sent and what that cost.
type Report struct {
	Hosts         int     `json:"hosts"`
	Devices       int     `json:"devices"`
	WindowSeconds float64 `json:"window_seconds"`
	BatchWindows  int     `json:"windows_per_batch"`
	FleetSeconds  float64 `json:"fleet_seconds"` // of each host
	GPUSamples    int64   `json:"gpu_samples"`   // device-seconds: readings at 1 Hz that the windows stand for
	Operations    struct {
		Low  string `json:"low"`
		Best string `json:"best"`
		High string `json:"high"`
	} `json:"operations"`
	Totals
	Counts
	WallSeconds   float64 `json:"wall_seconds"`
	CPUSeconds    float64 `json:"cpu_seconds"` // of this process, from its start
	CPUNSSample   float64 `json:"cpu_ns_per_gpu_sample"`
	BytesSample   float64 `json:"wire_bytes_per_gpu_sample"`
	RSSMaxMiB     float64 `json:"rss_max_mib"`
	LagP50MS      float64 `json:"lag_p50_ms"` // from the end of a batch's last window to its receipt, 0 when not paced
	LagP99MS      float64 `json:"lag_p99_ms"`
	LagMaxMS      float64 `json:"lag_max_ms"`
	Unreceipted   int     `json:"unreceipted"`
	FirstWindowNS int64   `json:"first_window_ns"`
	LastWindowNS  int64   `json:"last_window_ns"`

	Crossings []Crossing `json:"crossings,omitempty"`
}

func (s *Swarm) report() Report {
	var use syscall.Rusage
	cpu := 0.0
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err == nil {
		cpu = time.Duration(use.Utime.Nano() + use.Stime.Nano()).Seconds()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := Report{
		Hosts: s.cfg.Hosts, Devices: s.cfg.Devices, WindowSeconds: s.cfg.Window.Seconds(), BatchWindows: s.cfg.Windows,
		FleetSeconds: (s.period() * time.Duration(s.cfg.Batches)).Seconds(), GPUSamples: s.totals.DeviceWindows * int64(s.cfg.Window/time.Second),
		Totals: s.totals, Counts: s.counts, WallSeconds: time.Since(s.began).Seconds(), CPUSeconds: cpu, RSSMaxMiB: float64(use.Maxrss) / 1024,
		Unreceipted: s.unsent, FirstWindowNS: s.origin, LastWindowNS: s.dueNS(s.cfg.Hosts-1, s.cfg.Batches-1),
	}
	r.Crossings = s.crossings
	r.Operations.Low, r.Operations.Best, r.Operations.High = s.totals.Low.Decimal(), s.totals.Best.Decimal(), s.totals.High.Decimal()
	if r.GPUSamples > 0 {
		r.CPUNSSample, r.BytesSample = cpu*1e9/float64(r.GPUSamples), float64(s.counts.Bytes)/float64(r.GPUSamples)
	}
	if s.lag.n > 0 {
		ms := func(d time.Duration) float64 { return float64(d) / 1e6 }
		r.LagP50MS, r.LagP99MS, r.LagMaxMS = ms(s.lag.quantile(0.5)), ms(s.lag.quantile(0.99)), ms(s.lag.most)
	}
	return r
}
