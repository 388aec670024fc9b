package bundle

import (
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/flopwatch/flopwatch/pkg/allocation"
	"github.com/flopwatch/flopwatch/pkg/attest"
	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/evidence"
	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/measure"
	"github.com/flopwatch/flopwatch/pkg/wire"
)

// Folded is what the signed batches add up to.
type Folded struct {
	Batches, Windows int64
	Uncounted        int64 // batches among them that are in no total, and
	UncountedWindows int64
	Breaks           []string // where a host's chain does not follow
	Runs             []Totals // in the order of the claims
}

// Totals are those of one run.
type Totals struct {
	Empirical, Theoretical compute.Bounds
}

// errChain means that a batch is not where its host's chain has a place for it.
var errChain = errors.New("does not continue its host's chain")

// folder folds the batches of hosts, each host by one worker, with the ledger
// that the collector counts with.
type folder struct {
	hosts   map[string]*hostFold // by key
	workers []chan envelope
	wait    sync.WaitGroup
	mu      sync.Mutex
	err     error
}

type envelope struct {
	host  *hostFold
	bytes []byte
}

// hostFold is the ledger of one host.
type hostFold struct {
	id      ledger.HostID
	skipped map[[32]byte]bool
	clocks  []shift // still to come
	shiftNS int64
	book    *ledger.Ledger
	parts   []runPart
	worker  int
	totals  map[int]*Totals // by run
	batches int64
	windows int64
	left    [2]int64 // batches and windows that are in no total
	breaks  []string
	segs    map[int64]ledger.Segment
}

// shift is what is added to times from a position of the chain on.
type shift struct {
	at ledger.Position
	ns int64
}

type runPart struct {
	run      int
	tenant   measure.TenantID
	workload measure.Workload
	from, to int64
}

func newFolder(fleet Fleet, claims []Run) (*folder, error) {
	f := &folder{hosts: map[string]*hostFold{}}
	var all []allocation.Allocation
	for _, a := range fleet.Allocations {
		one, err := a.read()
		if err != nil {
			return nil, fmt.Errorf("allocation %.40q: %w", a.ID, err)
		}
		all = append(all, one)
	}
	byID := map[string]*hostFold{}
	workers := max(1, runtime.GOMAXPROCS(0))
	for i, h := range fleet.Hosts {
		hf := &hostFold{id: ledger.HostID(h.ID), skipped: map[[32]byte]bool{}, book: ledger.New(), worker: i % workers, totals: map[int]*Totals{}, segs: map[int64]ledger.Segment{}}
		if len(all) > 0 {
			hf.book.SetAllocations(allocation.NewTable(all))
		}
		for _, text := range h.Placeholders {
			var sum [32]byte
			if n, err := hex.Decode(sum[:], []byte(text)); err != nil || n != len(sum) {
				return nil, fmt.Errorf("host %.40q: placeholder is no SHA-256", h.ID)
			}
			hf.skipped[sum] = true
		}
		for _, c := range h.Clocks {
			ns, err := strconv.ParseInt(c.ShiftNS, 10, 64)
			if err != nil {
				return nil, fmt.Errorf("host %.40q: shift %.40q is no time", h.ID, c.ShiftNS)
			}
			hf.clocks = append(hf.clocks, shift{ledger.Position{Epoch: c.Epoch, Seq: c.Seq}, ns})
		}
		for _, k := range h.Keys {
			if f.hosts[k] != nil {
				return nil, fmt.Errorf("one key is that of two hosts")
			}
			f.hosts[k] = hf
		}
		byID[h.ID] = hf
	}
	for i, run := range claims {
		for _, p := range run.Parts {
			hf := byID[p.Host]
			if hf == nil {
				return nil, fmt.Errorf("run %.40q has a part on host %.40q, of which there is no evidence", run.ID, p.Host)
			}
			part := runPart{run: i, tenant: measure.TenantID(run.Tenant), workload: measure.Workload{Kind: measure.WorkloadKind(p.Kind), ID: p.Workload, Hint: p.Hint}}
			var err error
			if part.from, err = nanoseconds(p.FromNS); err == nil {
				part.to, err = nanoseconds(p.ToNS)
			}
			if err != nil {
				return nil, fmt.Errorf("run %.40q: %w", run.ID, err)
			}
			hf.parts = append(hf.parts, part)
		}
	}
	for range workers {
		c := make(chan envelope, 64)
		f.workers = append(f.workers, c)
		f.wait.Go(func() {
			for e := range c {
				if err := e.host.count(e.bytes); err != nil {
					f.fail(err)
				}
			}
		})
	}
	return f, nil
}

func (f *folder) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = err
	}
}

// add folds a file of frames.
func (f *folder) add(r io.Reader) error {
	for frame, err := range evidence.Frames(r) {
		if err != nil {
			return err
		}
		key, ok := evidence.KeyOf(frame)
		if !ok {
			return errors.New("a frame is no envelope")
		}
		host := f.hosts[hex.EncodeToString(key)]
		if host == nil {
			return fmt.Errorf("a batch is signed by %s, which is no host of this bundle", attest.HostID(key))
		}
		f.workers[host.worker] <- envelope{host, slices.Clone(frame)}
	}
	return nil
}

// end waits for the workers and returns what all adds up to.
func (f *folder) end(claims []Run) (Folded, error) {
	for _, c := range f.workers {
		close(c)
	}
	f.wait.Wait()
	out := Folded{Runs: make([]Totals, len(claims))}
	seen := map[*hostFold]bool{}
	for _, h := range f.hosts {
		if seen[h] {
			continue
		}
		seen[h] = true
		h.settle(true)
		out.Batches += h.batches
		out.Windows += h.windows
		out.Uncounted += h.left[0]
		out.UncountedWindows += h.left[1]
		out.Breaks = append(out.Breaks, h.breaks...)
		for run, t := range h.totals {
			out.Runs[run].Empirical = out.Runs[run].Empirical.Add(t.Empirical)
			out.Runs[run].Theoretical = out.Runs[run].Theoretical.Add(t.Theoretical)
		}
	}
	slices.Sort(out.Breaks)
	return out, f.err
}

// count verifies one batch and counts it as the collector did.
func (h *hostFold) count(bytes []byte) error {
	key, body, err := attest.Open(attest.DomainBatch, bytes)
	if err != nil {
		return fmt.Errorf("host %s: %w", h.id, err)
	}
	b, err := wire.Decode(body)
	if err != nil {
		return fmt.Errorf("host %s: %w", h.id, err)
	}
	if b.Host != string(h.id) {
		return fmt.Errorf("host %s: a batch speaks for %.40q", h.id, b.Host)
	}
	hash := attest.Hash(bytes)
	at := fmt.Sprintf("host %s, batch %d/%d", h.id, b.Epoch, b.Seq)
	chain := b.Chain(hash)
	switch v := h.book.Position(h.id).JudgeRange(b.Epoch, b.First(), b.Seq, b.PrevHash, chain); v {
	case ledger.Next:
	case ledger.ChainBreak, ledger.Orphan:
		h.breaks = append(h.breaks, at+": "+strings.ReplaceAll(v.String(), "_", " "))
	default:
		return fmt.Errorf("%s is %s: %w", at, v, errChain)
	}
	h.batches++
	h.windows += int64(len(b.Windows))
	entry := evidence.Batch(h.id, ed25519.PublicKey(key), chain, b)
	for len(h.clocks) > 0 && !later(h.clocks[0].at, entry.Position) {
		h.shiftNS, h.clocks = h.clocks[0].ns, h.clocks[1:]
	}
	entry.Shift(h.shiftNS)
	_ = entry.Sift() // what it takes out is not counted, as in the collector
	if h.skipped[hash] || h.book.Apply(entry) != nil {
		// It keeps its place and nothing else, as in the collector.
		h.left[0]++
		h.left[1] += int64(len(b.Windows))
		entry.Windows, entry.Devices = nil, nil
		if err := h.book.Apply(entry); err != nil {
			return fmt.Errorf("%s: %w", at, err)
		}
	}
	h.settle(false)
	return nil
}

// later says whether a position of a chain is after another.
func later(a, b ledger.Position) bool {
	return a.Epoch > b.Epoch || a.Epoch == b.Epoch && a.Seq > b.Seq
}

// settle takes what the ledger gives out. A segment is added up when it can no
// longer grow, or at the end.
func (h *hostFold) settle(end bool) {
	c := h.book.Take()
	for _, s := range slices.Concat(c.Opened, c.Extended) {
		h.segs[s.ID] = s
	}
	if !end && len(h.segs) < 4096 {
		return
	}
	last := map[measure.DeviceID]int64{}
	for _, s := range h.segs {
		last[s.Key.Device] = max(last[s.Key.Device], s.EndNS)
	}
	for id, s := range h.segs {
		if end || s.EndNS < last[s.Key.Device] {
			h.sum(s)
			delete(h.segs, id)
		}
	}
}

func (h *hostFold) sum(s ledger.Segment) {
	if s.Key.State != measure.Attributed && s.Key.State != measure.Unobserved {
		return
	}
	for _, p := range h.parts {
		if s.Key.Tenant != p.tenant || s.Key.Workload != p.workload || s.StartNS < p.from || s.EndNS > p.to {
			continue
		}
		t := h.totals[p.run]
		if t == nil {
			t = &Totals{}
			h.totals[p.run] = t
		}
		if s.Key.State == measure.Unobserved || s.Key.Method.Theoretical() {
			t.Theoretical = t.Theoretical.Add(s.Operations)
		} else {
			t.Empirical = t.Empirical.Add(s.Operations)
		}
		return // no segment is of two parts, whatever spans they have
	}
}
