package bpf

import (
	"context"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// measure runs a load under a monitor and reports the nanoseconds of one run of
// each program (bpf_stats), and the time that this
// process computed for one event.
func measure(b *testing.B, config Config, load func()) {
	m := openMonitor(b, config)
	stats, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME)
	if err != nil {
		b.Fatal(err)
	}
	defer stats.Close()
	ctx, cancel := context.WithCancel(context.Background())
	events, done := 0, make(chan error, 1)
	before, cpu := statsOf(b, m), ownCPU(b)
	b.ReportAllocs()
	b.ResetTimer()
	go func() { done <- m.Run(ctx, func(Event) { events++ }) }()
	load()
	b.StopTimer()
	time.Sleep(2 * m.config.Interval)
	cancel()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	spent := ownCPU(b) - cpu
	for name, after := range statsOf(b, m) {
		if runs := after.RunCount - before[name].RunCount; runs >= uint64(b.N)/2 {
			b.ReportMetric(float64(after.Runtime-before[name].Runtime)/float64(runs), name+"-ns/run")
		}
	}
	if events > 0 {
		b.ReportMetric(float64(spent)/float64(events), "own-cpu-ns/event")
	}
	b.ReportMetric(float64(events), "events")
	drops, err := m.Drops()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(drops.Processes+drops.Opens+drops.Flows), "drops")
}

func statsOf(b *testing.B, m *Monitor) map[string]ebpf.ProgramStats {
	b.Helper()
	all := map[string]ebpf.ProgramStats{}
	for name, program := range m.programs.loaded.Programs {
		s, err := program.Stats()
		if err != nil {
			b.Fatal(err)
		}
		all[name] = *s
	}
	return all
}

// ownCPU is the time that this process computed, its children left out.
func ownCPU(b *testing.B) time.Duration {
	b.Helper()
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &ts); err != nil {
		b.Fatal(err)
	}
	return time.Duration(ts.Nano())
}

// BenchmarkProcesses makes 5,000 events a second: a fork and an exit each.
func BenchmarkProcesses(b *testing.B) {
	measure(b, Config{}, func() {
		start(b, nil, syscall.SysProcAttr{}, self("forks", strconv.Itoa(b.N), "2500")...).wait()
	})
}

// BenchmarkRecall is the same load, kept by the kernel instead of told.
func BenchmarkRecall(b *testing.B) {
	measure(b, Config{Recall: 1 << 15}, func() {
		start(b, nil, syscall.SysProcAttr{}, self("forks", strconv.Itoa(b.N), "2500")...).wait()
	})
}

// BenchmarkDeviceOpen opens a watched device that has no driver.
func BenchmarkDeviceOpen(b *testing.B) {
	path := node(b, nvidia, 0)
	measure(b, Config{Devices: true, Majors: []uint32{nvidia}}, func() {
		for range b.N {
			if fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0); err == nil {
				_ = syscall.Close(fd)
			}
		}
	})
}

// BenchmarkOtherOpen opens and closes a file that is not watched, as every
// process of the host does.
func BenchmarkOtherOpen(b *testing.B) {
	measure(b, Config{Devices: true, Majors: []uint32{nvidia}}, func() {
		for range b.N {
			fd, err := syscall.Open("/proc/self/cmdline", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
			if err != nil {
				b.Fatal(err)
			}
			_ = syscall.Close(fd)
		}
	})
}

// BenchmarkTraffic sends between two network namespaces.
func BenchmarkTraffic(b *testing.B) {
	n := newNetwork(b)
	measure(b, Config{Flows: 1024}, func() {
		rx := start(b, nil, syscall.SysProcAttr{}, inside(b, n.b, "sink", "192.0.2.2:7000")...)
		rx.line()
		start(b, nil, syscall.SysProcAttr{}, inside(b, n.a, "source", "192.0.2.2:7000", strconv.Itoa(b.N))...).wait()
		rx.wait()
	})
}

// BenchmarkHolders walks the open files of this host.
func BenchmarkHolders(b *testing.B) {
	m := openMonitor(b, Config{Devices: true, Majors: []uint32{nvidia}})
	for b.Loop() {
		if _, err := m.Holders(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDecode is the reader's part that is not the kernel's.
func BenchmarkDecode(b *testing.B) {
	record, hasher := encode(b, monitorEvent{Kind: uint32(Forked)}), newHasher(make([]byte, minKeyBytes))
	var e Event
	b.ReportAllocs()
	for b.Loop() {
		if err := decodeEvent(&e, record, hasher); err != nil {
			b.Fatal(err)
		}
	}
}
