package store_test

import (
	"context"
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/store"
	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// BenchmarkRows writes the rows of a large fleet in turn, as a ledger gives them out: more
// than the cache of the writing connection holds. It reports processor time of a row,
// apart for rows that are new and for those that grow.
func BenchmarkRows(b *testing.B) {
	const (
		hosts   = 20_000
		devices = 8
		turn    = 600 // hosts whose rows one checkpoint writes
	)
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano()
	s, err := store.Open(b.Context(), filepath.Join(b.TempDir(), "flopwatch.db"), store.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	}()
	ctx := context.WithoutCancel(b.Context()) // as ingest writes
	position := func(n int64) ledger.Position {
		if n == 0 {
			return ledger.Position{}
		}
		p := ledger.Position{Epoch: 1, Seq: uint64(n)}
		p.Hash[0] = byte(n)
		return p
	}
	// rows are those of hosts from first on, n settlements after the one that makes them.
	rows := func(first int, n int64) (c ledger.Changes) {
		end := began + (n+1)*int64(200*time.Second)
		for h := first; h < min(first+turn, hosts); h++ {
			id := ledger.HostID(fmt.Sprintf("%032x", h*7919))
			host := ledger.Host{No: int64(h + 1), ID: id, PublicKey: make([]byte, 32), Name: fmt.Sprintf("node-%05d", h), OS: "Linux", Kernel: "6.8.0", AgentVersion: "1.0.0",
				Attribution: "slurm", BootID: "7e0c8e2e-6d3b-4d7f-9d0e-7b1d0d9a7f11", Position: position(n + 1), Before: position(n), FirstNS: began, LastNS: end, Batches: 3 * (n + 1)}
			c.Hosts, c.Batches, c.Windows = append(c.Hosts, host), c.Batches+3, c.Windows+3*devices
			for d := range devices {
				no := int64(h*devices + d + 1)
				device := measure.DeviceID(fmt.Sprintf("GPU-%08x-0000-0000-0000-%012x", no, no*104729))
				c.Accounts = append(c.Accounts, ledger.Account{No: no, Host: id, Device: ledger.Device{
					Device: measure.Device{ID: device, Name: "NVIDIA H100 80GB HBM3", PCIID: "10de:2330", CC: "9.0", SMCount: 132, MaxSMMHz: 1980, MemoryMiB: 81559},
					SKU:    "H100-SXM5-80GB", Grade: "catalogue", Peak: 989_400_000, Ceiling: 1_978_900_000},
					FirstNS: began, LastNS: end, Windows: 3 * (n + 1), RecentOperations: compute.Operations(9_000_000_000 + n), RecentNS: int64(time.Hour)})
				c.Grown, c.Open = append(c.Grown, n > 0), append(c.Open, began)
				took := compute.Operations(59_000_000_000 * (n + 1))
				segment := ledger.Segment{ID: no, DeviceNo: no, StartNS: began, EndNS: end, DurationNS: end - began, Operations: compute.Bounds{Low: took, Best: took + took/8, High: took + took/4},
					Ceiling: 2 * took, EnergyMJ: 42_000_000 * (n + 1), Key: ledger.Key{Host: id, Device: device, State: measure.Attributed, Tenant: measure.TenantID(fmt.Sprintf("tenant-%04d", h%1000)),
						Workload: measure.Workload{Kind: "slurm_job", ID: fmt.Sprint(h / 4)}, Method: measure.Method{Name: "cycles", Version: 1, Precision: "bf16", Grade: "catalogue"}}}
				if n == 0 {
					c.Opened = append(c.Opened, segment)
				} else {
					c.Extended = append(c.Extended, segment)
				}
			}
		}
		return c
	}
	cpu := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	settle := func(n int64) (took time.Duration) {
		for h := 0; h < hosts; h += turn {
			c := rows(h, n)
			before := cpu()
			if _, err := s.Checkpoint(ctx, store.Checkpoint{At: time.Unix(0, began), Changes: c}); err != nil {
				b.Fatal(err)
			}
			took += cpu() - before
		}
		return took
	}
	made := settle(0)
	var took time.Duration
	n := int64(0)
	for b.Loop() {
		n++
		took += settle(n)
	}
	b.ReportMetric(float64(made.Nanoseconds())/hosts/devices, "ns/new-device")
	b.ReportMetric(float64(took.Nanoseconds())/float64(n)/hosts/devices, "ns/grown-device")
}
