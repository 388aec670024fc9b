package bundle_test

import (
	"bytes"
	"cmp"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	cmpdiff "github.com/google/go-cmp/cmp"

	"github.com/flopwatch/flopwatch/pkg/attest"
	"github.com/flopwatch/flopwatch/pkg/audit"
	"github.com/flopwatch/flopwatch/pkg/bundle"
	"github.com/flopwatch/flopwatch/pkg/canonical"
	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/evidence"
	"github.com/flopwatch/flopwatch/pkg/measure"
	"github.com/flopwatch/flopwatch/pkg/verdict"
	"github.com/flopwatch/flopwatch/pkg/verifier"
	"github.com/flopwatch/flopwatch/pkg/wire"
)

const start = int64(1_780_000_000_000_000_000)

func keyOf(n int) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(strconv.Itoa(n)))
	return ed25519.NewKeyFromSeed(seed[:])
}

// fleet is a run on hosts of eight devices, in windows of the given length: the
// claim about it, who the hosts are, and what they signed.
func fleet(t testing.TB, hosts, windows int, length time.Duration, perBatch int) (bundle.Run, bundle.Fleet, []bundle.Content) {
	t.Helper()
	run := bundle.Run{ID: "run_a", Tenant: "ten-a"}
	var who bundle.Fleet
	var total compute.Bounds
	files := make([][]byte, 8)
	workload := measure.Workload{Kind: measure.KindSlurmJob, ID: "1"}
	method := measure.Method{Name: measure.Cycles, Version: 1, Precision: "bf16", Grade: "E1"}
	for n := range hosts {
		key := keyOf(n)
		host := attest.HostID(key.Public().(ed25519.PublicKey))
		who.Hosts = append(who.Hosts, bundle.Host{ID: host, Name: fmt.Sprint("gpu-", n), Keys: []string{hex.EncodeToString(key.Public().(ed25519.PublicKey))}})
		run.Parts = append(run.Parts, bundle.Part{Host: host, Kind: string(workload.Kind), Workload: workload.ID, FromNS: fmt.Sprint(start), ToNS: fmt.Sprint(start + int64(windows)*int64(length))})
		devices := make([]wire.DeviceRow, 8)
		for d := range devices {
			devices[d] = wire.DeviceRow{Device: measure.Device{ID: measure.DeviceID(fmt.Sprintf("GPU-%d-%d", n, d)), Name: "NVIDIA H100"}, SKU: "H100-SXM5-80GB", Grade: "E1", Peak: 989_400_000, Ceiling: 1_978_800_000}
		}
		var prev [32]byte
		seq := uint64(0)
		for w := 0; w < windows; w += perBatch {
			seq++
			b := wire.Batch{Header: wire.Header{Version: wire.Version, Host: host, Epoch: 1, Seq: seq, PrevHash: prev, BootID: "boot", FirstNS: start + int64(w)*int64(length)}, Facts: wire.HostFacts{Name: fmt.Sprint("gpu-", n)}, Devices: devices}
			for i := w; i < min(w+perBatch, windows); i++ {
				from := start + int64(i)*int64(length)
				b.LastNS = from + int64(length)
				for d := range devices {
					best := compute.Operations(400_000 * int64(length/time.Second) * int64(1+(i+d)%3))
					ops := compute.Bounds{Low: best / 2, Best: best, High: best * 2}
					total = total.Add(ops)
					b.Windows = append(b.Windows, measure.Window{Device: devices[d].ID, StartNS: from, EndNS: b.LastNS, Entries: []measure.Entry{{State: measure.Attributed, Workload: workload, Tenant: "ten-a", Method: method,
						Duration: length, Operations: ops, Ceiling: best * 2, EnergyMJ: -1}}})
				}
			}
			b.WallNS = b.LastNS
			body, err := wire.Encode(&b)
			if err != nil {
				t.Fatal(err)
			}
			envelope := attest.Seal(key, attest.DomainBatch, body)
			prev = attest.Hash(envelope)
			day := w * len(files) / windows
			files[day] = evidence.AppendFrame(files[day], envelope)
		}
	}
	run.Empirical, run.Theoretical = bundle.BoundsOf(total), bundle.BoundsOf(compute.Bounds{})
	var contents []bundle.Content
	for i, f := range files {
		if len(f) > 0 {
			contents = append(contents, content(fmt.Sprintf("evidence/2026-06-%02d.fwe", i+1), f))
		}
	}
	return run, who, contents
}

func content(name string, data []byte) bundle.Content {
	return bundle.Content{Name: name, Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }}
}

// parts are what a bundle is made of, to be spoilt.
type parts struct {
	run      bundle.Run
	fleet    bundle.Fleet
	evidence []bundle.Content
	pack     string
	values   string // of the report
	stored   string // values as the audit log protects them
	approver string
	assented string             // who approved it as the audit log protects that, approver if ""
	kind     string             // of the report, which its approval is of too
	key      ed25519.PrivateKey // that signs the bundle
}

func good(t testing.TB) parts {
	run, who, files := fleet(t, 2, 12, time.Hour, 5)
	return parts{run: run, fleet: who, evidence: files, pack: "id: pack\n", values: `{"a":{"text":"x"}}`, stored: `{"a":{"text":"x"}}`, approver: "usr_b", key: keyOf(-1)}
}

func seal(t testing.TB, p parts, w io.Writer) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	log := keyOf(-1)
	id := attest.HostID(p.key.Public().(ed25519.PublicKey))
	origin := audit.Origin(id)
	sum := func(b []byte) string { s := sha256.Sum256(b); return hex.EncodeToString(s[:]) }
	packSum, form := sum([]byte(p.pack)), []byte("id: form\n")
	contentOf := func(kind string) []byte {
		text := fmt.Sprintf(`{"form_digest":%q,"kind":%q,"pack":%q,"values":%s}`, sum(form), kind, packSum, p.values)
		canon, err := canonical.Transform([]byte(text))
		must(err)
		return canon
	}
	canon := contentOf(p.kind)
	digest := sum(canon)
	report := fmt.Sprintf(`{"content":%s,"digest":%q,"version":3,"approval":{"digest":%q,"authors":["usr_a"],"approved_by":%q}}`, canon, digest, digest, p.approver)
	assented := map[string]string{"digest": sum(contentOf("")), "by": cmp.Or(p.assented, p.approver)}
	body, err := json.Marshal(map[string]any{"values": json.RawMessage(p.stored), "proposal": map[string]any{"authors": []string{"usr_a"}}, "approval": assented})
	must(err)
	row, err := canonical.Marshal(map[string]string{"id": "srep_a", "version": "i3", "body": "s" + string(body)})
	must(err)
	rows := []json.RawMessage{row}
	after, err := canonical.Digest(rows)
	must(err)
	e := audit.Entry{At: time.Unix(1_780_000_000, 0).UTC(), Actor: audit.Actor{Kind: audit.Person, ID: "usr_b"}, Action: "report.approve", Object: audit.Object{Kind: "report", ID: "rep_a"}, After: hex.EncodeToString(after[:])}
	leaf, err := e.Leaf()
	must(err)
	nodes := hashes{}
	added, err := audit.Hashes(0, leaf, &nodes)
	must(err)
	nodes = append(nodes, added...)
	root, err := audit.Root(1, &nodes)
	must(err)
	note, err := audit.Checkpoint{Origin: origin, Size: 1, Root: root}.Sign(log)
	must(err)
	proofs, err := canonical.Marshal([]bundle.Proof{{Leaf: leaf, Path: []string{}, Rows: rows, About: "report rep_a"}})
	must(err)
	who, err := canonical.Marshal(p.fleet)
	must(err)
	m := bundle.Manifest{Report: "rep_a", Version: 3, Content: digest, Collector: id, CollectorKey: hex.EncodeToString(p.key.Public().(ed25519.PublicKey)), Origin: origin,
		Pack: bundle.Source{ID: "pack", Version: 1, SHA256: packSum}, Form: bundle.Source{ID: "form", Version: 1, SHA256: sum(form)}, Claims: []bundle.Run{p.run}}
	files := []bundle.Content{content(bundle.ReportName, []byte(report)), content(bundle.PackName, []byte(p.pack)), content(bundle.FormName, form),
		content(bundle.CheckpointName, []byte(note)), content(bundle.ProofsName, proofs), content(bundle.FleetName, who)}
	must(bundle.Write(w, m, append(files, p.evidence...), p.key))
}

type hashes []audit.Hash

func (h *hashes) ReadHashes(numbers []int64) ([]audit.Hash, error) {
	out := make([]audit.Hash, len(numbers))
	for i, n := range numbers {
		out[i] = (*h)[n]
	}
	return out, nil
}

func verify(t testing.TB, data []byte, collector string) bundle.Verdict {
	t.Helper()
	v, err := bundle.Verify(bytes.NewReader(data), int64(len(data)), collector)
	if err != nil {
		return bundle.Verdict{Answer: verdict.No, Steps: verdict.Steps{{What: "read", Answer: verdict.No, Why: err.Error()}}}
	}
	return v
}

func TestABundleHolds(t *testing.T) {
	var one, two bytes.Buffer
	seal(t, good(t), &one)
	seal(t, good(t), &two)
	if !bytes.Equal(one.Bytes(), two.Bytes()) {
		t.Error("two bundles of the same differ")
	}
	id := attest.HostID(keyOf(-1).Public().(ed25519.PublicKey))
	if v := verify(t, one.Bytes(), id); v.Answer != verdict.Yes || v.Batches != 6 || v.Windows != 2*8*12 {
		t.Errorf("%+v", v)
	}
	if v := verify(t, one.Bytes(), "someoneelse"); v.Answer != verdict.No {
		t.Error("a bundle of another collector passes")
	}
}

// Batches that keep their place alone are told by number, in words and in JSON.
// UPDATE=1 writes the golden files anew.
func TestUncountedBatchesAreTold(t *testing.T) {
	p := good(t)
	var frames [][]byte
	for _, c := range p.evidence {
		in, err := c.Open()
		if err != nil {
			t.Fatal(err)
		}
		for frame, err := range evidence.Frames(in) {
			if err != nil {
				t.Fatal(err)
			}
			frames = append(frames, bytes.Clone(frame))
		}
	}
	var total compute.Bounds
	for i, frame := range frames {
		_, body, err := attest.Open(attest.DomainBatch, frame)
		if err != nil {
			t.Fatal(err)
		}
		b, err := wire.Decode(body)
		if err != nil {
			t.Fatal(err)
		}
		if i == len(frames)-1 {
			for n := range p.fleet.Hosts {
				if h := &p.fleet.Hosts[n]; h.ID == b.Host {
					hash := attest.Hash(frame)
					h.Placeholders = []string{hex.EncodeToString(hash[:]), strings.Repeat("0", 64)} // and one of which there is no batch
				}
			}
			continue
		}
		for _, w := range b.Windows {
			for _, e := range w.Entries {
				total = total.Add(e.Operations)
			}
		}
	}
	p.run.Empirical = bundle.BoundsOf(total)
	for name, c := range map[string]struct {
		parts    parts
		asJSON   bool
		uncounts int64
	}{"uncounted.txt": {p, false, 1}, "uncounted.json": {p, true, 1}, "counted.txt": {good(t), false, 0}, "counted.json": {good(t), true, 0}} {
		path := filepath.Join(t.TempDir(), "report.zip")
		var sealed, got bytes.Buffer
		seal(t, c.parts, &sealed)
		if v := verify(t, sealed.Bytes(), ""); v.Uncounted != c.uncounts {
			t.Errorf("%s: %d batches are not counted, want %d", name, v.Uncounted, c.uncounts)
		}
		if err := os.WriteFile(path, sealed.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := (verifier.Bundle{Path: path}).Check(&got, c.asJSON); err != nil {
			t.Errorf("%s: %v\n%s", name, err, got.String())
		}
		golden := filepath.Join("testdata", name)
		if os.Getenv("UPDATE") != "" {
			if err := os.MkdirAll("testdata", 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if d := cmpdiff.Diff(string(want), got.String()); d != "" || err != nil {
			t.Errorf("%s (-want +got):\n%s%v", name, d, err)
		}
	}
}

// A clock that was corrected is in the bundle: with the correction the figures come
// out at the times at which they were counted, and without it they do not.
func TestACorrectedClockIsCountedAnew(t *testing.T) {
	p := good(t)
	const by = 400 * 24 * time.Hour
	for i := range p.run.Parts {
		part := &p.run.Parts[i]
		for _, ns := range []*string{&part.FromNS, &part.ToNS} {
			n, err := strconv.ParseInt(*ns, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			*ns = fmt.Sprint(n + int64(by))
		}
	}
	for i := range p.fleet.Hosts {
		p.fleet.Hosts[i].Clocks = []bundle.Clock{{Epoch: 1, Seq: 1, ShiftNS: fmt.Sprint(int64(by))}}
	}
	var right, wrong bytes.Buffer
	seal(t, p, &right)
	if v := verify(t, right.Bytes(), ""); v.Answer != verdict.Yes {
		t.Errorf("with the correction: %+v", v)
	}
	p.fleet.Hosts[0].Clocks = nil
	seal(t, p, &wrong)
	if v := verify(t, wrong.Bytes(), ""); v.Answer != verdict.No {
		t.Errorf("without it: %+v", v)
	}
}

// Each bit of a bundle counts: with any of them flipped it is refused.
func TestEveryFlippedBitIsRefused(t *testing.T) {
	var b bytes.Buffer
	seal(t, good(t), &b)
	data := b.Bytes()
	step := max(1, len(data)*8/1000) // a sample of all; FLIPS=all takes each
	if os.Getenv("FLIPS") == "all" {
		step = 1
	}
	flipped := 0
	for bit := 0; bit < len(data)*8; bit += step {
		data[bit/8] ^= 1 << (bit % 8)
		if v := verify(t, data, ""); v.Answer != verdict.No {
			t.Errorf("bit %d of byte %d flipped: %s", bit%8, bit/8, v.Answer)
		}
		data[bit/8] ^= 1 << (bit % 8)
		flipped++
	}
	t.Logf("%d bits flipped of %d", flipped, len(data)*8)
	for _, end := range [][]byte{data[:len(data)-1], append(bytes.Clone(data), 0), append([]byte{0}, data...)} {
		if v := verify(t, end, ""); v.Answer != verdict.No {
			t.Error("a bundle with a byte more or less passes")
		}
	}
}

// What a provider itself could try with its own key is named.
func TestWhatDoesNotHoldIsNamed(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*parts)
		want  string
	}{
		"a claim that is too low":     {func(p *parts) { p.run.Empirical.Best = "1000000000" }, "counted anew"},
		"a host left out":             {func(p *parts) { p.fleet.Hosts = p.fleet.Hosts[:1] }, "no evidence"},
		"a batch left out":            {func(p *parts) { p.evidence = p.evidence[1:] }, "does not continue its host's chain"},
		"a part left out":             {func(p *parts) { p.run.Parts = p.run.Parts[:1] }, "counted anew"},
		"a report edited in the file": {func(p *parts) { p.values = `{"a":{"text":"y"}}` }, "something else than the version"},
		"an author who approved":      {func(p *parts) { p.approver = "usr_a" }, "wrote it and approved it"},
		"an approval that was not":    {func(p *parts) { p.assented = "usr_c" }, "another approval than the version"},
		"an approval of another kind": {func(p *parts) { p.kind = "correction" }, "another approval than the version"},
		"another collector's log":     {func(p *parts) { p.key = keyOf(-2) }, "checkpoint"},
	} {
		t.Run(name, func(t *testing.T) {
			p := good(t)
			c.spoil(&p)
			var b bytes.Buffer
			seal(t, p, &b)
			v := verify(t, b.Bytes(), "")
			var said []string
			for _, s := range v.Steps {
				if s.Answer == verdict.No {
					said = append(said, s.What+": "+s.Why)
				}
			}
			if v.Answer != verdict.No || !strings.Contains(strings.Join(said, "\n"), c.want) {
				t.Errorf("%s, saying %q, want %q", v.Answer, said, c.want)
			}
		})
	}
}

// BenchmarkLargeBundle builds and verifies the bundle of a run of 54 days on
// 2,048 hosts of eight devices, in windows of WINDOW (6h if not set).
func BenchmarkLargeBundle(b *testing.B) {
	length := 6 * time.Hour
	if text := os.Getenv("WINDOW"); text != "" {
		var err error
		if length, err = time.ParseDuration(text); err != nil {
			b.Fatal(err)
		}
	}
	windows := int(54 * 24 * time.Hour / length)
	run, who, files := fleet(b, 2048, windows, length, 168)
	p := good(b)
	p.run, p.fleet, p.evidence = run, who, files
	for b.Loop() {
		begin := time.Now()
		var out bytes.Buffer
		seal(b, p, &out)
		built := time.Since(begin)
		begin = time.Now()
		v, err := bundle.Verify(bytes.NewReader(out.Bytes()), int64(out.Len()), "")
		if err != nil || v.Answer != verdict.Yes {
			b.Fatalf("%+v %v", v, err)
		}
		b.ReportMetric(built.Seconds(), "build-s")
		b.ReportMetric(time.Since(begin).Seconds(), "verify-s")
		b.ReportMetric(float64(out.Len())/1e6, "MB")
		b.ReportMetric(float64(v.Windows), "device-windows")
	}
}

func FuzzVerify(f *testing.F) {
	var b bytes.Buffer
	seal(f, good(f), &b)
	f.Add(b.Bytes())
	f.Add([]byte("PK"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if v, err := bundle.Verify(bytes.NewReader(data), int64(len(data)), ""); err == nil && v.Answer == verdict.Yes && !bytes.Equal(data, b.Bytes()) {
			t.Error("another bundle passes")
		}
	})
}
