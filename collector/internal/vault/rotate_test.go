package vault_test

import (
	"bytes"
	"errors"
	"path/filepath"
	"testing"

	"github.com/flopwatch/flopwatch/collector/internal/vault"
)

// After a rotation only the new key opens the vault, everything in it is as it
// was, and what follows from the first key elsewhere still does.
func TestRotate(t *testing.T) {
	dir := t.TempDir()
	v := open(t, dir)
	ctx := t.Context()
	if err := v.Seal(ctx, []vault.Item{{ID: "sld_a", Party: "p", Fields: map[string]string{"name": "Violet"}}, {ID: "sld_b", Party: "gone", Fields: map[string]string{"name": "X"}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Erase(ctx, "gone"); err != nil {
		t.Fatal(err)
	}
	if err := v.PutSecret(ctx, "vendor/a", []byte("s")); err != nil {
		t.Fatal(err)
	}
	hash := v.Hash("email", "a@b.example")
	outside, err := v.Key("cursors")
	if err != nil {
		t.Fatal(err)
	}
	other := open(t, dir) // another process has it open
	old := v.Wrapped(t, "p")
	next := bytes.Repeat([]byte{7}, vault.KeySize)
	for i, key := range [][]byte{next, bytes.Repeat([]byte{8}, vault.KeySize)} {
		if err := v.Rotate(ctx, key); err != nil {
			t.Fatal(i, err)
		}
		generation, err := v.Generation(ctx)
		if err != nil || len(generation) != 64 {
			t.Error(generation, err)
		}
		next = key
	}
	if err := v.Rotate(ctx, next); err == nil {
		t.Error("the same key again is a rotation")
	}
	if bytes.Contains(files(t, dir), old) {
		t.Error("a key under the old master key is still in the file")
	}
	if err := other.Seal(ctx, []vault.Item{{ID: "sld_c", Party: "q"}}); !errors.Is(err, vault.ErrRotated) {
		t.Errorf("a process with the old key seals: %v", err)
	}
	if err := errors.Join(v.Close(), other.Close()); err != nil {
		t.Fatal(err)
	}
	key, err := vault.LoadKey(filepath.Join(dir, "vault.key"), false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := vault.Open(ctx, filepath.Join(dir, "vault.db"), key, nil); !errors.Is(err, vault.ErrKey) {
		t.Errorf("the old key: %v", err)
	}
	if v, err = vault.Open(ctx, filepath.Join(dir, "vault.db"), next, nil); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = v.Close() }()
	items, missing, err := v.Unseal(ctx, []string{"sld_a", "sld_b"})
	if err != nil || items["sld_a"]["name"] != "Violet" || !errors.Is(missing["sld_b"], vault.ErrErased) {
		t.Error(items, missing, err)
	}
	if s, err := v.Secret(ctx, "vendor/a"); err != nil || string(s) != "s" {
		t.Error(string(s), err)
	}
	if v.Hash("email", "a@b.example") != hash {
		t.Error("identifiers are hashed in another way than before")
	}
	if now, err := v.Key("cursors"); err != nil || !bytes.Equal(now, outside) {
		t.Error("keys outside are other ones", err)
	}
}
