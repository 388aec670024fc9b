package swarm

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/flopwatch/flopwatch/pkg/accel"
	"github.com/flopwatch/flopwatch/pkg/attest"
	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/measure"
	"github.com/flopwatch/flopwatch/pkg/wire"
)

// host is what is kept of one host.
type host struct {
	key     ed25519.PrivateKey
	id      string
	epoch   uint64
	seq     uint64 // of the batch that was made last
	prev    [32]byte
	pending []sent // without a receipt, oldest first
	checked uint32 // receipts that came
}

// sent is a batch that is on its way.
type sent struct {
	seq      uint64
	hash     [32]byte
	envelope []byte
	dueNS    int64 // end of its last window
	atNS     int64 // when it was sent last
}

// newHost makes the key of a host from the seed, so that a swarm that is played
// again is the same hosts.
func newHost(seed uint64, i int) host {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:8], seed)
	binary.LittleEndian.PutUint64(b[8:], uint64(i))
	sum := sha256.Sum256(append([]byte("flopwatch/swarm-host/v1\x00"), b[:]...))
	key := ed25519.NewKeyFromSeed(sum[:])
	return host{key: key, id: attest.HostID(key.Public().(ed25519.PublicKey))}
}

// forger makes batches; it keeps its memory between them.
type forger struct {
	rows    []wire.DeviceRow
	windows []measure.Window
	entries []measure.Entry
	method  measure.Method
	idle    measure.Method
	watts   int64
}

func newForger(devices, windows int) forger {
	model, grade, _ := accel.Lookup(accel.Identity{Name: "NVIDIA H100 80GB HBM3", PCIID: "2330"})
	f := forger{
		rows: make([]wire.DeviceRow, devices), windows: make([]measure.Window, devices*windows), entries: make([]measure.Entry, devices*windows),
		method: measure.Method{Name: measure.GPM, Version: 1, Precision: "assumed_16bit", Grade: string(grade)},
		idle:   measure.Method{Name: measure.NoMethod}, watts: max(int64(model.TDPWatts), 1),
	}
	for d := range f.rows {
		f.rows[d] = wire.DeviceRow{
			Device: measure.Device{Name: "NVIDIA H100 80GB HBM3", PCIID: "2330", CC: "9.0", SMCount: 132, MaxSMMHz: 1980, MemoryMiB: 81559},
			SKU:    model.SKU, Grade: string(grade), Peak: model.TrainingPeak(), Ceiling: model.Ceiling(),
		}
	}
	return f
}

// forge makes, signs and chains the next batch of a host and adds what it says to
// the totals.
func (s *Swarm) forge(h *host, i, n int) ([]byte, error) {
	f := &s.forger
	if f.rows == nil {
		*f = newForger(s.cfg.Devices, s.cfg.Windows)
	}
	job := s.plan.jobOf(i)
	for d := range f.rows {
		f.rows[d].ID = deviceID(s.cfg.Seed, i, d)
	}
	start := s.dueNS(i, n) - int64(s.period())
	seconds := int64(s.cfg.Window / time.Second)
	at := 0
	for w := range s.cfg.Windows {
		from := start + int64(w)*int64(s.cfg.Window)
		for d := range f.rows {
			e := &f.entries[at]
			dice := mix(s.cfg.Seed ^ uint64(i)<<24 ^ uint64(d)<<16 ^ uint64(n*s.cfg.Windows+w)<<40)
			*e = measure.Entry{State: measure.Idle, Method: f.idle, Duration: s.cfg.Window, EnergyMJ: (90_000 + int64(dice%4_000)) * seconds, Ceiling: f.rows[d].Peak.Over(s.cfg.Window, compute.Nearest)}
			if job != nil {
				// Between 35 and 45 % of the peak, as published training runs are.
				best := int64(e.Ceiling) / 1000 * int64(350+dice%100)
				e.State, e.Workload, e.Tenant, e.Method = measure.Attributed, job.workload, job.tenant, f.method
				e.Operations = compute.Bounds{Low: compute.Operations(best / 10 * 9), Best: compute.Operations(best), High: compute.Operations(best / 10 * 11)}
				e.FloatTensor = compute.Operations(best)
				e.EnergyMJ = f.watts * 10 * int64(80+dice>>32%15) * seconds
			}
			f.windows[at] = measure.Window{Device: f.rows[d].ID, StartNS: from, EndNS: from + int64(s.cfg.Window), Entries: f.entries[at : at+1]}
			s.totals.add(e)
			if job != nil {
				job.did = job.did.Add(e.Operations.Best)
			}
			at++
		}
	}
	if job != nil && s.cfg.Cross > 0 && job.did >= s.cfg.Cross && !job.crossed {
		job.crossed = true
		s.crossings = append(s.crossings, Crossing{Tenant: string(job.tenant), Workload: job.workload.ID, EndNS: s.dueNS(i, n)})
	}
	b := &wire.Batch{
		Header: wire.Header{Version: wire.Version, Host: h.id, Epoch: h.epoch, Seq: h.seq + 1, PrevHash: h.prev, BootID: h.id[:8],
			FirstNS: start, LastNS: start + int64(s.period()), Receipts: wire.ReceiptsTogether},
		Facts:   wire.HostFacts{Name: fmt.Sprintf("node-%06d", i), OS: "linux", Kernel: "6.12", AgentVersion: s.cfg.AgentName, Attribution: "bpf"},
		Devices: f.rows, Windows: f.windows,
	}
	// A real fleet's times go by the time since boot; the hosts booted an hour before.
	b.WallNS = b.LastNS
	if s.cfg.Real {
		b.ClockNS = s.origin - int64(time.Hour)
		b.WallNS = time.Now().UnixNano()
	}
	b.BoottimeNS = b.WallNS - b.ClockNS
	if !s.cfg.Real {
		b.BoottimeNS = b.LastNS - s.origin + int64(time.Hour)
	}
	body, err := wire.Encode(b)
	if err != nil {
		return nil, err
	}
	envelope := attest.Seal(h.key, attest.DomainBatch, body)
	h.seq++
	h.prev = attest.Hash(envelope)
	return envelope, nil
}

// deviceID is a name as the driver gives devices.
func deviceID(seed uint64, host, device int) measure.DeviceID {
	const digits = "0123456789abcdef"
	a, b := mix(seed+uint64(host)*64+uint64(device)), mix(^seed+uint64(host)*64+uint64(device))
	out := make([]byte, 0, 40)
	out = append(out, "GPU-"...)
	for n := range 32 {
		if n == 8 || n == 12 || n == 16 || n == 20 {
			out = append(out, '-')
		}
		half := a
		if n >= 16 {
			half = b
		}
		out = append(out, digits[half>>(n%16*4)&15])
	}
	return measure.DeviceID(out)
}

// mix is a number that looks random for each x (splitmix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Totals is what the batches say, to be held against the ledger.
type Totals struct {
	DeviceWindows int64              `json:"device_windows"`
	AttributedNS  int64              `json:"attributed_ns"`
	IdleNS        int64              `json:"idle_ns"`
	Low           compute.Operations `json:"-"`
	Best          compute.Operations `json:"-"`
	High          compute.Operations `json:"-"`
	EnergyMJ      int64              `json:"energy_mj"`
}

func (t *Totals) add(e *measure.Entry) {
	t.DeviceWindows++
	if e.State == measure.Idle {
		t.IdleNS += int64(e.Duration)
	} else {
		t.AttributedNS += int64(e.Duration)
	}
	t.Low, t.Best, t.High = t.Low.Add(e.Operations.Low), t.Best.Add(e.Operations.Best), t.High.Add(e.Operations.High)
	t.EnergyMJ += e.EnergyMJ
}

// histogram counts lags in steps of a twentieth of a power of two.
type histogram struct {
	bins [1024]int64
	n    int64
	most time.Duration
}

func (h *histogram) add(d time.Duration) {
	h.n++
	h.most = max(h.most, d)
	h.bins[min(int(20*math.Log2(float64(max(d, time.Microsecond))/1e3)), len(h.bins)-1)]++
}

// quantile returns the lag that a share of the values does not pass, within 4 %.
func (h *histogram) quantile(q float64) time.Duration {
	want := int64(math.Ceil(q * float64(h.n)))
	for i, n := range h.bins {
		if want -= n; want <= 0 && h.n > 0 {
			return min(h.most, time.Duration(1e3*math.Exp2(float64(i+1)/20)))
		}
	}
	return h.most
}
