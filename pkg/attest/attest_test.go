package attest_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"

	"github.com/flopwatch/flopwatch/pkg/attest"
)

// testKey is the first key of RFC 8032, section 7.1.
func testKey(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	seed, err := hex.DecodeString("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
	if err != nil {
		t.Fatal(err)
	}
	return ed25519.NewKeyFromSeed(seed)
}

func TestRoundTrip(t *testing.T) {
	key := testKey(t)
	rapid.Check(t, func(t *rapid.T) {
		body := rapid.SliceOfN(rapid.Byte(), 0, 2000).Draw(t, "body")
		domain := rapid.SampledFrom([]string{attest.DomainBatch, attest.DomainReceipt}).Draw(t, "domain")
		envelope := attest.Seal(key, domain, body)
		if len(envelope) != len(body)+attest.Overhead {
			t.Fatalf("envelope of %d bytes for a body of %d", len(envelope), len(body))
		}
		pub, got, err := attest.Open(domain, envelope)
		if err != nil || !bytes.Equal(got, body) || !pub.Equal(key.Public()) {
			t.Fatalf("Open = %x, %x, %v", pub, got, err)
		}
		if attest.Hash(envelope) != sha256.Sum256(envelope) {
			t.Fatal("the chain hash is not the SHA-256 of the envelope")
		}
	})
}

func TestEveryFlippedBitIsRefused(t *testing.T) {
	envelope := attest.Seal(testKey(t), attest.DomainBatch, []byte("operations"))
	for i := range len(envelope) * 8 {
		envelope[i/8] ^= 1 << (i % 8)
		pub, body, err := attest.Open(attest.DomainBatch, envelope)
		if err == nil || pub != nil || body != nil {
			t.Errorf("bit %d of byte %d: Open = %x, %x, %v", i%8, i/8, pub, body, err)
		}
		if want := i < 4*8; errors.Is(err, attest.ErrFormat) != want {
			t.Errorf("bit %d of byte %d: %v", i%8, i/8, err)
		}
		envelope[i/8] ^= 1 << (i % 8)
	}
	if _, _, err := attest.Open(attest.DomainBatch, envelope); err != nil {
		t.Fatalf("the envelope itself is refused: %v", err)
	}
}

func TestEveryTruncationIsRefused(t *testing.T) {
	envelope := attest.Seal(testKey(t), attest.DomainBatch, []byte("a body of some length"))
	for n := range len(envelope) {
		want := attest.ErrSignature
		if n < attest.Overhead {
			want = attest.ErrSize
		}
		if _, _, err := attest.Open(attest.DomainBatch, envelope[:n]); !errors.Is(err, want) {
			t.Errorf("%d of %d bytes: %v, want %v", n, len(envelope), err, want)
		}
	}
	if _, _, err := attest.Open(attest.DomainBatch, append(envelope, 0)); !errors.Is(err, attest.ErrSignature) {
		t.Errorf("one byte more: %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	key := testKey(t)
	other := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	sealed := attest.Seal(key, attest.DomainBatch, []byte("x"))
	swapped := bytes.Clone(sealed)
	copy(swapped[4:], other.Public().(ed25519.PublicKey))
	largest := attest.Seal(key, attest.DomainBatch, make([]byte, attest.MaxEnvelope-attest.Overhead))
	tests := []struct {
		name     string
		domain   string
		envelope []byte
		want     error
	}{
		{"good", attest.DomainBatch, sealed, nil},
		{"largest", attest.DomainBatch, largest, nil},
		{"one too large", attest.DomainBatch, attest.Seal(key, attest.DomainBatch, make([]byte, attest.MaxEnvelope-attest.Overhead+1)), attest.ErrSize},
		{"empty", attest.DomainBatch, nil, attest.ErrSize},
		{"batch as receipt", attest.DomainReceipt, sealed, attest.ErrSignature},
		{"receipt as batch", attest.DomainBatch, attest.Seal(key, attest.DomainReceipt, []byte("x")), attest.ErrSignature},
		{"no domain", "", sealed, attest.ErrSignature},
		{"domain with the zero byte moved", attest.DomainBatch + "\x00", sealed, attest.ErrSignature},
		{"another's key", attest.DomainBatch, swapped, attest.ErrSignature},
		{"unknown format", attest.DomainBatch, append([]byte("FWE2"), sealed[4:]...), attest.ErrFormat},
		{"all zero", attest.DomainBatch, append([]byte("FWE1"), make([]byte, 200)...), attest.ErrSignature},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, _, err := attest.Open(tt.domain, tt.envelope); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestHostIDVector(t *testing.T) {
	key := testKey(t)
	pub := key.Public().(ed25519.PublicKey)
	if got, want := hex.EncodeToString(pub), "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"; got != want {
		t.Fatalf("public key %s, want %s", got, want)
	}
	if got, want := attest.HostID(pub), "eh7ddx5bksrgcytl7bkai36se4"; got != want {
		t.Errorf("HostID = %s, want %s", got, want)
	}
}

func TestKeyFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "host.key")
	made, err := attest.LoadOrCreateKey(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 || info.Size() != ed25519.SeedSize {
		t.Errorf("key file has mode %04o and %d bytes", info.Mode().Perm(), info.Size())
	}
	read, err := attest.LoadOrCreateKey(path)
	if err != nil || !read.Equal(made) {
		t.Errorf("the second start has another key (%v)", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("left beside the key: %v, %v", entries, err)
	}
	other, err := attest.LoadOrCreateKey(filepath.Join(dir, "other.key"))
	if err != nil || other.Equal(made) {
		t.Errorf("two new keys are equal (%v)", err)
	}
}

func TestKeyFileRefused(t *testing.T) {
	tests := []struct {
		name string
		size int
		mode os.FileMode
		want error
	}{
		{"group may read", ed25519.SeedSize, 0o640, attest.ErrKeyMode},
		{"others may read", ed25519.SeedSize, 0o604, attest.ErrKeyMode},
		{"group may write", ed25519.SeedSize, 0o620, attest.ErrKeyMode},
		{"half written", ed25519.SeedSize / 2, 0o600, nil},
		{"empty", 0, 0o600, nil},
		{"too long", ed25519.SeedSize + 1, 0o600, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "host.key")
			before := bytes.Repeat([]byte{1}, tt.size)
			if err := os.WriteFile(path, before, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, tt.mode); err != nil {
				t.Fatal(err)
			}
			key, err := attest.LoadOrCreateKey(path)
			if err == nil || key != nil {
				t.Fatalf("got key of %d bytes, error %v", len(key), err)
			}
			if tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			// A bad key is never replaced: the host's identity would be lost.
			if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, before) {
				t.Errorf("the file changed to %x (%v)", after, err)
			}
		})
	}
	if _, err := attest.LoadOrCreateKey(filepath.Join(t.TempDir(), "missing", "host.key")); err == nil {
		t.Error("no error for a folder that does not exist")
	}
}

func FuzzOpen(f *testing.F) {
	key := testKey(f)
	f.Add([]byte(nil))
	f.Add([]byte("FWE1"))
	f.Add(attest.Seal(key, attest.DomainBatch, nil))
	f.Add(attest.Seal(key, attest.DomainBatch, []byte("body")))
	f.Add(attest.Seal(key, attest.DomainReceipt, []byte("body")))
	f.Fuzz(func(t *testing.T, envelope []byte) {
		pub, body, err := attest.Open(attest.DomainBatch, envelope)
		if err != nil {
			if pub != nil || body != nil {
				t.Errorf("key %x and body %x beside error %v", pub, body, err)
			}
			return
		}
		if len(pub) != ed25519.PublicKeySize || !bytes.Equal(body, envelope[attest.Overhead:]) {
			t.Errorf("key of %d bytes, body %x", len(pub), body)
		}
		if _, _, err := attest.Open(attest.DomainReceipt, envelope); err == nil {
			t.Error("one envelope opens in two domains")
		}
	})
}
