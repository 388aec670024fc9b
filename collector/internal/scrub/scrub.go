// Package scrub reads evidence again and holds it against its signatures, its
// chains and what the database says was counted. It names every batch that is
// not there as it came.
//
// A file whose frames are damaged is read on behind the damage. What was there is
// then known by its absence: the chain of one host has a hole at that place.
package scrub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/flopwatch/flopwatch/pkg/attest"
	"github.com/flopwatch/flopwatch/pkg/evidence"
	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/wire"
)

// maxDamages bounds what is told of one pass.
const maxDamages = 1000

// Damage is a place of the evidence that does not hold what was counted there.
type Damage struct {
	Day    string // of the file, YYYY-MM-DD; "" where the place is not known
	Offset int64  // in the file
	// The batches that are damaged or missing, as far as they can be told: those
	// of the host from First to Last, both in it. Host is "" where nothing tells.
	Host        ledger.HostID
	First, Last Number
	What        string
}

// Number is the number of a batch in the chain of its host.
type Number struct{ Epoch, Seq uint64 }

// String returns the damage in words.
func (d Damage) String() string {
	place := "evidence"
	if d.Day != "" {
		place = fmt.Sprintf("evidence of %s at byte %d", d.Day, d.Offset)
	}
	switch {
	case d.Host == "":
		return fmt.Sprintf("%s: %s; no host lacks a batch there", place, d.What)
	case d.First == d.Last:
		return fmt.Sprintf("%s: %s: batch %d/%d of host %s", place, d.What, d.First.Epoch, d.First.Seq, d.Host)
	}
	return fmt.Sprintf("%s: %s: batches %d/%d to %d/%d of host %s", place, d.What, d.First.Epoch, d.First.Seq, d.Last.Epoch, d.Last.Seq, d.Host)
}

// Report is what one pass found.
type Report struct {
	Batches int64
	Bytes   int64
	Breaks  int // places where a host began anew without its past; each was noted when it was counted
	Damages []Damage
	More    int // damages that are not listed
}

// place is where a frame lies; files are numbered in order.
type place struct {
	file   int
	offset int64
}

func (p place) before(q place) bool {
	return p.file < q.file || p.file == q.file && p.offset < q.offset
}

// link is the newest batch of a host that was read.
type link struct {
	ledger.Position
	at place
}

// region is what could not be read.
type region struct {
	at   place
	day  string
	what string
}

// hole is where a chain lacks batches: somewhere between two places.
type hole struct {
	host        ledger.HostID
	first, last Number
	from, to    place
	sure        bool // numbers are missing, and not only a hash
}

// Pass is one reading of all evidence, oldest file first.
type Pass struct {
	files   int
	hosts   map[ledger.HostID]link
	regions []region
	holes   []hole
	report  Report
	buf     []byte
}

// NewPass returns a pass that has read nothing.
func NewPass() *Pass { return &Pass{hosts: map[ledger.HostID]link{}} }

// Read reads the committed length of the file of one day. Before it reads on it
// calls pace with the bytes that it read, which may wait; nil never waits. An
// error is one of reading, not of what was read.
func (p *Pass) Read(ctx context.Context, day string, file io.ReaderAt, length int64, pace func(ctx context.Context, bytes int64) error) error {
	p.files++
	for at := int64(0); at < length; {
		envelope, err := evidence.FrameAt(file, at, length, p.buf)
		next := at + evidence.FrameHeader + int64(len(envelope))
		what := ""
		switch {
		case err == nil:
			p.buf = envelope
			what = p.take(day, envelope, place{p.files, at})
		case errors.Is(err, evidence.ErrDamaged), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			what = "a damaged frame"
			if next, err = evidence.Resume(file, at, length); err != nil {
				return fmt.Errorf("read evidence of %s at %d: %w", day, at, err)
			}
		default:
			return fmt.Errorf("read evidence of %s at %d: %w", day, at, err)
		}
		if what != "" {
			p.regions = append(p.regions, region{place{p.files, at}, day, what})
		}
		p.report.Bytes += next - at
		if pace != nil {
			if err := pace(ctx, next-at); err != nil {
				return err
			}
		}
		at = next
	}
	return nil
}

// Missing notes that the file of a day is not there.
func (p *Pass) Missing(day string) {
	p.files++
	p.regions = append(p.regions, region{place{p.files, 0}, day, "the file is missing"})
}

// take puts a batch into the chain of its host and says what is wrong with it,
// "" for nothing.
func (p *Pass) take(day string, envelope []byte, at place) string {
	_, body, err := attest.Open(attest.DomainBatch, envelope)
	if err != nil {
		return err.Error()
	}
	h, err := wire.DecodeHeader(body)
	if err != nil {
		return err.Error()
	}
	p.report.Batches++
	host, now := ledger.HostID(h.Host), ledger.Position{Epoch: h.Epoch, Seq: h.Seq, Hash: h.Chain(attest.Hash(envelope))}
	before := p.hosts[host]
	switch before.JudgeRange(h.Epoch, h.First(), h.Seq, h.PrevHash, now.Hash) {
	case ledger.Next:
	case ledger.Duplicate:
		return fmt.Sprintf("batch %d/%d of host %s a second time", h.Epoch, h.Seq, host)
	case ledger.Equivocation:
		return fmt.Sprintf("another batch %d/%d of host %s", h.Epoch, h.Seq, host)
	case ledger.ChainBreak, ledger.Orphan:
		p.report.Breaks++
		if before.Epoch != 0 || h.PrevHash != [32]byte{} {
			p.lack(host, before, Number{before.Epoch, before.Seq + 1}, at, false)
		}
	case ledger.Missing:
		last := Number{h.Epoch, h.Seq - 1}
		p.lack(host, before, last, at, true)
	}
	p.hosts[host] = link{now, at}
	return ""
}

// lack notes that a host lacks what comes after before, up to last.
func (p *Pass) lack(host ledger.HostID, before link, last Number, to place, sure bool) {
	first := Number{before.Epoch, before.Seq + 1}
	if before.Epoch != last.Epoch {
		first = Number{last.Epoch, 1}
	}
	p.holes = append(p.holes, hole{host, first, last, before.at, to, sure})
}

// Report ends the pass. counted says how far the chain of each host is counted,
// as of the same instant as the lengths that were read.
func (p *Pass) Report(counted map[ledger.HostID]ledger.Position) Report {
	end := place{p.files + 1, 0}
	for _, host := range slices.Sorted(maps.Keys(counted)) {
		was, want := p.hosts[host], counted[host]
		if was.Position != want && want.Epoch != 0 {
			p.lack(host, was, Number{want.Epoch, want.Seq}, end, true)
		}
	}
	used := make([]bool, len(p.holes))
	for _, r := range p.regions {
		d := Damage{Day: r.day, Offset: r.at.offset, What: r.what}
		for i, h := range p.holes {
			if h.from.before(r.at) && r.at.before(h.to) {
				used[i] = true
				if d.Host == "" {
					d.Host, d.First, d.Last = h.host, h.first, h.last
				} else { // one region that swallowed frames of several hosts
					p.tell(Damage{Day: r.day, Offset: r.at.offset, Host: h.host, First: h.first, Last: h.last, What: r.what})
				}
			}
		}
		p.tell(d)
	}
	for i, h := range p.holes {
		if h.sure && !used[i] {
			p.tell(Damage{Host: h.host, First: h.first, Last: h.last, What: "counted and not there"})
		}
	}
	slices.SortStableFunc(p.report.Damages, func(a, b Damage) int {
		return cmp.Or(cmp.Compare(a.Day, b.Day), cmp.Compare(a.Offset, b.Offset), cmp.Compare(a.Host, b.Host))
	})
	return p.report
}

func (p *Pass) tell(d Damage) {
	if len(p.report.Damages) >= maxDamages {
		p.report.More++
		return
	}
	p.report.Damages = append(p.report.Damages, d)
}
