package store

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/classify"
	"github.com/flopwatch/flopwatch/pkg/allocation"
	"github.com/flopwatch/flopwatch/pkg/attest"
	"github.com/flopwatch/flopwatch/pkg/audit"
	"github.com/flopwatch/flopwatch/pkg/bundle"
	"github.com/flopwatch/flopwatch/pkg/canonical"
	framing "github.com/flopwatch/flopwatch/pkg/evidence"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// Sealed is what the store puts into a bundle.
type Sealed struct {
	Claims     []bundle.Run
	Fleet      bundle.Fleet
	Proofs     []bundle.Proof
	Checkpoint string
	Evidence   []bundle.Content
}

// Seal gathers what a bundle about runs holds: what they are counted as and made
// of, the evidence of their hosts, and the proofs that the audit log, up to its
// newest checkpoint, holds the objects.
func (r *Reader) Seal(ctx context.Context, runs []string, objects []audit.Object) (Sealed, error) {
	var out Sealed
	keys := map[string]bool{}
	var committed map[string]int64
	err := r.view(ctx, "bundle", func(tx *sql.Tx) error {
		if err := claims(ctx, tx, r.store.opts.Now(), runs, &out); err != nil {
			return err
		}
		if err := fleetOf(ctx, tx, &out, keys); err != nil {
			return err
		}
		if err := proofs(ctx, tx, objects, &out); err != nil {
			return err
		}
		committed = map[string]int64{}
		return each(ctx, tx, func(rows *sql.Rows) error {
			var day string
			var n int64
			err := rows.Scan(&day, &n)
			committed[day] = n
			return err
		}, "SELECT day, bytes FROM evidence")
	})
	if err != nil {
		return Sealed{}, err
	}
	days := make([]string, 0, len(committed))
	for day := range committed {
		days = append(days, day)
	}
	slices.Sort(days)
	for _, day := range days {
		f := evidenceOf{filepath.Join(r.store.evidence.dir, day+fileSuffix), committed[day], keys}
		any, err := f.any()
		if err != nil {
			return Sealed{}, fmt.Errorf("read evidence of %s: %w", day, err)
		}
		if any {
			out.Evidence = append(out.Evidence, bundle.Content{Name: "evidence/" + day + fileSuffix, Open: f.open})
		}
	}
	return out, nil
}

func claims(ctx context.Context, tx *sql.Tx, now time.Time, runs []string, out *Sealed) error {
	weights, err := weightsInForce(ctx, tx, now)
	if err != nil {
		return err
	}
	var watermark int64
	if err := tx.QueryRowContext(ctx, "SELECT value FROM meta WHERE key = 'watermark_ns'").Scan(&watermark); err != nil {
		return fmt.Errorf("read meta: %w", err)
	}
	read := map[string]tenantRuns{}
	for _, id := range runs {
		var tenant string
		err := tx.QueryRowContext(ctx, "SELECT tenant FROM run WHERE id = ?", id).Scan(&tenant)
		if errors.Is(err, sql.ErrNoRows) {
			return ErrNoRun
		}
		if err != nil {
			return err
		}
		all, ok := read[tenant]
		if !ok {
			if all, err = readRuns(ctx, tx, measure.TenantID(tenant), watermark, judgement{weights, classify.Shipped()}); err != nil {
				return err
			}
			read[tenant] = all
		}
		for _, row := range all.runs {
			if row.id != id {
				continue
			}
			claim := bundle.Run{ID: id, Tenant: tenant, Empirical: bundle.BoundsOf(row.sums.empirical), Theoretical: bundle.BoundsOf(row.sums.theoretical)}
			for _, s := range all.stretches[id] {
				claim.Parts = append(claim.Parts, bundle.Part{Host: s.Host, Kind: string(s.Workload.Kind), Workload: s.Workload.ID, Hint: s.Workload.Hint,
					FromNS: fmt.Sprint(s.StartNS), ToNS: fmt.Sprint(s.EndNS)})
			}
			out.Claims = append(out.Claims, claim)
		}
	}
	return nil
}

// fleetOf adds the hosts of the claims, with the keys that they signed with, and
// the allocations that concern them.
func fleetOf(ctx context.Context, tx *sql.Tx, out *Sealed, keys map[string]bool) error {
	wanted := map[string]bool{}
	for _, c := range out.Claims {
		for _, p := range c.Parts {
			wanted[p.Host] = true
		}
	}
	byID := map[string]*bundle.Host{}
	var ids []string
	err := each(ctx, tx, func(rows *sql.Rows) error {
		var id, name string
		var key []byte
		if err := rows.Scan(&id, &name, &key); err != nil || !wanted[id] {
			return err
		}
		byID[id] = &bundle.Host{ID: id, Name: name, Keys: []string{hex.EncodeToString(key)}}
		ids = append(ids, id)
		return nil
	}, "SELECT id, name, public_key FROM host ORDER BY id")
	if err != nil {
		return err
	}
	err = each(ctx, tx, func(rows *sql.Rows) error {
		var key, host string
		if err := rows.Scan(&key, &host); err != nil {
			return err
		}
		// Keys of the broker stand there too; those that sign are 64 digits.
		if h := byID[host]; h != nil && len(key) == 64 && !slices.Contains(h.Keys, key) {
			h.Keys = append(h.Keys, key)
		}
		return nil
	}, "SELECT key, host FROM inventory_key ORDER BY key")
	if err != nil {
		return err
	}
	// Of batches that an older program did not count only those that are in quarantine
	// still are known.
	for _, query := range []string{"SELECT host, hash FROM uncounted ORDER BY host, hash", "SELECT host, envelope FROM quarantine WHERE reason IN ('future', 'past') ORDER BY id"} {
		err = each(ctx, tx, func(rows *sql.Rows) error {
			var host string
			var data []byte
			if err := rows.Scan(&host, &data); err != nil {
				return err
			}
			h := byID[host]
			if h == nil {
				return nil
			}
			if len(data) != sha256.Size {
				sum := attest.Hash(data)
				data = sum[:]
			}
			if hash := hex.EncodeToString(data); !slices.Contains(h.Placeholders, hash) {
				h.Placeholders = append(h.Placeholders, hash)
			}
			return nil
		}, query)
		if err != nil {
			return err
		}
	}
	err = each(ctx, tx, func(rows *sql.Rows) error {
		var host string
		var epoch, seq, shift int64
		if err := rows.Scan(&host, &epoch, &seq, &shift); err != nil {
			return err
		}
		if h := byID[host]; h != nil {
			h.Clocks = append(h.Clocks, bundle.Clock{Epoch: uint64(epoch), Seq: uint64(seq), ShiftNS: fmt.Sprint(shift)})
		}
		return nil
	}, "SELECT host, epoch, seq, shift_ns FROM clock_change ORDER BY host, epoch, seq")
	if err != nil {
		return err
	}
	for _, id := range ids {
		for _, k := range byID[id].Keys {
			keys[k] = true
		}
		out.Fleet.Hosts = append(out.Fleet.Hosts, *byID[id])
	}
	known, err := allocations(ctx, tx)
	if err != nil || len(known) == 0 {
		return err
	}
	all := slices.SortedFunc(maps.Values(known), func(a, b allocation.Allocation) int { return cmp.Compare(a.ID, b.ID) })
	table := allocation.NewTable(all)
	if !slices.ContainsFunc(out.Fleet.Hosts, func(h bundle.Host) bool { return table.Concerns(h.ID, h.Name) }) {
		return nil
	}
	for _, a := range all {
		out.Fleet.Allocations = append(out.Fleet.Allocations, bundle.AllocationOf(a))
	}
	return each(ctx, tx, func(rows *sql.Rows) error {
		var host string
		err := rows.Scan(&host)
		out.Fleet.Corrected = out.Fleet.Corrected || wanted[host]
		return err
	}, "SELECT DISTINCT h.id FROM piece p JOIN segment s ON s.id = p.segment AND s.start_ns = p.segment_start_ns JOIN device d ON d.no = s.device JOIN host h ON h.no = d.host")
}

// proofs adds the newest entry of each object under the newest checkpoint, with
// the rows that it is about.
func proofs(ctx context.Context, tx *sql.Tx, objects []audit.Object, out *Sealed) error {
	var size int64
	if err := tx.QueryRowContext(ctx, "SELECT size, note FROM audit_checkpoint ORDER BY size DESC LIMIT 1").Scan(&size, &out.Checkpoint); err != nil {
		return fmt.Errorf("read checkpoint: %w", err)
	}
	nodes := &tree{ctx: ctx, q: tx}
	for _, o := range objects {
		var leaf []byte
		err := tx.QueryRowContext(ctx, "SELECT leaf FROM audit_leaf WHERE kind = ? AND object = ? AND seq < ? ORDER BY seq DESC LIMIT 1", o.Kind, o.ID, size).Scan(&leaf)
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("the audit log holds no %s %s under its newest checkpoint", o.Kind, o.ID)
		}
		if err != nil {
			return err
		}
		e, err := audit.ParseLeaf(leaf)
		if err != nil {
			return err
		}
		inclusion, err := audit.ProveInclusion(size, e.Seq, nodes)
		if err != nil {
			return err
		}
		p := bundle.Proof{Leaf: leaf, About: o.Kind + " " + o.ID, Path: []string{}}
		for _, h := range inclusion.Path {
			p.Path = append(p.Path, hex.EncodeToString(h[:]))
		}
		kind, err := auditedKind(o.Kind)
		if err != nil {
			return err
		}
		err = kind.objects(ctx, tx, "WHERE id = ?", func(_ string, rows []map[string]any) error {
			for _, row := range rows {
				text, err := canonical.Marshal(row)
				if err != nil {
					return err
				}
				p.Rows = append(p.Rows, json.RawMessage(text))
			}
			return nil
		}, o.ID)
		if err != nil {
			return err
		}
		out.Proofs = append(out.Proofs, p)
	}
	return nil
}

// evidenceOf is what some keys signed in the committed part of a file of evidence.
type evidenceOf struct {
	path  string
	bytes int64
	keys  map[string]bool
}

// any reports whether there is a frame of the keys, by the heads of the frames.
func (e evidenceOf) any() (found bool, err error) {
	f, err := os.Open(e.path)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	head := make([]byte, framing.FrameHeader+attest.Overhead)
	for at := int64(0); at < e.bytes; {
		if _, err := f.ReadAt(head, at); err != nil {
			return false, fmt.Errorf("frame at %d: %w", at, err)
		}
		if key, ok := framing.KeyOf(head[framing.FrameHeader:]); ok && e.keys[hex.EncodeToString(key)] {
			return true, nil
		}
		at += framing.FrameHeader + int64(binary.LittleEndian.Uint32(head))
	}
	return false, nil
}

// open returns the frames of the keys, as they came.
func (e evidenceOf) open() (io.ReadCloser, error) {
	f, err := os.Open(e.path)
	if err != nil {
		return nil, err
	}
	next, stop := iter.Pull2(framing.Frames(io.LimitReader(f, e.bytes)))
	return &frameReader{file: f, next: next, stop: stop, keys: e.keys}, nil
}

type frameReader struct {
	file *os.File
	next func() ([]byte, error, bool)
	stop func()
	keys map[string]bool
	rest bytes.Buffer
}

func (r *frameReader) Read(p []byte) (int, error) {
	for r.rest.Len() == 0 {
		frame, err, ok := r.next()
		switch {
		case !ok:
			return 0, io.EOF
		case err != nil:
			return 0, err
		}
		if key, ok := framing.KeyOf(frame); ok && r.keys[hex.EncodeToString(key)] {
			r.rest.Write(framing.AppendFrame(nil, frame))
		}
	}
	return r.rest.Read(p)
}

func (r *frameReader) Close() error {
	r.stop()
	return r.file.Close()
}
