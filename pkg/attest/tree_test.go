package attest_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"github.com/flopwatch/flopwatch/pkg/attest"
)

func bodies(n int) [][]byte {
	all := make([][]byte, n)
	for i := range all {
		all[i] = fmt.Append(nil, "body ", i)
	}
	return all
}

// Each of the bodies that were signed together opens, whatever their number.
func TestSealTogether(t *testing.T) {
	key := testKey(t)
	for n := range 70 {
		all := bodies(n)
		sealed := attest.SealTogether(key, attest.DomainReceipt, all)
		if len(sealed) != n {
			t.Fatalf("%d envelopes of %d bodies", len(sealed), n)
		}
		for i, envelope := range sealed {
			pub, body, err := attest.OpenEither(attest.DomainReceipt, envelope)
			if err != nil || !bytes.Equal(body, all[i]) || !pub.Equal(key.Public()) {
				t.Fatalf("%d of %d: %x, %q, %v", i, n, pub, body, err)
			}
			if body, err := attest.Unverified(envelope); err != nil || !bytes.Equal(body, all[i]) {
				t.Errorf("%d of %d: unverified %q, %v", i, n, body, err)
			}
		}
	}
}

// The tree is the one of RFC 9162: another implementation finds each path good.
func TestTreeIsOfTheRFC(t *testing.T) {
	for _, n := range []int{1, 2, 3, 5, 8, 13, 100} {
		all := bodies(n)
		var stored []tlog.Hash
		reader := tlog.HashReaderFunc(func(at []int64) ([]tlog.Hash, error) {
			out := make([]tlog.Hash, len(at))
			for i, k := range at {
				out[i] = stored[k]
			}
			return out, nil
		})
		for i, body := range all {
			more, err := tlog.StoredHashes(int64(i), body, reader)
			if err != nil {
				t.Fatal(err)
			}
			stored = append(stored, more...)
		}
		root, err := tlog.TreeHash(int64(n), reader)
		if err != nil {
			t.Fatal(err)
		}
		for i, envelope := range attest.SealTogether(testKey(t), attest.DomainReceipt, all) {
			raw := envelope[4+32+64+8 : len(envelope)-len(all[i])]
			var proof tlog.RecordProof
			for ; len(raw) > 0; raw = raw[32:] {
				proof = append(proof, tlog.Hash(raw[:32]))
			}
			if err := tlog.CheckRecord(proof, int64(n), root, int64(i), tlog.RecordHash(all[i])); err != nil {
				t.Errorf("%d of %d: %v", i, n, err)
			}
		}
	}
}

// No bit of an envelope can be changed, and nothing cut or added.
func TestEveryChangeOfATreeIsRefused(t *testing.T) {
	for _, n := range []int{1, 3} {
		for i, envelope := range attest.SealTogether(testKey(t), attest.DomainReceipt, bodies(n)) {
			for bit := range len(envelope) * 8 {
				envelope[bit/8] ^= 1 << (bit % 8)
				if _, body, err := attest.OpenEither(attest.DomainReceipt, envelope); err == nil || body != nil {
					t.Fatalf("%d of %d: bit %d of byte %d: %q, %v", i, n, bit%8, bit/8, body, err)
				}
				envelope[bit/8] ^= 1 << (bit % 8)
			}
			for end := range len(envelope) {
				if _, _, err := attest.OpenEither(attest.DomainReceipt, envelope[:end]); err == nil {
					t.Fatalf("%d of %d: cut to %d bytes", i, n, end)
				}
			}
			if _, _, err := attest.OpenEither(attest.DomainReceipt, append(envelope, 0)); !errors.Is(err, attest.ErrSignature) {
				t.Errorf("%d of %d: one byte more: %v", i, n, err)
			}
		}
	}
}

// What was signed together is taken for nothing else, and nothing else for it.
func TestTreesAndEnvelopesAreApart(t *testing.T) {
	key := testKey(t)
	one := attest.SealTogether(key, attest.DomainReceipt, bodies(1))[0]
	if _, _, err := attest.Open(attest.DomainReceipt, one); !errors.Is(err, attest.ErrFormat) {
		t.Errorf("Open takes what was signed together: %v", err)
	}
	if _, _, err := attest.OpenEither(attest.DomainBatch, one); !errors.Is(err, attest.ErrSignature) {
		t.Errorf("another domain: %v", err)
	}
	alone := attest.Seal(key, attest.DomainReceipt, []byte("alone"))
	if _, body, err := attest.OpenEither(attest.DomainReceipt, alone); err != nil || string(body) != "alone" {
		t.Errorf("OpenEither of an envelope: %q, %v", body, err)
	}
	// A node is no leaf: the bytes of two hashes cannot be passed off as a body.
	four := attest.SealTogether(key, attest.DomainReceipt, bodies(4))
	const path = 4 + 32 + 64 + 8
	forged := append(bytes.Clone(four[0][:path-8]), 0, 0, 0, 0, 0, 0, 0, 2)
	forged = append(forged, four[0][path+32:path+64]...)
	if _, _, err := attest.OpenEither(attest.DomainReceipt, append(forged, four[0][path:path+64]...)); err == nil {
		t.Error("a node was taken for a body")
	}
}

// What agents of this version read, those of the next must read too.
func TestTreeVector(t *testing.T) {
	envelope := attest.SealTogether(testKey(t), attest.DomainReceipt, bodies(3))[2]
	if got := hex.EncodeToString(envelope); got != treeVector {
		t.Errorf("the envelope is %s", got)
	}
}

const treeVector = "46575431" + // magic
	"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a" + // key
	"59ad64104f7e703a88d39fa9504dabab5fc0fe5096f1ef579e10dd5257183b6208614756ef4a9c74624cd7dfbe2a2798635834387824a673f5e48f1d07af100a" + // signature
	"00000002" + "00000003" + // index, bodies
	"1d19067e868b54137b2e36897c844389a96f7f5da289ac11be9137edd4046955" + // path
	"626f64792032"

func FuzzOpenEither(f *testing.F) {
	key := keyOf(1)
	for _, n := range []int{1, 3, 8} {
		f.Add(attest.SealTogether(key, attest.DomainReceipt, bodies(n))[n-1])
	}
	f.Add(attest.Seal(key, attest.DomainReceipt, []byte("alone")))
	f.Add([]byte("FWT1"))
	f.Fuzz(func(t *testing.T, envelope []byte) {
		pub, body, err := attest.OpenEither(attest.DomainReceipt, envelope)
		bare, unverified := attest.Unverified(envelope)
		if err == nil && (unverified != nil || !bytes.Equal(bare, body) || len(pub) != ed25519.PublicKeySize) {
			t.Fatalf("opened %q by %x, unverified %q, %v", body, pub, bare, unverified)
		}
		if err != nil && (pub != nil || body != nil) {
			t.Fatalf("refused, and returned %q by %x", body, pub)
		}
	})
}

func TestSealTogetherProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 200), 1, 40).Draw(t, "bodies")
		key := keyOf(rapid.IntRange(0, 5).Draw(t, "key"))
		i := rapid.IntRange(0, len(all)-1).Draw(t, "which")
		_, body, err := attest.OpenEither(attest.DomainReceipt, attest.SealTogether(key, attest.DomainReceipt, all)[i])
		if err != nil || !bytes.Equal(body, all[i]) {
			t.Fatalf("%x, %v", body, err)
		}
	})
}

func BenchmarkSealTogether(b *testing.B) {
	all := bodies(512)
	b.ReportAllocs()
	for i := 0; i < b.N; i += len(all) {
		attest.SealTogether(keyOf(1), attest.DomainReceipt, all)
	}
}
