package collector

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/flopwatch/flopwatch/collector/internal/report"
	"github.com/flopwatch/flopwatch/collector/internal/report/output"
	"github.com/flopwatch/flopwatch/pkg/attest"
	"github.com/flopwatch/flopwatch/pkg/audit"
	"github.com/flopwatch/flopwatch/pkg/bundle"
	"github.com/flopwatch/flopwatch/pkg/canonical"
)

// Bundle writes the sealed bundle of a version of a report.
func (w reportwork) Bundle(ctx context.Context, id string, version int64, to io.Writer) error {
	r, f, err := w.reader.ReportVersion(ctx, id, version)
	if err != nil {
		return refusedReport(err)
	}
	if err := w.NoteRead(ctx, id); err != nil {
		return err
	}
	collector := attest.HostID(w.key.Public().(ed25519.PublicKey))
	origin := audit.Origin(collector)
	if _, err := w.store.SignAudit(ctx, origin, w.key, w.now()); err != nil {
		return err // the proofs are of what is under a checkpoint
	}
	objects := []audit.Object{{Kind: "report", ID: id}}
	if r.Case != "" {
		c, ok, err := w.reader.Case(ctx, r.Case)
		if err != nil {
			return err
		}
		if ok {
			objects = append(objects, audit.Object{Kind: "case", ID: c.ID})
			for _, finding := range c.Findings {
				objects = append(objects, audit.Object{Kind: "finding", ID: finding})
			}
		}
	}
	sealed, err := w.reader.Seal(ctx, runsOf(r), objects)
	if err != nil {
		return err
	}
	d, err := r.Document(f)
	if err != nil {
		return err
	}
	m := bundle.Manifest{Report: id, Version: r.Version, Content: d.Digest, Collector: collector, CollectorKey: hex.EncodeToString(w.key.Public().(ed25519.PublicKey)), Origin: origin,
		Form: bundle.Source{ID: f.ID, Version: f.Version, SHA256: hex.EncodeToString(f.Digest[:])}, Claims: sealed.Claims}
	var files []bundle.Content
	add := func(name string, content []byte) {
		files = append(files, bundle.Content{Name: name, Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }})
	}
	for _, format := range []string{"json", "html", "pdf", "xlsx", "csv"} {
		text, err := output.Write(d, format)
		if err != nil {
			return err
		}
		add("report."+format, text)
	}
	digest, err := packOf(r)
	if err != nil {
		return fmt.Errorf("bundle %s: %w", id, err)
	}
	p, pack, err := w.laws.source(ctx, digest)
	if err != nil {
		return fmt.Errorf("bundle %s: %w", id, err)
	}
	m.Pack = bundle.Source{ID: p.ID, Version: p.Version, SHA256: hex.EncodeToString(digest[:])}
	add(bundle.PackName, pack)
	add(bundle.FormName, f.Source())
	add(bundle.CheckpointName, []byte(sealed.Checkpoint))
	for _, part := range []struct {
		name string
		v    any
	}{{bundle.ProofsName, sealed.Proofs}, {bundle.FleetName, sealed.Fleet}} {
		text, err := canonical.Marshal(part.v)
		if err != nil {
			return fmt.Errorf("bundle %s: %s: %w", id, part.name, err)
		}
		add(part.name, text)
	}
	all, _, err := w.reader.Report(ctx, id)
	if err != nil {
		return err
	}
	for _, file := range all.Files {
		_, content, ok, err := w.reader.ReportFileContent(ctx, id, file.ID)
		if err != nil || !ok {
			return fmt.Errorf("bundle %s: file %s: %w", id, file.ID, err)
		}
		add("attachments/"+file.ID, content)
	}
	return bundle.Write(to, m, append(files, sealed.Evidence...), w.key)
}

// runsOf returns the runs that a report is about.
func runsOf(r report.Report) []string {
	v := r.Values["run.existence"]
	if v.Table == nil {
		return nil
	}
	var out []string
	for _, row := range v.Table.Rows {
		if len(row) > 0 && strings.HasPrefix(row[0], "run_") {
			out = append(out, row[0])
		}
	}
	return out
}

var packDigest = regexp.MustCompile(`SHA-256 ([0-9a-f]{64})`)

// packOf returns the digest of the pack that a report says it was written under.
func packOf(r report.Report) (digest [32]byte, err error) {
	found := packDigest.FindStringSubmatch(r.Values["report.pack"].Text)
	if found == nil {
		return digest, errors.New("the report does not say by its digest under which pack it was written: fill it in again")
	}
	if _, err := hex.Decode(digest[:], []byte(found[1])); err != nil {
		return digest, fmt.Errorf("digest of the pack: %w", err)
	}
	return digest, nil
}
