package enrol

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nkeys"
	"pgregory.net/rapid"
)

const host = "abcdefghijklmnopqrstuvwxyz"

func newKeys(t testing.TB) Private {
	t.Helper()
	_, signing, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	broker, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	return Private{Signing: signing, Broker: broker}
}

func TestTokenKeepsItsSecret(t *testing.T) {
	a, err := NewToken(host, [32]byte{1, 2, 31: 3})
	if err != nil {
		t.Fatal(err)
	}
	b, err := ParseToken("  " + a.Secret() + "\n")
	if err != nil || b != a || b.Host != host || b.Authority != [32]byte{1, 2, 31: 3} || b.Hash() != a.Hash() {
		t.Errorf("read back %v, %v", b, err)
	}
	secret := strings.Split(a.Secret(), ".")[1]
	for _, text := range []string{fmt.Sprint(a), fmt.Sprintf("%+v", a), fmt.Sprintf("%#v", a), fmt.Sprintf("%q", a)} {
		if strings.Contains(text, secret) {
			t.Errorf("%s shows the secret", text)
		}
	}
	if c, _ := NewToken(host, a.Authority); c.Secret() == a.Secret() {
		t.Error("two tokens are one")
	}
}

func TestWrongTokens(t *testing.T) {
	good, err := NewToken(host, [32]byte{})
	if err != nil {
		t.Fatal(err)
	}
	text := good.Secret()
	for _, bad := range []string{
		"", "fwj_", text[4:], strings.ToUpper(text), text + "a", text[:len(text)-1], strings.Replace(text, ".", "-", 1), strings.Replace(text, host, host[:25]+"0", 1),
		text[:len(text)-1] + "b", // the same hash in other words
	} {
		if _, err := ParseToken(bad); !errors.Is(err, ErrToken) {
			t.Errorf("%q: %v", bad, err)
		} else if len(bad) > 40 && strings.Contains(err.Error(), bad[30:40]) {
			t.Errorf("the error repeats the token: %v", err)
		}
	}
}

// Nothing of a request may be changed, and no key left out or put in another's
// place.
func TestRequestsHoldOnlyAsSigned(t *testing.T) {
	token, err := NewToken(host, [32]byte{9})
	if err != nil {
		t.Fatal(err)
	}
	other, _ := NewToken(host, [32]byte{9})
	mine, thief := newKeys(t), newKeys(t)
	nonce := []byte("nonce")
	good, err := Ask(token, nonce, mine, Facts{})
	if err != nil {
		t.Fatal(err)
	}
	if err := good.Verify(); err != nil {
		t.Fatal(err)
	}
	foreign, _ := Ask(token, nonce, thief, Facts{})
	for name, change := range map[string]func(*Request){
		"another token":              func(r *Request) { r.Token = other.Secret() },
		"another nonce":              func(r *Request) { r.Nonce = []byte("nonc") },
		"another signing key":        func(r *Request) { r.Keys.Signing = foreign.Keys.Signing },
		"another broker key":         func(r *Request) { r.Keys.Broker = foreign.Keys.Broker },
		"another's signature":        func(r *Request) { r.Keys.SigningSignature = foreign.Keys.SigningSignature },
		"another's broker signature": func(r *Request) { r.Keys.BrokerSignature = foreign.Keys.BrokerSignature },
		"no signature":               func(r *Request) { r.Keys.SigningSignature = nil },
		"no broker signature":        func(r *Request) { r.Keys.BrokerSignature = nil },
		"a short key":                func(r *Request) { r.Keys.Signing = r.Keys.Signing[:31] },
		"an account's nkey":          func(r *Request) { r.Keys.Broker = "A" + r.Keys.Broker[1:] },
		"a rotation's signatures": func(r *Request) {
			rot, _ := AskRotation(token.Secret(), nonce, mine.Signing, mine)
			r.Keys = rot.Keys
		},
	} {
		r := good
		change(&r)
		if err := r.Verify(); !errors.Is(err, ErrProof) {
			t.Errorf("%s: %v", name, err)
		}
	}
	next := newKeys(t)
	rotation, err := AskRotation(host, nonce, mine.Signing, next)
	if err != nil {
		t.Fatal(err)
	}
	if err := rotation.Verify(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Rotation){
		"another host":      func(r *Rotation) { r.Host = strings.Repeat("b", 26) },
		"another nonce":     func(r *Rotation) { r.Nonce = nil },
		"another old key":   func(r *Rotation) { r.OldSigning = foreign.Keys.Signing },
		"no old signature":  func(r *Rotation) { r.OldSignature = nil },
		"the new key's own": func(r *Rotation) { r.OldSignature = r.Keys.SigningSignature },
	} {
		r := rotation
		change(&r)
		if err := r.Verify(); !errors.Is(err, ErrProof) {
			t.Errorf("rotation, %s: %v", name, err)
		}
	}
}

func TestCounterIsTheCollectors(t *testing.T) {
	_, key, _ := ed25519.GenerateKey(nil)
	_, other, _ := ed25519.GenerateKey(nil)
	public := key.Public().(ed25519.PublicKey)
	rapid.Check(t, func(rt *rapid.T) {
		c := Counter{Host: host, Number: rapid.Uint64().Draw(rt, "number")}
		signed := c.Sign(key)
		got, err := ReadCounter(public, signed)
		if err != nil || got != c {
			rt.Fatalf("%+v, %v", got, err)
		}
		if _, err := ReadCounter(public, c.Sign(other)); !errors.Is(err, ErrCounter) {
			rt.Fatalf("another's counter: %v", err)
		}
		flipped := bytes.Clone(signed)
		flipped[rapid.IntRange(0, len(flipped)-1).Draw(rt, "at")] ^= 1
		if _, err := ReadCounter(public, flipped); !errors.Is(err, ErrCounter) {
			rt.Fatalf("a flipped bit: %v", err)
		}
		s := Showing{Signed: signed, Word: "ABCDEF"}
		back, err := ReadShowing(s.Encode())
		if err != nil || back.Word != s.Word || !bytes.Equal(back.Signed, s.Signed) {
			rt.Fatalf("%+v, %v", back, err)
		}
	})
}

func FuzzReadShowing(f *testing.F) {
	_, key, _ := ed25519.GenerateKey(nil)
	f.Add(Showing{Signed: Counter{Host: host, Number: 7}.Sign(key), Word: "W"}.Encode())
	f.Add(".")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ReadShowing(text)
		if err != nil {
			return
		}
		if _, err := ReadCounter(key.Public().(ed25519.PublicKey), s.Signed); err == nil && len(s.Signed) < 100 {
			t.Error("a counter without a signature")
		}
		if again, err := ReadShowing(s.Encode()); err != nil || again.Word != s.Word {
			t.Errorf("%v", err)
		}
	})
}

func FuzzParseToken(f *testing.F) {
	good, _ := NewToken(host, [32]byte{1})
	f.Add(good.Secret())
	f.Add("fwj_..")
	f.Fuzz(func(t *testing.T, text string) {
		token, err := ParseToken(text)
		if err == nil && token.Secret() != strings.TrimSpace(text) {
			t.Errorf("%q became another token", text)
		}
	})
}
