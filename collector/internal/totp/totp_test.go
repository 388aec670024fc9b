package totp

import (
	"crypto/sha1" //nolint:gosec // of the vectors
	"crypto/sha256"
	"crypto/sha512"
	"hash"
	"net/url"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Appendix B of RFC 6238.
func TestVectorsOfTheRFC(t *testing.T) {
	seed := func(n int) []byte { return []byte(strings.Repeat("1234567890", 7)[:n]) }
	for _, v := range []struct {
		at                   int64
		sha1, sha256, sha512 string
	}{
		{59, "94287082", "46119246", "90693936"},
		{1111111109, "07081804", "68084774", "25091201"},
		{1111111111, "14050471", "67062674", "99943326"},
		{1234567890, "89005924", "91819424", "93441116"},
		{2000000000, "69279037", "90698825", "38618901"},
		{20000000000, "65353130", "77737706", "47863826"},
	} {
		step := Step(time.Unix(v.at, 0))
		for _, c := range []struct {
			h    func() hash.Hash
			n    int
			want string
		}{{sha1.New, 20, v.sha1}, {sha256.New, 32, v.sha256}, {sha512.New, 64, v.sha512}} {
			if got := code(c.h, seed(c.n), step, 8); got != c.want {
				t.Errorf("at %d with %d bytes: %s, want %s", v.at, c.n, got, c.want)
			}
		}
		if got := Code(seed(20), step); got != v.sha1[2:] {
			t.Errorf("at %d: six digits are %s", v.at, got)
		}
	}
}

func TestACodeIsGoodOnceAndNearItsTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		secret := rapid.SliceOfN(rapid.Byte(), SecretSize, SecretSize).Draw(t, "secret")
		now := time.Unix(rapid.Int64Range(0, 1<<33).Draw(t, "now"), 0)
		away := rapid.Int64Range(-5, 5).Draw(t, "away")
		text := Code(secret, Step(now)+away)
		step, ok := Check(secret, text, now, -1<<62)
		if within := away >= -Drift && away <= Drift; within && !ok {
			t.Fatalf("refused %d steps away", away)
		} else if !within && ok && Code(secret, step) != text {
			t.Fatalf("taken %d steps away", away)
		}
		if !ok {
			return
		}
		if again, ok := Check(secret, text, now, step); ok && Code(secret, again) != text || ok && again <= step {
			t.Fatal("taken twice")
		}
	})
	secret := []byte("12345678901234567890")
	for _, bad := range []string{"", "0", "000000x", "９４２８７０", strings.Repeat("0", 1000)} {
		if _, ok := Check(secret, bad, time.Unix(59, 0), -1); ok {
			t.Errorf("%.20q is taken", bad)
		}
	}
}

func TestWhatAnAppReads(t *testing.T) {
	secret := []byte("12345678901234567890")
	u, err := url.Parse(URI("flopwatch", "ana", secret))
	if err != nil || u.Scheme != "otpauth" || u.Host != "totp" || u.Path != "/flopwatch:ana" || u.Query().Get("secret") != "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ" {
		t.Errorf("%v %v", u, err)
	}
	if got := Text(secret); got != "GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ" {
		t.Error(got)
	}
}
