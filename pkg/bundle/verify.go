package bundle

import (
	"archive/zip"
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/flopwatch/flopwatch/pkg/attest"
	"github.com/flopwatch/flopwatch/pkg/audit"
	"github.com/flopwatch/flopwatch/pkg/canonical"
	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/verdict"
)

// Verdict is what the checks of a bundle came to.
type Verdict struct {
	Report    string         `json:"report"`
	Collector string         `json:"collector"` // follows from the key that signed
	Answer    verdict.Answer `json:"answer"`
	Steps     verdict.Steps  `json:"steps"`
	Batches   int64          `json:"batches"`
	Windows   int64          `json:"windows"`
	// Uncounted are the batches among them that keep their place in the chain and are in
	// no total, and the windows that they hold.
	Uncounted        int64 `json:"uncounted_batches"`
	UncountedWindows int64 `json:"uncounted_windows"`
}

// maxSmall is the largest file that is read into memory.
const maxSmall = 64 << 20

// Verify checks a bundle. Collector, if not empty, is the id of the collector
// that must have signed it; without it the verdict says who signed, and whether
// that is the right one is for the reader to know. It asks nobody and needs
// nothing beside the bundle. The error says that the bundle could not be read at
// all; a bundle that does not hold is a verdict.
func Verify(r io.ReaderAt, size int64, collector string) (Verdict, error) {
	z, err := zip.NewReader(r, size)
	if err != nil {
		return Verdict{}, fmt.Errorf("this is no bundle: %w", err)
	}
	c := &check{z: z, files: map[string]*zip.File{}}
	c.form(r, size)
	if c.seal(collector) {
		c.contents()
		c.report()
		c.log()
		c.evidence()
	}
	c.v.Answer = c.v.Steps.Answer()
	return c.v, nil
}

type check struct {
	z     *zip.Reader
	files map[string]*zip.File
	m     Manifest
	key   ed25519.PublicKey
	v     Verdict
}

func (c *check) form(r io.ReaderAt, size int64) {
	const what = "The bundle is in its one form"
	for _, f := range c.z.File {
		if c.files[f.Name] != nil {
			c.v.Steps.Add(what, verdict.No, "file %.80q is there twice", f.Name)
		}
		c.files[f.Name] = f
	}
	same, err := sameForm(r, size, c.z)
	switch {
	case err != nil:
		c.v.Steps.Add(what, verdict.No, "a file cannot be read: %v", err)
	case !same:
		c.v.Steps.Add(what, verdict.No, "bytes between its files are not those of a bundle")
	default:
		c.v.Steps.Add(what, verdict.Yes, "%d files, %d bytes", len(c.z.File), size)
	}
}

func (c *check) read(name string) ([]byte, error) {
	f := c.files[name]
	if f == nil {
		return nil, fmt.Errorf("%s is missing", name)
	}
	if f.UncompressedSize64 > maxSmall {
		return nil, fmt.Errorf("%s is larger than %d bytes", name, maxSmall)
	}
	in, err := f.Open()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	data, err := io.ReadAll(in)
	return data, errors.Join(err, in.Close())
}

// seal checks who signed the manifest. Without that nothing else means anything.
func (c *check) seal(collector string) bool {
	const what = "The collector signed it"
	manifest, err := c.read(ManifestName)
	if err != nil {
		c.v.Steps.Add(what, verdict.No, "%v", err)
		return false
	}
	signature, err := c.read(SignatureName)
	if err != nil {
		c.v.Steps.Add(what, verdict.No, "%v", err)
		return false
	}
	key, body, err := attest.Open(Domain, signature)
	sum := sha256.Sum256(manifest)
	if err != nil || !bytes.Equal(body, sum[:]) {
		c.v.Steps.Add(what, verdict.No, "the signature is not of this manifest")
		return false
	}
	if err := json.Unmarshal(manifest, &c.m); err != nil || c.m.Schema != Schema {
		c.v.Steps.Add(what, verdict.No, "the manifest is not one of %s", Schema)
		return false
	}
	if again, err := canonical.Marshal(c.m); err != nil || !bytes.Equal(again, manifest) {
		c.v.Steps.Add(what, verdict.No, "the manifest is not canonical JSON, or says more than this program knows")
		return false
	}
	c.key, c.v.Report, c.v.Collector = key, c.m.Report, attest.HostID(key)
	switch {
	case hex.EncodeToString(key) != c.m.CollectorKey || c.m.Collector != c.v.Collector || c.m.Origin != audit.Origin(c.v.Collector):
		c.v.Steps.Add(what, verdict.No, "the manifest names another collector than the one that signed")
		return false
	case collector != "" && collector != c.v.Collector:
		c.v.Steps.Add(what, verdict.No, "it was signed by collector %s, not by %.60q", c.v.Collector, collector)
		return false
	case collector == "":
		c.v.Steps.Add(what, verdict.Yes, "signed by collector %s; that this is the provider's is for you to know", c.v.Collector)
	default:
		c.v.Steps.Add(what, verdict.Yes, "signed by collector %s, as asked for", c.v.Collector)
	}
	return true
}

// contents holds every file against the manifest.
func (c *check) contents() {
	const what = "Every file is as it was sealed"
	listed := map[string]bool{ManifestName: true, SignatureName: true}
	for _, want := range c.m.Files {
		listed[want.Name] = true
		f := c.files[want.Name]
		if f == nil {
			c.v.Steps.Add(what, verdict.No, "%s is missing", want.Name)
			return
		}
		in, err := f.Open()
		if err != nil {
			c.v.Steps.Add(what, verdict.No, "%s: %v", want.Name, err)
			return
		}
		h := sha256.New()
		n, err := io.Copy(h, in)
		if e := in.Close(); err == nil {
			err = e
		}
		if err != nil || n != want.Size || hex.EncodeToString(h.Sum(nil)) != want.SHA256 {
			c.v.Steps.Add(what, verdict.No, "%s is not the file that was sealed", want.Name)
			return
		}
	}
	for name := range c.files {
		if !listed[name] {
			c.v.Steps.Add(what, verdict.No, "%.80q is not named by the manifest", name)
			return
		}
	}
	c.v.Steps.Add(what, verdict.Yes, "%d files by SHA-256", len(c.m.Files))
}

// document is what is read of the report's JSON.
type document struct {
	Content  json.RawMessage `json:"content"`
	Digest   string          `json:"digest"`
	Version  int64           `json:"version"`
	Approval *struct {
		Digest     string   `json:"digest"`
		Authors    []string `json:"authors"`
		ApprovedBy string   `json:"approved_by"`
	} `json:"approval"`
	Filings []struct {
		Digest string `json:"digest"`
	} `json:"filings"`
}

func (c *check) document() (document, error) {
	var d document
	text, err := c.read(ReportName)
	if err == nil {
		err = json.Unmarshal(text, &d)
	}
	return d, err
}

// report holds the report against the digest that was approved, and the pack and
// the form against theirs.
func (c *check) report() {
	const what = "The report says what was approved"
	d, err := c.document()
	var form []byte
	if err == nil {
		form, err = canonical.Transform(d.Content)
	}
	sum := sha256.Sum256(form)
	digest := hex.EncodeToString(sum[:])
	switch {
	case err != nil:
		c.v.Steps.Add(what, verdict.No, "%v", err)
	case digest != d.Digest || digest != c.m.Content || d.Version != c.m.Version:
		c.v.Steps.Add(what, verdict.No, "its content has the digest %s, it says %.64s and the manifest %.64s", digest, d.Digest, c.m.Content)
	case d.Approval == nil:
		c.v.Steps.Add(what, verdict.CannotTell, "nobody has approved it: it is a draft")
	case d.Approval.Digest != digest:
		c.v.Steps.Add(what, verdict.No, "what %s approved has another digest", d.Approval.ApprovedBy)
	default:
		for _, a := range d.Approval.Authors {
			if a == d.Approval.ApprovedBy {
				c.v.Steps.Add(what, verdict.No, "%s wrote it and approved it", a)
				return
			}
		}
		c.v.Steps.Add(what, verdict.Yes, "approved by %s, written by %s, digest %s", d.Approval.ApprovedBy, strings.Join(d.Approval.Authors, ", "), digest)
	}
	for _, s := range []struct {
		what, name string
		want       Source
	}{{"The policy pack is the one that was applied", PackName, c.m.Pack}, {"The form is the one that was filled in", FormName, c.m.Form}} {
		data, err := c.read(s.name)
		sum := sha256.Sum256(data)
		digest := hex.EncodeToString(sum[:])
		switch {
		case err != nil:
			c.v.Steps.Add(s.what, verdict.No, "%v", err)
		case digest != s.want.SHA256 || !bytes.Contains(d.Content, []byte(digest)):
			c.v.Steps.Add(s.what, verdict.No, "%s %s is not what the report names", s.name, s.want.ID)
		default:
			c.v.Steps.Add(s.what, verdict.Yes, "%s version %d, SHA-256 %s", s.want.ID, s.want.Version, digest)
		}
	}
}

// log checks the checkpoint and that the log holds what the proofs are about.
func (c *check) log() {
	const what = "The audit log holds it"
	note, err := c.read(CheckpointName)
	if err != nil {
		c.v.Steps.Add(what, verdict.No, "%v", err)
		return
	}
	checkpoint, err := audit.OpenCheckpoint(string(note), c.m.Origin, c.key)
	if err != nil {
		c.v.Steps.Add(what, verdict.No, "%v", err)
		return
	}
	text, err := c.read(ProofsName)
	var proofs []Proof
	if err == nil {
		err = json.Unmarshal(text, &proofs)
	}
	if err != nil {
		c.v.Steps.Add(what, verdict.No, "%v", err)
		return
	}
	ofReport := false
	for _, p := range proofs {
		e, err := p.check(checkpoint)
		if err != nil {
			c.v.Steps.Add(what, verdict.No, "%s: %v", p.About, err)
			return
		}
		if e.Object.Kind == "report" && e.Object.ID == c.m.Report {
			if err := c.sameReport(p.Rows); err != nil {
				c.v.Steps.Add(what, verdict.No, "%s: %v", p.About, err)
				return
			}
			ofReport = true
		}
	}
	if !ofReport {
		c.v.Steps.Add(what, verdict.No, "no proof is about the report")
		return
	}
	c.v.Steps.Add(what, verdict.Yes, "%d objects in the log of %d entries, root %x", len(proofs), checkpoint.Size, checkpoint.Root[:8])
}

func (p Proof) check(c audit.Checkpoint) (audit.Entry, error) {
	leaf, err := canonical.Transform(p.Leaf)
	if err != nil {
		return audit.Entry{}, err
	}
	e, err := audit.ParseLeaf(leaf)
	if err != nil {
		return e, err
	}
	path := make([]audit.Hash, len(p.Path))
	for i, text := range p.Path {
		if n, err := hex.Decode(path[i][:], []byte(text)); err != nil || n != len(path[i]) {
			return e, errors.New("a hash of the proof is no SHA-256")
		}
	}
	if err := audit.CheckInclusion(c, leaf, audit.Inclusion{Seq: e.Seq, Path: path}); err != nil {
		return e, err
	}
	if p.Rows != nil {
		digest, err := canonical.Digest(p.Rows)
		if err != nil || hex.EncodeToString(digest[:]) != e.After {
			return e, fmt.Errorf("what is stored of %s %s is not what the log holds", e.Object.Kind, e.Object.ID)
		}
	}
	return e, nil
}

// sameReport holds the report against the row of its version, which the log protects.
func (c *check) sameReport(rows []json.RawMessage) error {
	d, err := c.document()
	if err != nil {
		return err
	}
	var content struct {
		Values json.RawMessage `json:"values"`
	}
	if err := json.Unmarshal(d.Content, &content); err != nil {
		return err
	}
	for _, row := range rows {
		var r struct {
			Version string `json:"version"`
			Body    string `json:"body"`
		}
		if err := json.Unmarshal(row, &r); err != nil {
			return err
		}
		if r.Version != fmt.Sprintf("i%d", d.Version) {
			continue
		}
		var body struct {
			Values   json.RawMessage `json:"values"`
			Proposal struct {
				Authors []string `json:"authors"`
			} `json:"proposal"`
			Approval struct {
				Digest string `json:"digest"`
				By     string `json:"by"`
			} `json:"approval"`
		}
		if err := json.Unmarshal([]byte(strings.TrimPrefix(r.Body, "s")), &body); err != nil {
			return err
		}
		a, errA := canonical.Transform(body.Values)
		b, errB := canonical.Transform(content.Values)
		if errA != nil || errB != nil || !bytes.Equal(a, b) {
			return errors.New("the report says something else than the version that the log protects")
		}
		// The digest that was approved is of all else that the report says.
		if a := d.Approval; a != nil && (a.ApprovedBy != body.Approval.By || a.Digest != body.Approval.Digest || !slices.Equal(a.Authors, body.Proposal.Authors)) {
			return errors.New("the report names another approval than the version that the log protects")
		}
		return nil
	}
	return fmt.Errorf("the log protects no version %d of the report", d.Version)
}

// evidence folds the signed batches and holds the totals against the claims.
func (c *check) evidence() {
	const what = "The operations follow from the hosts' signed batches"
	text, err := c.read(FleetName)
	var fleet Fleet
	if err == nil {
		err = json.Unmarshal(text, &fleet)
	}
	if err != nil {
		c.v.Steps.Add(what, verdict.No, "%v", err)
		return
	}
	if len(c.m.Claims) == 0 {
		c.v.Steps.Add(what, verdict.CannotTell, "the report is about no run")
		return
	}
	got, err := c.fold(fleet)
	c.v.Batches, c.v.Windows, c.v.Uncounted, c.v.UncountedWindows = got.Batches, got.Windows, got.Uncounted, got.UncountedWindows
	if err != nil {
		c.v.Steps.Add(what, verdict.No, "%v", err)
		return
	}
	for i, run := range c.m.Claims {
		have := [2]Bounds{BoundsOf(got.Runs[i].Empirical), BoundsOf(got.Runs[i].Theoretical)}
		switch {
		case have == [2]Bounds{run.Empirical, run.Theoretical}:
			c.v.Steps.Add(what, verdict.Yes, "%s: best %s, counted anew from %d batches of %d hosts", run.ID, total(got.Runs[i]), got.Batches-got.Uncounted, len(fleet.Hosts))
		case fleet.Corrected:
			c.v.Steps.Add(what, verdict.CannotTell, "%s: counted anew %s; time of it was given to another tenant later, which is cut by its share of the time", run.ID, total(got.Runs[i]))
		default:
			c.v.Steps.Add(what, verdict.No, "%s: counted anew %s from readings and %s otherwise, claimed %s and %s", run.ID, have[0], have[1], run.Empirical, run.Theoretical)
		}
	}
	c.uncounted(got)
	if len(got.Breaks) > 0 {
		c.v.Steps.Add("Each host's batches follow each other", verdict.CannotTell, "%d breaks, the first: %s", len(got.Breaks), got.Breaks[0])
	} else {
		c.v.Steps.Add("Each host's batches follow each other", verdict.Yes, "%d batches, each signed by its host and chained to the one before", got.Batches)
	}
}

// uncounted says how much of what the hosts signed is in no total. That the collector
// had to leave it out, by its clock, is not to be seen from here.
func (c *check) uncounted(got Folded) {
	const what = "What is not counted is told"
	if got.Uncounted == 0 {
		c.v.Steps.Add(what, verdict.Yes, "nothing: each of the %d batches is counted", got.Batches)
		return
	}
	c.v.Steps.Add(what, verdict.Yes, "%d of %d batches, with %d of %d windows, keep their place in their host's chain and are in no total: the collector could not count them when they came", got.Uncounted, got.Batches, got.UncountedWindows, got.Windows)
}

func total(t Totals) string {
	both := t.Empirical.Add(t.Theoretical)
	return strings.Join([]string{both.Low.String(), both.Best.String(), both.High.String()}, " / ")
}

func (b Bounds) String() string {
	text := make([]string, 3)
	for i, s := range []string{b.Low, b.Best, b.High} {
		n, err := compute.ParseOperations(s)
		if err != nil {
			return "?"
		}
		text[i] = n.String()
	}
	return strings.Join(text, " / ")
}

func (c *check) fold(fleet Fleet) (Folded, error) {
	f, err := newFolder(fleet, c.m.Claims)
	if err != nil {
		return Folded{}, err
	}
	var failed error
	for _, file := range c.m.Files {
		if !strings.HasPrefix(file.Name, evidencePrefix) || !strings.HasSuffix(file.Name, evidenceSuffix) || failed != nil || c.files[file.Name] == nil {
			continue
		}
		in, err := c.files[file.Name].Open()
		if err == nil {
			err = errors.Join(f.add(in), in.Close())
		}
		if err != nil {
			failed = fmt.Errorf("%s: %w", file.Name, err)
		}
	}
	got, err := f.end(c.m.Claims)
	return got, errors.Join(failed, err)
}
