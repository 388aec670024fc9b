package wire_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/klauspost/compress/zstd"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/measure"
	"github.com/flopwatch/flopwatch/pkg/wire"
)

const (
	second = int64(time.Second)
	start  = 1_753_000_000 * second
	host   = "abcdefghijklmnopqrstuvwxyz"
)

// example is a batch of n devices × windows of 10 s with two entries.
func example(n, windows int) *wire.Batch {
	b := &wire.Batch{
		Header: wire.Header{
			Version: wire.Version, Host: host, Epoch: 3, Seq: 41, BootID: "0f3c", BoottimeNS: 77, WallNS: start + 5,
			FirstNS: start, LastNS: start + int64(windows)*10*second,
		},
		Facts: wire.HostFacts{Name: "gpu-node-7", OS: "linux", Kernel: "6.8.0", AgentVersion: "0.1.0"},
	}
	for i := range b.PrevHash {
		b.PrevHash[i] = byte(i)
	}
	for i := range n {
		b.Devices = append(b.Devices, wire.DeviceRow{
			Device: measure.Device{ID: measure.DeviceID(fmt.Sprintf("GPU-%d", i)), Name: "NVIDIA H100 80GB HBM3", PCIID: "2330", CC: "9.0", SMCount: 132, MaxSMMHz: 1980, MemoryMiB: 81559},
			SKU:    "H100-SXM5-80GB", Grade: "A", Peak: 989_400_000, Ceiling: 2_141_061_120,
		})
	}
	gpm := measure.Method{Name: measure.GPM, Version: 1, Precision: "tf32..bf16..fastest float", Reason: "no cycle counters", Grade: "A"}
	job := measure.Workload{Kind: measure.KindSlurmJob, ID: "4711", Hint: "llama"}
	for w := range windows {
		for i := range n {
			at, best := start+int64(w)*10*second, compute.Operations(3_900_000+w*17+i*1001)
			b.Windows = append(b.Windows, measure.Window{Device: b.Devices[i].ID, StartNS: at, EndNS: at + 10*second, Entries: []measure.Entry{
				{State: measure.Attributed, Workload: job, Tenant: "t-9", Method: gpm, Duration: 9 * time.Second, Operations: compute.Bounds{Low: best / 2, Best: best, High: 2 * best}, Ceiling: 19_269_551, EnergyMJ: 6_300_000},
				{State: measure.Idle, Method: measure.Method{Name: measure.NoMethod}, Duration: time.Second, Ceiling: 2_141_062, EnergyMJ: -1},
			}})
		}
	}
	return b
}

func mustEncode(t testing.TB, b *wire.Batch) []byte {
	t.Helper()
	body, err := wire.Encode(b)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func compareEntries(a, b measure.Entry) int {
	return cmp.Or(cmp.Compare(a.State, b.State), cmp.Compare(a.Workload.Kind, b.Workload.Kind), cmp.Compare(a.Workload.ID, b.Workload.ID), cmp.Compare(a.Workload.Hint, b.Workload.Hint),
		cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Method.Name, b.Method.Name), cmp.Compare(a.Method.Version, b.Method.Version),
		cmp.Compare(a.Method.Precision, b.Method.Precision), cmp.Compare(a.Method.Reason, b.Method.Reason), cmp.Compare(a.Method.Grade, b.Method.Grade))
}

// normal returns the batch with windows in order of start, end and device, and
// entries of one key merged and sorted: what a round trip keeps.
func normal(b *wire.Batch) *wire.Batch {
	out := *b
	out.Windows = slices.Clone(b.Windows)
	place := func(id measure.DeviceID) int {
		return slices.IndexFunc(b.Devices, func(d wire.DeviceRow) bool { return d.ID == id })
	}
	slices.SortFunc(out.Windows, func(a, b measure.Window) int {
		return cmp.Or(cmp.Compare(a.StartNS, b.StartNS), cmp.Compare(a.EndNS, b.EndNS), cmp.Compare(place(a.Device), place(b.Device)))
	})
	for i := range out.Windows {
		w := &out.Windows[i]
		entries := slices.SortedStableFunc(slices.Values(w.Entries), compareEntries)
		w.Entries = nil
		for _, e := range entries {
			if n := len(w.Entries); n > 0 && compareEntries(w.Entries[n-1], e) == 0 {
				have := &w.Entries[n-1]
				have.Duration += e.Duration
				have.Operations = have.Operations.Add(e.Operations)
				have.Ceiling = have.Ceiling.Add(e.Ceiling)
				have.FloatTensor += e.FloatTensor
				if have.EnergyMJ < 0 || e.EnergyMJ < 0 {
					have.EnergyMJ = -1
				} else {
					have.EnergyMJ += e.EnergyMJ
				}
				continue
			}
			w.Entries = append(w.Entries, e)
		}
	}
	return &out
}

func anyEntry(t *rapid.T, d time.Duration) measure.Entry {
	count := rapid.OneOf(rapid.Int64Range(0, 100), rapid.Int64Range(0, math.MaxInt64/64))
	low := count.Draw(t, "low")
	best := low + count.Draw(t, "best")
	return measure.Entry{
		State: measure.State(rapid.IntRange(1, 4).Draw(t, "state")),
		Workload: rapid.SampledFrom([]measure.Workload{{}, {Kind: measure.KindPod, ID: "ns/a"}, {Kind: measure.KindPod, ID: "ns/a", Hint: "run"},
			{Kind: measure.KindSlurmJob, ID: "ünïcode"}}).Draw(t, "workload"),
		Tenant:      measure.TenantID(rapid.SampledFrom([]string{"", "t1", "t2"}).Draw(t, "tenant")),
		Method:      rapid.SampledFrom([]measure.Method{{Name: measure.NoMethod}, {Name: measure.Cycles, Version: 1, Grade: "A"}, {Name: measure.Cycles, Version: 2, Grade: "A"}}).Draw(t, "method"),
		Duration:    d,
		Operations:  compute.Bounds{Low: compute.Operations(low), Best: compute.Operations(best), High: compute.Operations(best + count.Draw(t, "high"))},
		Ceiling:     compute.Operations(count.Draw(t, "ceiling")),
		FloatTensor: compute.Operations(rapid.Int64Range(0, int64(low)).Draw(t, "float")),
		EnergyMJ:    rapid.OneOf(rapid.Just(int64(-1)), rapid.Int64Range(0, 1e12)).Draw(t, "energy"),
	}
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := example(rapid.IntRange(1, 5).Draw(t, "devices"), 8)
		b.Windows = nil
		for slot := range int64(8) {
			for _, d := range b.Devices {
				if !rapid.Bool().Draw(t, "window there") {
					continue
				}
				from := start + slot*10*second
				to := from + 10*second
				if rapid.Bool().Draw(t, "cut short") {
					to -= 3 * second
				}
				w := measure.Window{Device: d.ID, StartNS: from, EndNS: to}
				for at := from; at < to; {
					next := min(to, at+rapid.Int64Range(second, 10*second).Draw(t, "length"))
					w.Entries = append(w.Entries, anyEntry(t, time.Duration(next-at)))
					at = next
				}
				b.Windows = append(b.Windows, w)
			}
		}
		for range rapid.IntRange(0, 3).Draw(t, "events") {
			e := measure.Event{
				TimeNS: rapid.Int64Range(0, math.MaxInt64).Draw(t, "event time"), Kind: measure.EventXid,
				Code: rapid.Int64().Draw(t, "code"), Detail: rapid.SampledFrom([]string{"", "a b", "ü"}).Draw(t, "detail"),
			}
			if len(b.Devices) > 0 && rapid.Bool().Draw(t, "of a device") {
				e.Device = b.Devices[0].ID
			}
			b.Events = append(b.Events, e)
		}
		if len(b.Windows) > 0 {
			b.Windows = rapid.Permutation(b.Windows).Draw(t, "order")
		}
		body, err := wire.Encode(b)
		if err != nil {
			t.Fatal(err)
		}
		got, err := wire.Decode(body)
		if err != nil {
			t.Fatal(err)
		}
		want := normal(b)
		for i := range got.Windows {
			if i < len(want.Windows) && (got.Windows[i].Device != want.Windows[i].Device || got.Windows[i].StartNS != want.Windows[i].StartNS) {
				t.Fatalf("window %d is of %s at %d, want %s at %d", i, got.Windows[i].Device, got.Windows[i].StartNS, want.Windows[i].Device, want.Windows[i].StartNS)
			}
			slices.SortFunc(got.Windows[i].Entries, compareEntries)
		}
		if diff := gocmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
		if again, err := wire.Encode(b); err != nil || !bytes.Equal(again, body) {
			t.Fatalf("the same batch has two encodings (%v)", err)
		}
	})
}

// TestFrozen reads batches that earlier programs wrote. UPDATE=1 writes fixtures
// that are missing and what the others are read as; it never changes the bytes
// of one that is there.
func TestFrozen(t *testing.T) {
	short := example(2, 2)
	empty := example(0, 0)
	told := example(2, 1)
	for i := range told.Windows {
		told.Windows[i].Entries[0].FloatTensor = compute.Operations(3_000_000 + i)
	}
	told.Events = []measure.Event{
		{TimeNS: start + 3, Kind: measure.EventDriver, Detail: "590.10 after 580.65"},
		{TimeNS: start + 4, Device: "GPU-1", Kind: measure.EventXid, Code: 79},
	}
	receipt := wire.Receipt{Host: host, Epoch: 3, Seq: 41, Hash: short.PrevHash, Collector: "collector-1"}
	fixtures := []struct {
		name   string
		encode func() ([]byte, error)
		decode func([]byte) (any, error)
	}{
		{"batch", func() ([]byte, error) { return wire.Encode(short) }, decodeAny},
		{"batch-zstd", func() ([]byte, error) { return wire.Encode(example(4, 8)) }, decodeAny},
		{"batch-empty", func() ([]byte, error) { return wire.Encode(empty) }, decodeAny},
		{"batch-events", func() ([]byte, error) { return wire.Encode(told) }, decodeAny},
		{"batch-traffic", func() ([]byte, error) { return wire.Encode(talking()) }, decodeAny},
		{"receipt", func() ([]byte, error) { return wire.EncodeReceipt(receipt) }, func(body []byte) (any, error) { return wire.DecodeReceipt(body) }},
	}
	dir := filepath.Join("..", "..", "testdata", "wire", "v1")
	for _, f := range fixtures {
		t.Run(f.name, func(t *testing.T) {
			path := filepath.Join(dir, f.name+".bin")
			body, err := os.ReadFile(path)
			if errors.Is(err, os.ErrNotExist) && os.Getenv("UPDATE") == "1" {
				freeze(t, path, f.encode, f.decode)
				body, err = os.ReadFile(path)
			}
			if err != nil {
				t.Fatal(err)
			}
			if os.Getenv("UPDATE") == "1" { // the bytes stay; what they are read as may get fields
				if message, err := f.decode(body); err == nil {
					err = os.WriteFile(strings.TrimSuffix(path, ".bin")+".json", asJSON(t, message), 0o644)
					if err != nil {
						t.Fatal(err)
					}
				}
			}
			want, err := os.ReadFile(strings.TrimSuffix(path, ".bin") + ".json")
			if err != nil {
				t.Fatal(err)
			}
			message, err := f.decode(body)
			if err != nil {
				t.Fatal(err)
			}
			if diff := gocmp.Diff(string(want), string(asJSON(t, message))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if found, err := filepath.Glob(filepath.Join(dir, "*.bin")); err != nil || len(found) != len(fixtures) {
		t.Errorf("%d fixtures for %d tests (%v)", len(found), len(fixtures), err)
	}
}

func decodeAny(body []byte) (any, error) { return wire.Decode(body) }

func asJSON(t *testing.T, message any) []byte {
	t.Helper()
	text, err := json.MarshalIndent(message, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return append(text, '\n')
}

func freeze(t *testing.T, path string, encode func() ([]byte, error), decode func([]byte) (any, error)) {
	t.Helper()
	body, err := encode()
	if err != nil {
		t.Fatal(err)
	}
	message, err := decode(body)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	_, err = file.Write(body)
	if err := errors.Join(err, file.Close(), os.WriteFile(strings.TrimSuffix(path, ".bin")+".json", asJSON(t, message), 0o644)); err != nil {
		t.Fatal(err)
	}
}

// rewrite returns an encoded example after a change to its messages.
func rewrite(t testing.TB, change func(*wire.BatchMessage, *wire.PayloadMessage)) []byte {
	t.Helper()
	var m wire.BatchMessage
	var p wire.PayloadMessage
	if err := proto.Unmarshal(mustEncode(t, example(2, 2)), &m); err != nil {
		t.Fatal(err)
	}
	if m.Codec != wire.Codec_CODEC_NONE {
		t.Fatal("the example is compressed")
	}
	if err := proto.Unmarshal(m.Payload, &p); err != nil {
		t.Fatal(err)
	}
	m.Payload = nil
	change(&m, &p)
	if m.Payload == nil {
		payload, err := proto.MarshalOptions{AllowPartial: true}.Marshal(&p)
		if err != nil {
			t.Fatal(err)
		}
		m.Payload = payload
	}
	body, err := proto.Marshal(&m)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func bomb(t testing.TB, size int) []byte {
	t.Helper()
	e, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return e.EncodeAll(make([]byte, size), nil)
}

func TestDecodeRefuses(t *testing.T) {
	type (
		B = wire.BatchMessage
		P = wire.PayloadMessage
	)
	many := func(n int) []string { return slices.Repeat([]string{"t"}, n) }
	tests := []struct {
		name   string
		change func(*B, *P)
		ok     bool
	}{
		{"nothing changed", func(*B, *P) {}, true},
		{"older version", func(m *B, _ *P) { m.Version = 0 }, false},
		{"newer version", func(m *B, _ *P) { m.Version = 2 }, false},
		{"no host", func(m *B, _ *P) { m.Host = "" }, false},
		{"host in capitals", func(m *B, _ *P) { m.Host = strings.ToUpper(host) }, false},
		{"host of 25", func(m *B, _ *P) { m.Host = host[:25] }, false},
		{"host of 27", func(m *B, _ *P) { m.Host = host + "a" }, false},
		{"host with a dot", func(m *B, _ *P) { m.Host = host[:25] + "." }, false},
		{"host with a wildcard", func(m *B, _ *P) { m.Host = "*" + host[1:] }, false},
		{"epoch 0", func(m *B, _ *P) { m.Epoch = 0 }, false},
		{"number 0", func(m *B, _ *P) { m.Seq = 0 }, false},
		{"epoch beyond int64", func(m *B, _ *P) { m.Epoch = 1 << 63 }, false},
		{"number beyond int64", func(m *B, _ *P) { m.Seq = 1 << 63 }, false},
		{"short hash", func(m *B, _ *P) { m.PrevHash = m.PrevHash[:31] }, false},
		{"long hash", func(m *B, _ *P) { m.PrevHash = append(m.PrevHash, 0) }, false},
		{"control in boot id", func(m *B, _ *P) { m.BootId = "a\nb" }, false},
		{"negative time since boot", func(m *B, _ *P) { m.BoottimeNs = -1 }, false},
		{"negative clock", func(m *B, _ *P) { m.WallNs = -1 }, false},
		{"ends before it starts", func(m *B, _ *P) { m.LastNs = m.FirstNs - 1 }, false},
		{"window before the first time", func(_ *B, p *P) { p.Groups[0].StartDeltaNs = -1 }, false},
		{"window after the last time", func(m *B, _ *P) { m.LastNs-- }, false},
		{"time beyond int64", func(_ *B, p *P) { p.Groups[1].StartDeltaNs = math.MaxInt64 }, false},
		{"time below int64", func(_ *B, p *P) { p.Groups[1].StartDeltaNs = math.MinInt64 }, false},
		{"window of no length", func(_ *B, p *P) { p.Groups[0].LengthNs = 0 }, false},
		{"window of three days", func(m *B, p *P) { m.LastNs += 1 << 60; p.Groups[0].LengthNs = uint64(72 * time.Hour) }, false},
		{"length beyond int64", func(_ *B, p *P) { p.Groups[0].LengthNs = math.MaxUint64 }, false},
		{"unbalanced", func(_ *B, p *P) { p.Groups[0].DurationNs[0]-- }, false},
		{"over-full", func(_ *B, p *P) { p.Groups[0].DurationNs[0]++ }, false},
		{"a group missing", func(_ *B, p *P) { p.Groups = p.Groups[1:] }, false},
		{"a group twice", func(_ *B, p *P) { p.Groups = append(p.Groups, p.Groups[0]) }, false},
		{"state 0", func(_ *B, p *P) { p.Groups[0].State = 0 }, false},
		{"state 5", func(_ *B, p *P) { p.Groups[0].State = 5 }, false},
		{"state 257", func(_ *B, p *P) { p.Groups[0].State = 257 }, false},
		{"device out of range", func(_ *B, p *P) { p.Groups[0].Device[1] = 2 }, false},
		{"device twice in a group", func(_ *B, p *P) { p.Groups[0].Device[1] = 0 }, false},
		{"devices out of order", func(_ *B, p *P) { slices.Reverse(p.Groups[0].Device) }, false},
		{"workload out of range", func(_ *B, p *P) { p.Groups[0].Workload = 2 }, false},
		{"tenant out of range", func(_ *B, p *P) { p.Groups[0].Tenant = 2 }, false},
		{"method out of range", func(_ *B, p *P) { p.Groups[0].Method = 2 }, false},
		{"no columns", func(_ *B, p *P) { p.Groups = append(p.Groups, &wire.GroupMessage{LengthNs: 1, State: 1}) }, false},
		{"short durations", func(_ *B, p *P) { p.Groups[0].DurationNs = p.Groups[0].DurationNs[:1] }, false},
		{"short low", func(_ *B, p *P) { p.Groups[0].OpsLow = p.Groups[0].OpsLow[:1] }, false},
		{"long best", func(_ *B, p *P) { p.Groups[0].OpsBest = append(p.Groups[0].OpsBest, 1) }, false},
		{"no high", func(_ *B, p *P) { p.Groups[0].OpsHigh = nil }, false},
		{"no ceiling", func(_ *B, p *P) { p.Groups[0].Ceiling = nil }, false},
		{"long energy", func(_ *B, p *P) { p.Groups[0].Energy = append(p.Groups[0].Energy, 1) }, false},
		{"low beyond sums", func(_ *B, p *P) { p.Groups[0].OpsLow[0] = 1 << 62 }, false},
		{"best beyond int64", func(_ *B, p *P) { p.Groups[0].OpsBest[0] = math.MaxUint64 }, false},
		{"high beyond sums", func(_ *B, p *P) { p.Groups[0].OpsHigh[0] = math.MaxInt64 }, false},
		{"ceiling beyond sums", func(_ *B, p *P) { p.Groups[0].Ceiling[0] = math.MaxInt64 }, false},
		{"energy beyond sums", func(_ *B, p *P) { p.Groups[0].Energy[0] = math.MaxUint64 }, false},
		{"control character", func(_ *B, p *P) { p.Facts.Name = "a\x1b[2Jb" }, false},
		{"direction override", func(_ *B, p *P) { p.Devices[0].Name = "a\u202eb" }, false},
		{"direction isolate", func(_ *B, p *P) { p.Tenants[0] = "a\u2066b" }, false},
		{"zero width", func(_ *B, p *P) { p.Workloads[0].Id = "a\u200bb" }, false},
		{"byte order mark", func(_ *B, p *P) { p.Workloads[0].Hint = "\ufeff" }, false},
		{"line separator", func(_ *B, p *P) { p.Methods[0].Reason = "a\u2028b" }, false},
		{"delete", func(_ *B, p *P) { p.Methods[0].Grade = "\x7f" }, false},
		{"longest text", func(_ *B, p *P) { p.Facts.Os = strings.Repeat("x", wire.MaxString) }, true},
		{"too long a text", func(_ *B, p *P) { p.Facts.Os = strings.Repeat("x", wire.MaxString+1) }, false},
		{"too many devices", func(_ *B, p *P) {
			for i := range wire.MaxDevices {
				p.Devices = append(p.Devices, &wire.DeviceMessage{Id: fmt.Sprint(i)})
			}
		}, false},
		{"too many tenants", func(_ *B, p *P) { p.Tenants = many(wire.MaxWords + 1) }, false},
		{"device twice", func(_ *B, p *P) { p.Devices[1].Id = p.Devices[0].Id }, false},
		{"device without id", func(_ *B, p *P) { p.Devices[1].Id = "" }, false},
		{"negative peak", func(_ *B, p *P) { p.Devices[0].Peak = -1 }, false},
		{"ceiling below peak", func(_ *B, p *P) { p.Devices[0].Ceiling = p.Devices[0].Peak - 1 }, false},
		{"impossible SM count", func(_ *B, p *P) { p.Devices[0].SmCount = math.MaxUint32 }, false},
		{"impossible memory", func(_ *B, p *P) { p.Devices[0].MemoryMib = math.MaxUint64 }, false},
		{"tenant without id", func(_ *B, p *P) { p.Tenants[0] = "" }, false},
		{"workload without kind", func(_ *B, p *P) { p.Workloads[0].Kind = "" }, false},
		{"method without name", func(_ *B, p *P) { p.Methods[0].Name = "" }, false},
		{"method version beyond int32", func(_ *B, p *P) { p.Methods[0].Version = math.MaxUint32 }, false},
		{"unknown codec", func(m *B, _ *P) { m.Codec = 2 }, false},
		{"payload is not protobuf", func(m *B, _ *P) { m.Payload = []byte{0xff} }, false},
		{"payload is not zstd", func(m *B, _ *P) { m.Codec, m.Payload = wire.Codec_CODEC_ZSTD, []byte("hello") }, false},
		{"bomb within the size", func(m *B, _ *P) { m.Codec, m.Payload = wire.Codec_CODEC_ZSTD, bomb(t, wire.MaxPayload/2) }, false},
		{"bomb beyond the size", func(m *B, _ *P) { m.Codec, m.Payload = wire.Codec_CODEC_ZSTD, bomb(t, 2*wire.MaxPayload) }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b, err := wire.Decode(rewrite(t, tt.change))
			if tt.ok && err != nil || !tt.ok && !errors.Is(err, wire.ErrInvalid) {
				t.Errorf("error %v", err)
			}
			if (b != nil) != tt.ok {
				t.Errorf("batch %+v", b)
			}
		})
	}
	if _, err := wire.Decode([]byte("hello")); !errors.Is(err, wire.ErrInvalid) {
		t.Errorf("not protobuf: %v", err)
	}
}

// TestEncodeRefuses: what Decode would refuse must not be signed in the first
// place, because nothing after it in the chain could be counted.
func TestEncodeRefuses(t *testing.T) {
	tests := []struct {
		name   string
		change func(*wire.Batch)
	}{
		{"version", func(b *wire.Batch) { b.Version = 9 }},
		{"host", func(b *wire.Batch) { b.Host = "x" }},
		{"number", func(b *wire.Batch) { b.Seq = 0 }},
		{"times", func(b *wire.Batch) { b.LastNS = b.FirstNS - 1 }},
		{"window before the header's time", func(b *wire.Batch) { b.FirstNS++ }},
		{"window after the header's time", func(b *wire.Batch) { b.LastNS-- }},
		{"unknown device", func(b *wire.Batch) { b.Windows[0].Device = "x" }},
		{"unbalanced", func(b *wire.Batch) { b.Windows[0].Entries[0].Duration-- }},
		{"window twice", func(b *wire.Batch) { b.Windows = append(b.Windows, b.Windows[0]) }},
		{"device twice", func(b *wire.Batch) { b.Devices[1].ID = b.Devices[0].ID; b.Windows = b.Windows[:1] }},
		{"control character", func(b *wire.Batch) { b.Devices[0].Name = "\x00" }},
		{"direction override", func(b *wire.Batch) { b.Windows[0].Entries[0].Workload.ID = "\u202e" }},
		{"too many devices", func(b *wire.Batch) { *b = *example(wire.MaxDevices+1, 1) }},
		{"too many windows", func(b *wire.Batch) { *b = *example(1, wire.MaxWindows+1) }},
		{"operations beyond sums", func(b *wire.Batch) { b.Windows[0].Entries[0].Operations.High = compute.MaxOperations }},
		{"negative ceiling", func(b *wire.Batch) { b.Windows[0].Entries[0].Ceiling = -1 }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := example(2, 2)
			tt.change(b)
			if body, err := wire.Encode(b); err == nil {
				_, err := wire.Decode(body)
				t.Errorf("encoded, and Decode says %v", err)
			}
		})
	}
}

func TestReceipt(t *testing.T) {
	want := wire.Receipt{Host: host, Epoch: 1, Seq: math.MaxInt64, Hash: [32]byte{1, 31: 9}, Collector: "c"}
	body, err := wire.EncodeReceipt(want)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := wire.DecodeReceipt(body); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	tests := []struct {
		name string
		m    *wire.ReceiptMessage
	}{
		{"host", &wire.ReceiptMessage{Host: "x", Hash: make([]byte, 32)}},
		{"hash", &wire.ReceiptMessage{Host: host, Hash: make([]byte, 31)}},
		{"collector", &wire.ReceiptMessage{Host: host, Hash: make([]byte, 32), Collector: "\u202e"}},
		{"epoch", &wire.ReceiptMessage{Host: host, Hash: make([]byte, 32), Epoch: 1 << 63}},
		{"number", &wire.ReceiptMessage{Host: host, Hash: make([]byte, 32), Seq: 1 << 63}},
	}
	for _, tt := range tests {
		body, err := proto.Marshal(tt.m)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := wire.DecodeReceipt(body); !errors.Is(err, wire.ErrInvalid) || got != (wire.Receipt{}) {
			t.Errorf("%s: got %+v, %v", tt.name, got, err)
		}
	}
}

func TestSubjects(t *testing.T) {
	if got, want := wire.BatchSubject(host), "telemetry."+host+".batch"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := wire.ReceiptSubject(host), "receipt."+host; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(nil))
	f.Add([]byte("hello"))
	f.Add(mustEncode(f, example(0, 0)))
	f.Add(mustEncode(f, example(2, 2)))
	f.Add(mustEncode(f, example(4, 30)))
	stand := example(2, 2) // that stands for others, and a tombstone
	stand.FirstSeq, stand.ChainHash, stand.ClockNS = 7, [32]byte{1, 2, 3}, start-77
	f.Add(mustEncode(f, stand))
	stand.Windows, stand.Events = nil, []measure.Event{{TimeNS: start, Kind: measure.EventDropped, Code: 35, Detail: "the spool was full"}}
	f.Add(mustEncode(f, stand))
	f.Add(rewrite(f, func(m *wire.BatchMessage, _ *wire.PayloadMessage) { m.FirstSeq, m.ChainHash = 1, m.ChainHash[:0] }))
	f.Add(rewrite(f, func(_ *wire.BatchMessage, p *wire.PayloadMessage) { p.Groups[1].StartDeltaNs = math.MinInt64 }))
	f.Add(rewrite(f, func(m *wire.BatchMessage, _ *wire.PayloadMessage) {
		m.Codec, m.Payload = wire.Codec_CODEC_ZSTD, bomb(f, 1<<20)
	}))
	f.Fuzz(func(t *testing.T, body []byte) {
		b, err := wire.Decode(body)
		asReference(t, body, b, err)
		if err != nil {
			if b != nil || !errors.Is(err, wire.ErrInvalid) {
				t.Fatalf("batch %v beside error %v", b, err)
			}
			return
		}
		want := normal(b)
		again, err := wire.Encode(b)
		if err != nil {
			// Only merged entries can be too much for one.
			for _, w := range want.Windows {
				for _, e := range w.Entries {
					if e.Operations.High > math.MaxInt64/4 || e.Ceiling > math.MaxInt64/4 || e.EnergyMJ >= math.MaxInt64/4 {
						return
					}
				}
			}
			t.Fatalf("a decoded batch does not encode: %v", err)
		}
		got, err := wire.Decode(again)
		if err != nil {
			t.Fatalf("a batch encoded anew does not decode: %v", err)
		}
		if diff := gocmp.Diff(want, normal(got), cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	})
}

func FuzzDecodeReceipt(f *testing.F) {
	good, err := wire.EncodeReceipt(wire.Receipt{Host: host, Epoch: 1, Seq: 2, Collector: "c"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(nil))
	f.Add([]byte("hello"))
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := wire.DecodeReceipt(body)
		if err != nil {
			if r != (wire.Receipt{}) || !errors.Is(err, wire.ErrInvalid) {
				t.Fatalf("receipt %+v beside error %v", r, err)
			}
			return
		}
		again, err := wire.EncodeReceipt(r)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := wire.DecodeReceipt(again); err != nil || got != r {
			t.Fatalf("got %+v, %v; want %+v", got, err, r)
		}
	})
}

func perWindow(b *testing.B, windows int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(windows), "ns/device-window")
}

func BenchmarkEncode(b *testing.B) {
	batch := example(8, 60)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := wire.Encode(batch); err != nil {
			b.Fatal(err)
		}
	}
	perWindow(b, len(batch.Windows))
}

func BenchmarkDecode(b *testing.B) {
	batch := example(8, 60)
	body := mustEncode(b, batch)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := wire.Decode(body); err != nil {
			b.Fatal(err)
		}
	}
	perWindow(b, len(batch.Windows))
}

func FuzzDecodeLeases(f *testing.F) {
	good, err := wire.EncodeLeases(wire.Leases{Host: host, IssuedNS: 1, Lines: []byte(`{"tenant":"t"}`)})
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(nil))
	f.Add(good)
	f.Add(good[:len(good)-3])
	f.Fuzz(func(t *testing.T, body []byte) {
		l, err := wire.DecodeLeases(body)
		if err != nil {
			if l.Host != "" || !errors.Is(err, wire.ErrInvalid) {
				t.Fatalf("leases %+v beside error %v", l, err)
			}
			return
		}
		again, err := wire.EncodeLeases(l)
		if err != nil {
			t.Fatalf("decoded leases do not encode: %v", err)
		}
		if got, err := wire.DecodeLeases(again); err != nil || got.Host != l.Host || got.IssuedNS != l.IssuedNS || !bytes.Equal(got.Lines, l.Lines) {
			t.Fatalf("%+v became %+v, %v", l, got, err)
		}
	})
}
