package wire_test

import (
	"bytes"
	"fmt"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/flopwatch/flopwatch/pkg/wire"
)

type failer interface{ Fatalf(string, ...any) }

// asReference fails where the decoder says something else of a batch than the one
// that reads through generated code.
func asReference(t failer, body []byte, b *wire.Batch, err error) {
	want, wantErr := wire.DecodeReference(body)
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("decoded with %v, read through generated code with %v", err, wantErr)
	}
	if diff := gocmp.Diff(want, b, cmpopts.EquateEmpty()); err == nil && diff != "" {
		t.Fatalf("(-read through generated code +decoded):\n%s", diff)
	}
}

// One decoder reads batches one after the other, good and damaged ones, as if it
// were new each time.
func TestDecoderIsAsTheReference(t *testing.T) {
	accepted := 0
	rapid.Check(t, func(t *rapid.T) {
		d := wire.Decoder{}
		for range rapid.IntRange(1, 6).Draw(t, "batches") {
			b := example(rapid.IntRange(0, 9).Draw(t, "devices"), rapid.IntRange(0, 12).Draw(t, "windows"))
			for i := range b.Windows {
				for j := range b.Windows[i].Entries {
					if e := &b.Windows[i].Entries[j]; rapid.IntRange(0, 4).Draw(t, "other") == 0 {
						e.Workload.Kind, e.Workload.ID = "pod", fmt.Sprint(rapid.IntRange(0, 3).Draw(t, "id"))
					}
				}
			}
			body, err := wire.Encode(b)
			if err != nil {
				t.Fatal(err)
			}
			if rapid.Bool().Draw(t, "damaged") {
				body = damage(t, body)
			}
			got, err := d.Decode(body)
			asReference(t, body, got, err)
			if err == nil {
				accepted++
			}
		}
	})
	if accepted == 0 {
		t.Error("no batch was accepted")
	}
}

// damage changes the payload, not packed, so that most damage is seen by more than
// the decompression.
func damage(t *rapid.T, body []byte) []byte {
	m, p := &wire.BatchMessage{}, &wire.PayloadMessage{}
	if err := proto.Unmarshal(body, m); err != nil {
		t.Fatal(err)
	}
	raw, err := wire.UnpackReference(m)
	if err != nil {
		t.Fatal(err)
	}
	if err := proto.Unmarshal(raw, p); err != nil {
		t.Fatal(err)
	}
	raw = bytes.Clone(raw)
	for range rapid.IntRange(0, 3).Draw(t, "bytes") {
		if len(raw) > 0 {
			raw[rapid.IntRange(0, len(raw)-1).Draw(t, "at")] = byte(rapid.IntRange(0, 255).Draw(t, "byte"))
		}
	}
	if rapid.IntRange(0, 5).Draw(t, "twice") == 0 {
		raw = append(raw, raw[:rapid.IntRange(0, len(raw)).Draw(t, "again")]...)
	}
	m.Codec, m.Payload = wire.Codec_CODEC_NONE, raw
	out, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if rapid.IntRange(0, 5).Draw(t, "outer") == 0 {
		out[rapid.IntRange(0, len(out)-1).Draw(t, "at")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
	}
	return out
}

// What a decoder allocates does not grow with the windows: a copy of the texts, and
// host id and boot id of the header.
func TestDecodeAllocatesNothingPerWindow(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates")
	}
	for _, windows := range []int{1, 6, 60} {
		body := mustEncode(t, example(8, windows))
		d := wire.Decoder{}
		n := testing.AllocsPerRun(100, func() {
			if _, err := d.Decode(body); err != nil {
				t.Fatal(err)
			}
		})
		if n > 4 {
			t.Errorf("%d windows of 8 devices: %g allocations, want at most 4", windows, n)
		}
	}
}

func BenchmarkDecoder(b *testing.B) {
	for _, windows := range []int{1, 6, 60} {
		body := mustEncode(b, example(8, windows))
		b.Run(fmt.Sprintf("windows=%d", windows), func(b *testing.B) {
			d := wire.Decoder{}
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				if _, err := d.Decode(body); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("reference/windows=%d", windows), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := wire.DecodeReference(body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
