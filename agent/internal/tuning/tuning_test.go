package tuning_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/flopwatch/flopwatch/agent/internal/tuning"
	"github.com/flopwatch/flopwatch/pkg/settings"
)

const host = "aaaaaaaaaaaaaaaaaaaaaaaaaa"

func key(n byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize))
}

func told(t *testing.T, k ed25519.PrivateKey, to string, serial int64, version int, v settings.Values) []byte {
	t.Helper()
	envelope, err := settings.Seal(k, settings.Told{Host: to, Serial: serial, Version: version, Values: v})
	if err != nil {
		t.Fatal(err)
	}
	return envelope
}

// What is not signed by the collector for this host, or is older, changes
// nothing, whether it would widen what is collected or narrow it; the last good
// one holds, also after a restart.
func TestOnlySignedSettingsHold(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "told")
	public := key(1).Public().(ed25519.PublicKey)
	open := func() *tuning.Keeper {
		k, err := tuning.Open(dir, file, host, public)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	k := open()
	if k.Current().Values != settings.Default {
		t.Fatalf("%+v", k.Current())
	}
	wide := settings.Default
	wide.NCCL, wide.PeriodMS = true, 200
	write := func(envelope []byte) {
		t.Helper()
		if err := tuning.Tell(file, envelope); err != nil {
			t.Fatal(err)
		}
	}
	write(told(t, key(1), host, 5, 3, wide))
	if changed, err := k.Poll(); !changed || err != nil || k.Current().Version != 3 {
		t.Fatalf("%v, %v, %+v", changed, err, k.Current())
	}
	bad := settings.Default
	bad.PeriodMS = 1
	flipped := told(t, key(1), host, 9, 4, settings.Default)
	flipped[len(flipped)-3] ^= 1
	for name, c := range map[string]struct {
		envelope []byte
		err      error
	}{
		"another's key":      {told(t, key(2), host, 9, 4, wide), settings.ErrKey},
		"narrower, unsigned": {[]byte(`{"host":"` + host + `","serial":9,"version":4,"period_ms":60000}`), tuning.ErrRefused},
		"another host's":     {told(t, key(1), "bbbbbbbbbbbbbbbbbbbbbbbbbb", 9, 4, wide), settings.ErrHost},
		"a flipped bit":      {flipped, tuning.ErrRefused},
		"what cannot be":     {told(t, key(1), host, 9, 4, bad), tuning.ErrRefused},
		"10 MB":              {bytes.Repeat([]byte{7}, 10<<20), tuning.ErrRefused},
	} {
		write(c.envelope)
		if changed, err := k.Poll(); changed || !errors.Is(err, c.err) || k.Current().Version != 3 {
			t.Errorf("%s: %v, %v, %+v", name, changed, err, k.Current())
		}
		if changed, err := k.Poll(); changed || err != nil {
			t.Errorf("%s is told twice: %v, %v", name, changed, err)
		}
	}
	write(told(t, key(1), host, 4, 2, settings.Default)) // an old one, sent again
	if changed, err := k.Poll(); changed || err != nil {
		t.Errorf("older: %v, %v", changed, err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if again := open(); again.Current() != k.Current() {
		t.Errorf("after a restart %+v", again.Current())
	}
}
