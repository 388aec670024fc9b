package vault_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flopwatch/flopwatch/collector/internal/vault"
)

var now = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

func open(t testing.TB, dir string) *vault.Vault {
	t.Helper()
	key, err := vault.LoadKey(filepath.Join(dir, "vault.key"), true)
	if err != nil {
		t.Fatal(err)
	}
	v, err := vault.Open(t.Context(), filepath.Join(dir, "vault.db"), key, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	return v
}

func files(t *testing.T, dir string) []byte {
	t.Helper()
	var all []byte
	for _, name := range []string{"vault.db", "vault.db-wal"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		all = append(all, data...)
	}
	return all
}

func TestSealedAndErased(t *testing.T) {
	dir := t.TempDir()
	v := open(t, dir)
	ctx := t.Context()
	fields := map[string]string{"name": "Violet Planted", "address": "1 Plant Street"}
	items := []vault.Item{{ID: "sld_a", Party: "p", Fields: fields}, {ID: "sld_b", Party: "q", Fields: map[string]string{"name": "Quentin"}}}
	if err := v.Seal(ctx, items); err != nil {
		t.Fatal(err)
	}
	got, missing, err := v.Unseal(ctx, []string{"sld_a", "sld_none"})
	if err != nil || !errors.Is(missing["sld_none"], vault.ErrNoSealed) {
		t.Fatal(err, missing)
	}
	if d := cmp.Diff(map[string]map[string]string{"sld_a": fields}, got); d != "" {
		t.Error(d)
	}
	if bytes.Contains(files(t, dir), []byte("Violet")) {
		t.Error("a name is in the file in clear")
	}
	wrapped := v.Wrapped(t, "p")
	if !bytes.Contains(files(t, dir), wrapped) {
		t.Fatal("the test does not find the key where it is")
	}
	e, err := v.Erase(ctx, "p")
	if err != nil || e.Sealed != 1 || e.KeyDigest == "" || e.Before {
		t.Fatal(e, err)
	}
	if bytes.Contains(files(t, dir), wrapped) {
		t.Error("the key that was destroyed is still in the file")
	}
	if _, missing, err := v.Unseal(ctx, []string{"sld_a"}); err != nil || !errors.Is(missing["sld_a"], vault.ErrErased) {
		t.Error(err, missing)
	}
	if got, _, err := v.Unseal(ctx, []string{"sld_b"}); err != nil || got["sld_b"]["name"] != "Quentin" {
		t.Error("the data of another party are gone", err)
	}
	if err := v.Seal(ctx, []vault.Item{{ID: "sld_c", Party: "p", Fields: fields}}); !errors.Is(err, vault.ErrErased) {
		t.Errorf("data are sealed for one who was erased: %v", err)
	}
	if e, err := v.Erase(ctx, "p"); err != nil || !e.Before {
		t.Error(e, err)
	}
	if e, err := v.Erase(ctx, "nobody"); err != nil || e.KeyDigest != "" {
		t.Error(e, err)
	}
}

func TestSealIsWholeOrNothing(t *testing.T) {
	v := open(t, t.TempDir())
	err := v.Seal(t.Context(), []vault.Item{{ID: "sld_a", Party: "p"}, {ID: "sld_a", Party: "p"}})
	if _, missing, _ := v.Unseal(t.Context(), []string{"sld_a"}); err == nil || missing["sld_a"] == nil {
		t.Errorf("half of it was sealed: %v", err)
	}
}

func TestKeys(t *testing.T) {
	dir := t.TempDir()
	v := open(t, dir)
	if err := v.PutSecret(t.Context(), "vendor", []byte("s")); err != nil {
		t.Fatal(err)
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	other := bytes.Repeat([]byte{7}, vault.KeySize)
	if _, err := vault.Open(t.Context(), filepath.Join(dir, "vault.db"), other, time.Now); !errors.Is(err, vault.ErrKey) {
		t.Errorf("another master key: %v", err)
	}
	if got, err := open(t, dir).Secret(t.Context(), "vendor"); err != nil || string(got) != "s" {
		t.Errorf("%q, %v", got, err)
	}
	path := filepath.Join(dir, "open.key")
	if err := os.WriteFile(path, other, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := vault.LoadKey(path, true); err == nil {
		t.Error("a key that others may read is taken")
	}
	if _, err := vault.LoadKey(filepath.Join(dir, "none"), false); err == nil {
		t.Error("a key that there is not is taken")
	}
}

func entries(n int, from int) []vault.Access {
	all := make([]vault.Access, n)
	for i := range all {
		k := from + i
		all[i] = vault.Access{Account: fmt.Sprint("acc-", k%50), Party: fmt.Sprint("pty-", k%50), At: now.Add(time.Duration(k) * time.Millisecond),
			IP: netip.AddrFrom4([4]byte{10, byte(k >> 16), byte(k >> 8), byte(k)}), Action: "api"}
	}
	return all
}

func TestAccessLog(t *testing.T) {
	dir := t.TempDir()
	v := open(t, dir)
	batch := []vault.Access{
		{Account: "a", Party: "p", At: now, IP: netip.MustParseAddr("203.0.113.77"), Action: "sign-in"},
		{Account: "a", Party: "p", At: now.Add(-time.Hour), IP: netip.MustParseAddr("2001:db8::77"), Action: "api"},
	}
	for i, want := range []int{2, 0} { // a second time nothing is added
		if n, err := v.AddAccess(t.Context(), batch); err != nil || n != want {
			t.Fatalf("%d: added %d, %v", i, n, err)
		}
	}
	seen, err := v.Seen(t.Context())
	if err != nil || seen["a"] != (vault.Seen{First: now.Add(-time.Hour), Last: now, Entries: 2}) {
		t.Errorf("%+v, %v", seen, err)
	}
	got, err := v.Accesses(t.Context(), "a", 10)
	if d := cmp.Diff(batch, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); err != nil || d != "" {
		t.Error(err, d)
	}
	if bytes.Contains(files(t, dir), []byte("203.0.113.77")) {
		t.Error("an address is in the file in clear")
	}
	if _, err := v.Erase(t.Context(), "p"); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Accesses(t.Context(), "a", 10); !errors.Is(err, vault.ErrErased) {
		t.Errorf("addresses of one who was erased: %v", err)
	}
}

// BenchmarkAccessLog adds batches of 10,000 entries, each one transaction with fsync.
func BenchmarkAccessLog(b *testing.B) {
	v := open(b, b.TempDir())
	const batch = 10_000
	n := 0
	for b.Loop() {
		if _, err := v.AddAccess(context.Background(), entries(batch, n)); err != nil {
			b.Fatal(err)
		}
		n += batch
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "rows/s")
}
