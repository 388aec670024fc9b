package inventory_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	. "github.com/flopwatch/flopwatch/collector/internal/inventory"
	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

const (
	alpha = ledger.HostID("aaaaaaaaaaaaaaaaaaaaaaaaaa")
	beta  = ledger.HostID("bbbbbbbbbbbbbbbbbbbbbbbbbb")
)

func key(n byte) *Key {
	return &Key{Signing: ed25519.PublicKey(bytes.Repeat([]byte{n}, 32)), Broker: fmt.Sprintf("U%03d", n)}
}

func change(act Act, at int64, edit ...func(*Change)) Change {
	c := Change{Host: alpha, AtNS: at, By: "operator", Act: act, Reason: "because"}
	switch act {
	case Invite:
		c.Invitation = &Invitation{ExpiresNS: at + 1_000}
	case Enroll, Rotate:
		c.Key = key(byte(at))
	}
	for _, e := range edit {
		e(&c)
	}
	return c
}

func has(devices ...Devices) func(*Change) { return func(c *Change) { c.Devices = devices } }

// What each state allows.
func TestTransitions(t *testing.T) {
	to := map[string][]Change{
		"":              nil,
		"invited":       {change(Invite, 1)},
		"enrolled":      {change(Invite, 1), change(Enroll, 2)},
		"invited again": {change(Invite, 1), change(Enroll, 2), change(Invite, 3)},
		"suspected":     {change(Invite, 1), change(Enroll, 2), change(Suspect, 3)},
		"revoked":       {change(Invite, 1), change(Enroll, 2), change(Revoke, 3)},
		"retired":       {change(Invite, 1), change(Enroll, 2), change(Retire, 3)},
	}
	allowed := map[string]string{
		"":              "invite",
		"invited":       "invite expect enroll revoke retire",
		"enrolled":      "invite expect rotate suspect revoke retire",
		"invited again": "invite expect enroll rotate suspect revoke retire",
		"suspected":     "invite expect suspect clear revoke retire",
		"revoked":       "invite expect revoke retire",
		"retired":       "",
	}
	for name, changes := range to {
		for _, act := range []Act{Invite, Expect, Enroll, Rotate, Suspect, Clear, Revoke, Retire} {
			v, err := Restore(changes)
			if err != nil {
				t.Fatal(err)
			}
			before, _ := v.Host(alpha)
			_, err = v.Apply(change(act, 10))
			if want := strings.Contains(" "+allowed[name]+" ", " "+string(act)+" "); want != (err == nil) || (!want && !errors.Is(err, ErrRefused)) {
				t.Errorf("%s, %s: %v", name, act, err)
			}
			if after, _ := v.Host(alpha); err != nil && !cmp.Equal(before, after) {
				t.Errorf("%s, refused %s changed the host:\n%s", name, act, cmp.Diff(before, after))
			}
		}
	}
}

func TestKeysOverALife(t *testing.T) {
	v, err := Restore([]Change{
		change(Invite, 1), change(Enroll, 10), change(Rotate, 20, func(c *Change) { c.OverlapNS = 5 }),
		change(Invite, 40), change(Enroll, 50),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		key  byte
		at   int64
		want Verdict
	}{
		{10, 9, Ended}, {10, 10, Admitted}, {10, 24, Admitted}, {10, 25, Ended},
		{20, 19, Ended}, {20, 20, Admitted}, {20, 49, Admitted}, {20, 50, Ended},
		{50, 50, Admitted}, {50, 1_000, Admitted}, {51, 50, Unknown},
	} {
		id, verdict := v.BySigning(key(c.key).Signing, c.at)
		other, verdict2 := v.ByBroker(key(c.key).Broker, c.at)
		if verdict != c.want || verdict2 != c.want || id != other || (id == alpha) != (c.want != Unknown) {
			t.Errorf("key %d at %d: %s %v, %s %v, want %v", c.key, c.at, id, verdict, other, verdict2, c.want)
		}
	}
	for _, step := range []struct {
		change Change
		want   Verdict
	}{
		{change(Suspect, 60), Suspended}, {change(Clear, 70), Admitted}, {change(Revoke, 80), Withdrawn},
	} {
		if _, err := v.Apply(step.change); err != nil {
			t.Fatal(err)
		}
		if _, got := v.BySigning(key(50).Signing, step.change.AtNS); got != step.want {
			t.Errorf("after %s: %v", step.change.Act, got)
		}
	}
}

// A key is bound once, whoever comes with it and however much later.
func TestKeyIsBoundOnce(t *testing.T) {
	v, err := Restore([]Change{change(Invite, 1), change(Enroll, 2), change(Invite, 3)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Apply(change(Enroll, 4, func(c *Change) { c.Key = key(2) })); !errors.Is(err, ErrRefused) {
		t.Errorf("its own old key: %v", err)
	}
	if _, err := v.Apply(change(Invite, 4, func(c *Change) { c.Host = beta })); err != nil {
		t.Fatal(err)
	}
	stolen := key(9)
	stolen.Broker = key(2).Broker
	if _, err := v.Apply(change(Enroll, 5, func(c *Change) { c.Host, c.Key = beta, stolen })); !errors.Is(err, ErrRefused) {
		t.Errorf("another host's broker key: %v", err)
	}
	if _, err := v.Apply(change(Enroll, 5, func(c *Change) { c.Host = beta })); err != nil {
		t.Errorf("a fresh key: %v", err)
	}
}

func TestTokenIsUsedOnceAndExpires(t *testing.T) {
	v, err := Restore([]Change{change(Invite, 1)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Apply(change(Enroll, 1_001)); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "expired") {
		t.Errorf("expired: %v", err)
	}
	if _, err := v.Apply(change(Enroll, 1_000)); err != nil {
		t.Errorf("the last instant: %v", err)
	}
	if _, err := v.Apply(change(Enroll, 1_000, func(c *Change) { c.Key = key(77) })); !errors.Is(err, ErrRefused) {
		t.Errorf("used twice: %v", err)
	}
}

func TestExpected(t *testing.T) {
	eight, four := []Devices{{Model: "H100", Count: 8}}, []Devices{{Model: "H100", Count: 4, IDs: []measure.DeviceID{"GPU-1"}}}
	v, err := Restore([]Change{
		change(Invite, 1, has(eight...), func(c *Change) { c.Name, c.Site = "node-1", "fra" }),
		change(Enroll, 10), change(Rotate, 15), change(Suspect, 16), change(Clear, 17),
		change(Expect, 20, has(eight...)), change(Expect, 30, has(four...)), change(Revoke, 40), change(Revoke, 41),
		change(Invite, 50), change(Enroll, 60),
	})
	if err != nil {
		t.Fatal(err)
	}
	span := func(from, to int64, d []Devices) Expectation {
		return Expectation{Host: alpha, Name: "node-1", Site: "fra", Span: Span{FromNS: from, ToNS: to, Devices: d}}
	}
	for _, c := range []struct {
		from, to int64
		want     []Expectation
	}{
		{0, 0, []Expectation{span(10, 30, eight), span(30, 40, four), span(60, 0, four)}},
		{20, 35, []Expectation{span(20, 30, eight), span(30, 35, four)}},
		{0, 10, nil}, {40, 60, nil}, {70, 0, []Expectation{span(70, 0, four)}}, {70, 80, []Expectation{span(70, 80, four)}},
	} {
		if d := cmp.Diff(c.want, v.Expected(c.from, c.to)); d != "" {
			t.Errorf("[%d, %d):\n%s", c.from, c.to, d)
		}
	}
	if h, _ := v.Host(alpha); h.DeviceCount() != 4 {
		t.Errorf("%d devices", h.DeviceCount())
	}
}

func TestBadChanges(t *testing.T) {
	for name, edit := range map[string]func(*Change){
		"host with a dot":      func(c *Change) { c.Host = "aaaaaaaaaaaaaaaaaaaaaaaaa." },
		"host with a wildcard": func(c *Change) { c.Host = "aaaaaaaaaaaaaaaaaaaaaaaa*>" },
		"short host":           func(c *Change) { c.Host = "aaa" },
		"no time":              func(c *Change) { c.AtNS = 0 },
		"nobody":               func(c *Change) { c.By = "" },
		"unknown act":          func(c *Change) { c.Act = "promote" },
		"no invitation":        func(c *Change) { c.Invitation = nil },
		"expired when made":    func(c *Change) { c.Invitation.ExpiresNS = 1 },
		"long name":            func(c *Change) { c.Name = strings.Repeat("x", 257) },
		"control character":    func(c *Change) { c.Site = "a\x1b[31m" },
		"direction character":  func(c *Change) { c.Name = "a\u202eb" },
		"bad UTF-8":            func(c *Change) { c.Name = "\xff" },
		"too many devices":     has(Devices{Count: 65}),
		"too many together":    has(Devices{Count: 60}, Devices{Count: 5}),
		"none of a model":      has(Devices{Count: 0}),
		"more UUIDs":           has(Devices{Count: 1, IDs: []measure.DeviceID{"a", "b"}}),
		"a UUID twice":         has(Devices{Count: 2, IDs: []measure.DeviceID{"a", "a"}}),
		"revoke for nothing":   func(c *Change) { c.Act, c.Reason = Revoke, "" },
		"short key":            func(c *Change) { c.Act, c.Key = Enroll, &Key{Signing: make([]byte, 31), Broker: "U1"} },
		"account key":          func(c *Change) { c.Act, c.Key = Enroll, &Key{Signing: make([]byte, 32), Broker: "A1"} },
		"endless overlap":      func(c *Change) { c.Act, c.Key, c.OverlapNS = Rotate, key(3), MaxOverlap+1 },
	} {
		if _, err := New().Apply(change(Invite, 5, edit)); err == nil || errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whatever is changed in whatever order, with a clock that goes both ways: spans
// are in order and do not overlap, a host reports by at most the keys of its
// history, and the history gives the same inventory again.
func TestAnyHistory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v, history := New(), []Change(nil)
		for i := range rapid.IntRange(1, 60).Draw(t, "steps") {
			x := change(rapid.SampledFrom([]Act{Invite, Expect, Enroll, Rotate, Suspect, Clear, Revoke, Retire}).Draw(t, "act"), rapid.Int64Range(1, 300).Draw(t, "at"),
				func(c *Change) { c.Host = rapid.SampledFrom([]ledger.HostID{alpha, beta}).Draw(t, "host") })
			if x.Key != nil {
				x.Key, x.OverlapNS = key(byte(i+1)), rapid.Int64Range(0, 50).Draw(t, "overlap")
			}
			if x.Act == Invite || x.Act == Expect {
				x.Devices = []Devices{{Count: rapid.IntRange(1, 3).Draw(t, "count")}}
			}
			if _, err := v.Apply(x); err == nil {
				history = append(history, x)
			} else if !errors.Is(err, ErrRefused) {
				t.Fatal(err)
			}
		}
		again, err := Restore(history)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(v.Hosts(), again.Hosts()); d != "" {
			t.Fatalf("restored:\n%s", d)
		}
		for _, h := range v.Hosts() {
			if open := len(h.Spans) > 0 && h.Spans[len(h.Spans)-1].ToNS == 0; open != (h.State == Enrolled) {
				t.Fatalf("%s host with spans %+v", h.State, h.Spans)
			}
			for i, s := range h.Spans {
				if s.ToNS != 0 && s.ToNS <= s.FromNS || i > 0 && (h.Spans[i-1].ToNS == 0 || h.Spans[i-1].ToNS > s.FromNS) {
					t.Fatalf("spans %+v", h.Spans)
				}
			}
			valid := 0
			for _, k := range h.Keys {
				if k.ValidAt(1_000) {
					valid++
				}
			}
			if (valid == 1) != (h.State == Enrolled) || valid > 1 {
				t.Fatalf("%s host has %d keys that count: %+v", h.State, valid, h.Keys)
			}
		}
	})
}
