package endpoint_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flopwatch/flopwatch/pkg/endpoint"
)

func TestRoundTrip(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "endpoint.json")
	if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, want := range []endpoint.Agents{
		{URL: "nats://127.0.0.1:4222", SeedFile: "/var/lib/flopwatch/agent.nk", CollectorKey: bytes.Repeat([]byte{0xfe}, 32)},
		{URL: "nats://[::1]:1", SeedFile: "quote \" and ünïcode", CollectorKey: bytes.Repeat([]byte{1}, 32)},
	} {
		if err := endpoint.Write(path, want); err != nil {
			t.Fatal(err)
		}
		got, err := endpoint.Read(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("read back (-want +got):\n%s", diff)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("left beside the file: %v, %v", entries, err)
	}
}

func TestReadRefuses(t *testing.T) {
	key := base64.StdEncoding.EncodeToString(make([]byte, 32))
	good := `{"url":"nats://127.0.0.1:4222","seed_file":"/s","collector_key":"` + key + `"}`
	tests := []struct{ name, text string }{
		{"empty", ""},
		{"half written", good[:len(good)/2]},
		{"not an object", `"nats://127.0.0.1:4222"`},
		{"two documents", good + good},
		{"no URL", strings.Replace(good, "nats://127.0.0.1:4222", "", 1)},
		{"no seed file", strings.Replace(good, "/s", "", 1)},
		{"no key", strings.Replace(good, key, "", 1)},
		{"short key", strings.Replace(good, key, base64.StdEncoding.EncodeToString(make([]byte, 31)), 1)},
		{"long key", strings.Replace(good, key, base64.StdEncoding.EncodeToString(make([]byte, 33)), 1)},
		{"key not base64", strings.Replace(good, key, "!!!!", 1)},
		{"number for text", strings.Replace(good, `"/s"`, "1", 1)},
	}
	path := filepath.Join(t.TempDir(), "endpoint.json")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if got, err := endpoint.Read(path); err == nil || !cmp.Equal(got, endpoint.Agents{}) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
	if err := os.WriteFile(path, []byte(good), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := endpoint.Read(path); err != nil {
		t.Errorf("the file that the cases are made from: %v", err)
	}
}

func TestNoFile(t *testing.T) {
	dir := t.TempDir()
	if _, err := endpoint.Read(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want that it does not exist", err)
	}
	if err := endpoint.Write(filepath.Join(dir, "none", "endpoint.json"), endpoint.Agents{}); err == nil {
		t.Error("wrote into a folder that does not exist")
	}
	// The path is a folder: the rename fails and nothing may be left behind.
	if err := os.Mkdir(filepath.Join(dir, "endpoint.json"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := endpoint.Write(filepath.Join(dir, "endpoint.json"), endpoint.Agents{}); err == nil {
		t.Error("wrote over a folder")
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}
