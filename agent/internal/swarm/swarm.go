// Package swarm plays a made-up fleet of any size over the real wire, so that a
// collector can be measured by what it will meet.
//
// A host of a swarm is real where the collector looks: it has a key of its own,
// numbers and chains its batches, signs each, and sends what no receipt confirmed
// again. Only its devices are made up: what they did in a window is a function of
// the seed, the host, the device and the window. All hosts share one connection.
package swarm

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/wire"
)

// Config of a swarm. URL, Hosts, Devices, Window, Windows and Batches must be set.
type Config struct {
	URL          string
	NATS         []nats.Option
	CollectorKey ed25519.PublicKey

	Hosts   int
	Devices int           // of each host
	Window  time.Duration // length of a window
	Windows int           // of each device in one batch
	Batches int           // that each host sends
	Real    bool          // as time passes; otherwise as fast as the collector takes them
	Aligned bool          // all hosts close their windows at the same instant, not one after the other
	Sizes   Sizes         // how large the workloads are
	Tenants int           // that the workloads belong to
	Seed    uint64
	// Cross is operations at which the report says when each workload reached them, 0
	// for none.
	Cross compute.Operations
	EndNS int64 // end of the last window when it is not real, Unix
	// MaxWaiting bounds the bytes that are sent and not receipted, 256 MiB if 0, 16 MiB
	// when as fast as possible. Hosts would keep them on their disks.
	MaxWaiting int64
	RetryAfter time.Duration // without a receipt until a host sends again, 30 s if 0
	AgentName  string        // version that hosts say they run
	Log        *slog.Logger
	Progress   io.Writer // a line every few seconds, nil for none
}

// Swarm is a fleet that Run plays once.
type Swarm struct {
	cfg    Config
	plan   *plan
	origin int64 // start of the first window of the first host, Unix nanoseconds
	began  time.Time
	conn   *nats.Conn
	forger forger
	totals Totals

	crossings []Crossing

	mu      sync.Mutex // guards what receipts change
	hosts   []host
	byID    map[string]int32
	waiting int64 // bytes
	unsent  int   // batches without a receipt
	lag     histogram
	room    chan struct{}
	counts  Counts
	fault   error
	// When the last receipt came, and when the newest batch of those that have one was
	// sent.
	heardNS, reachedNS int64
}

// Counts is what passed over the wire.
type Counts struct {
	Batches       int64 `json:"batches"`
	Bytes         int64 `json:"bytes"` // of envelopes, each counted once
	Resent        int64 `json:"resent"`
	Receipts      int64 `json:"receipts"`
	Verified      int64 `json:"receipts_verified"`
	WaitingMaxKiB int64 `json:"waiting_max_kib"`
}

// Crossing is the first batch with which a workload reached Config.Cross, by the best
// estimate.
type Crossing struct {
	Tenant   string `json:"tenant"`
	Workload string `json:"workload"`
	EndNS    int64  `json:"end_ns"` // of the batch's last window
}

// New prepares the hosts and their keys.
func New(cfg Config) (*Swarm, error) {
	if cfg.URL == "" || cfg.Hosts < 1 || cfg.Hosts > 10_000_000 || cfg.Devices < 1 || cfg.Devices > wire.MaxDevices || cfg.Window < time.Second ||
		cfg.Windows < 1 || cfg.Windows*cfg.Devices > wire.MaxWindows || cfg.Batches < 1 {
		return nil, errors.New("swarm: needs a broker, hosts, devices, windows of a second or more, and batches that can be sent")
	}
	if cfg.MaxWaiting <= 0 {
		cfg.MaxWaiting = 16 << 20
		if cfg.Real {
			cfg.MaxWaiting = 256 << 20
		}
	}
	if cfg.RetryAfter <= 0 {
		cfg.RetryAfter = 30 * time.Second
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Swarm{cfg: cfg, byID: make(map[string]int32, cfg.Hosts), hosts: make([]host, cfg.Hosts), room: make(chan struct{}, 1)}
	s.plan = newPlan(cfg)
	for i := range s.hosts {
		s.hosts[i] = newHost(cfg.Seed, i)
		s.byID[s.hosts[i].id] = int32(i)
	}
	return s, nil
}

// period is the time that one batch covers.
func (s *Swarm) period() time.Duration { return s.cfg.Window * time.Duration(s.cfg.Windows) }

// phase is how much later than the first host a host closes its windows.
func (s *Swarm) phase(host int) time.Duration {
	if s.cfg.Aligned {
		return 0
	}
	return time.Duration(int64(s.period()) / int64(s.cfg.Hosts) * int64(host))
}

// Run sends everything and waits until all of it is receipted. When ctx ends it
// stops where it is; the report then says what was sent.
func (s *Swarm) Run(ctx context.Context) (Report, error) {
	if err := s.connect(); err != nil {
		return Report{}, err
	}
	defer s.conn.Close()
	s.began = time.Now()
	s.heardNS = s.began.UnixNano()
	whole := s.period() * time.Duration(s.cfg.Batches)
	if s.cfg.Real {
		s.origin = s.began.UnixNano() - int64(s.period()) // the first windows end now
	} else {
		s.origin = s.cfg.EndNS - int64(whole) - int64(s.period())
	}
	epoch := uint64(s.began.Unix())
	for i := range s.hosts {
		s.hosts[i].epoch = epoch
	}
	stop := make(chan struct{})
	var beside sync.WaitGroup
	beside.Go(func() { s.tend(ctx, stop) })
	err := s.send(ctx)
	if err == nil {
		err = s.drain(ctx)
	}
	close(stop)
	beside.Wait()
	return s.report(), err
}

// send makes the batches of all hosts in the order in which they fall due.
func (s *Swarm) send(ctx context.Context) error {
	for n := range s.cfg.Batches {
		for i := range s.hosts {
			due := s.dueNS(i, n)
			if s.cfg.Real {
				if wait := time.Until(time.Unix(0, due)); wait > 0 {
					// What is due soon is sent together: a timer for each would cost more.
					if err := sleep(ctx, max(wait, 5*time.Millisecond)); err != nil {
						return err
					}
				}
			}
			if err := s.makeRoom(ctx); err != nil {
				return err
			}
			h := &s.hosts[i]
			envelope, err := s.forge(h, i, n)
			if err != nil {
				return fmt.Errorf("swarm: batch %d of host %d: %w", n+1, i, err)
			}
			s.mu.Lock()
			h.pending = append(h.pending, sent{seq: h.seq, hash: h.prev, envelope: envelope, dueNS: due, atNS: time.Now().UnixNano()})
			s.waiting += int64(len(envelope))
			s.unsent++
			s.counts.Batches++
			s.counts.Bytes += int64(len(envelope))
			s.counts.WaitingMaxKiB = max(s.counts.WaitingMaxKiB, s.waiting>>10)
			s.mu.Unlock()
			if err := s.publish(h, envelope); err != nil {
				return err
			}
		}
	}
	return nil
}

// dueNS is the end of the last window of a batch of a host.
func (s *Swarm) dueNS(host, batch int) int64 {
	return s.origin + int64(s.phase(host)) + int64(s.period())*int64(batch+1)
}

// makeRoom waits while too much is without a receipt.
func (s *Swarm) makeRoom(ctx context.Context) error {
	for {
		s.mu.Lock()
		full, fault := s.waiting > s.cfg.MaxWaiting, s.fault
		s.mu.Unlock()
		if fault != nil || !full {
			return fault
		}
		select {
		case <-s.room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// drain waits until nothing is without a receipt.
func (s *Swarm) drain(ctx context.Context) error {
	for {
		s.mu.Lock()
		left, fault := s.unsent, s.fault
		s.mu.Unlock()
		if fault != nil || left == 0 {
			return fault
		}
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("swarm: %d batches have no receipt: %w", left, err)
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
