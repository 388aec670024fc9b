package attest_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/flopwatch/flopwatch/pkg/attest"
)

func keyOf(n int) ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	copy(seed, fmt.Sprint("key ", n))
	return ed25519.NewKeyFromSeed(seed)
}

// Whatever is wrong with some of them, an Opener says of each envelope what Open says
// of it alone.
func TestOpenerAgreesWithOpen(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := attest.Opener{Keys: &attest.Keys{Most: rapid.IntRange(0, 9).Draw(t, "keys")}}
		for range rapid.IntRange(1, 3).Draw(t, "times") {
			var all [][]byte
			for i := range rapid.IntRange(0, 24).Draw(t, "envelopes") {
				envelope := attest.Seal(keyOf(i%7), attest.DomainBatch, fmt.Append(nil, "body ", i))
				switch rapid.SampledFrom([]string{"good", "good", "good", "good", "good", "good", "good", "good", "flipped", "cut", "other domain"}).Draw(t, "kind") {
				case "flipped":
					bit := rapid.IntRange(0, len(envelope)*8-1).Draw(t, "bit")
					envelope[bit/8] ^= 1 << (bit % 8)
				case "cut":
					envelope = envelope[:rapid.IntRange(0, len(envelope)-1).Draw(t, "length")]
				case "other domain":
					envelope = attest.Seal(keyOf(i%7), attest.DomainReceipt, fmt.Append(nil, "body ", i))
				}
				all = append(all, envelope)
			}
			got := o.Open(attest.DomainBatch, all)
			if len(got) != len(all) {
				t.Fatalf("%d answers on %d envelopes", len(got), len(all))
			}
			for i, envelope := range all {
				key, body, err := attest.Open(attest.DomainBatch, envelope)
				g := got[i]
				if !bytes.Equal(g.Key, key) || !bytes.Equal(g.Body, body) || (g.Err == nil) != (err == nil) || err != nil && g.Err.Error() != err.Error() {
					t.Fatalf("envelope %d: together %x %q %v, alone %x %q %v", i, g.Key, g.Body, g.Err, key, body, err)
				}
			}
		}
	})
}

// order is the number of points in the group that honest keys are of.
var order, _ = new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)

// torsioned signs a body so that crypto/ed25519 refuses the signature and the equation
// with the cofactor holds: R is a point of small order, which only the owner of the
// key can do.
func torsioned(t *testing.T, key ed25519.PrivateKey, domain string, body []byte) []byte {
	t.Helper()
	r, err := hex.DecodeString("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05") // of order 8
	if err != nil {
		t.Fatal(err)
	}
	envelope := attest.Seal(key, domain, body)
	pub := key.Public().(ed25519.PublicKey)
	digest := attest.Signed(domain, pub, body)
	h := sha512.Sum512(key.Seed())
	h[0] &= 248
	h[31] = h[31]&127 | 64
	k := sha512.Sum512(bytes.Join([][]byte{r, pub, digest}, nil))
	s := new(big.Int).Mul(little(k[:]), little(h[:32]))
	s.Mod(s, order)
	copy(envelope[4+32:], r)
	copy(envelope[4+32+32:], turned(s.FillBytes(make([]byte, 32))))
	return envelope
}

func little(b []byte) *big.Int { return new(big.Int).SetBytes(turned(bytes.Clone(b))) }

// turned turns the bytes of a number round.
func turned(b []byte) []byte {
	slices.Reverse(b)
	return b
}

// A host that makes a signature on which the usual equations disagree finds one answer
// everywhere: alone, among others, and wherever it stands among them.
func TestSignaturesWithTorsionHaveOneAnswer(t *testing.T) {
	for n := range 8 {
		odd := torsioned(t, keyOf(n), attest.DomainBatch, fmt.Append(nil, "odd ", n))
		pub := keyOf(n).Public().(ed25519.PublicKey)
		if ed25519.Verify(pub, attest.Signed(attest.DomainBatch, pub, odd[attest.Overhead:]), odd[4+32:attest.Overhead]) {
			t.Fatal("crypto/ed25519 accepts it: this test says nothing")
		}
		_, _, alone := attest.Open(attest.DomainBatch, odd)
		if alone != nil {
			t.Errorf("alone: %v", alone)
		}
		for range 4 {
			all := make([][]byte, 32)
			for i := range all {
				all[i] = attest.Seal(keyOf(i), attest.DomainBatch, []byte("body"))
			}
			all[n*4] = odd
			var o attest.Opener
			if got := o.Open(attest.DomainBatch, all)[n*4].Err; !errors.Is(got, alone) {
				t.Fatalf("among others: %v, alone: %v", got, alone)
			}
		}
	}
}

// Under a key of small order a signature says nothing: anybody makes one. Each of the
// eight is refused, alone and among others.
func TestKeysOfSmallOrderAreRefused(t *testing.T) {
	for _, point := range []string{
		"0100000000000000000000000000000000000000000000000000000000000000", "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"0000000000000000000000000000000000000000000000000000000000000000", "0000000000000000000000000000000000000000000000000000000000000080",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05", "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a", "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
	} {
		key, err := hex.DecodeString(point)
		if err != nil {
			t.Fatal(err)
		}
		forged := bytes.Join([][]byte{[]byte("FWE1"), key, key, make([]byte, 32), []byte("anything")}, nil)
		if _, _, err := attest.Open(attest.DomainBatch, forged); !errors.Is(err, attest.ErrSignature) {
			t.Errorf("key %s: %v", point, err)
		}
		all := make([][]byte, 8)
		for i := range all {
			all[i] = attest.Seal(keyOf(i), attest.DomainBatch, []byte("body"))
		}
		all[3] = forged
		var o attest.Opener
		for i, got := range o.Open(attest.DomainBatch, all) {
			if (got.Err != nil) != (i == 3) {
				t.Errorf("key %s, envelope %d: %v", point, i, got.Err)
			}
		}
	}
}

// Two signatures that are wrong by as much in turned signs are refused, where a sum
// without random weights would not tell.
func TestFaultsDoNotCancel(t *testing.T) {
	var all [][]byte
	for i := range 16 {
		all = append(all, attest.Seal(keyOf(i), attest.DomainBatch, []byte("body")))
	}
	shift := func(envelope []byte, by int64) {
		s := new(big.Int).Add(little(envelope[4+32+32:attest.Overhead]), big.NewInt(by))
		copy(envelope[4+32+32:attest.Overhead], turned(s.Mod(s, order).FillBytes(make([]byte, 32))))
	}
	shift(all[3], 1)
	shift(all[11], -1)
	var o attest.Opener
	for i, got := range o.Open(attest.DomainBatch, all) {
		if (got.Err != nil) != (i == 3 || i == 11) {
			t.Errorf("envelope %d: %v", i, got.Err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	for _, n := range []int{1, 8, 32, 128, 512} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			all := make([][]byte, n)
			for i := range all {
				all[i] = attest.Seal(keyOf(i), attest.DomainBatch, make([]byte, 800))
			}
			o := attest.Opener{Keys: &attest.Keys{Most: 2000}}
			b.ReportAllocs()
			for i := 0; i < b.N; i += n {
				o.Open(attest.DomainBatch, all)
			}
		})
	}
}
