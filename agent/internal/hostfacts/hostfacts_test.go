package hostfacts

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestReadLive(t *testing.T) {
	facts, boot, err := Read(t.Context(), "/proc")
	if err != nil {
		t.Fatal(err)
	}
	name, _ := os.Hostname()
	if facts.Name != name || facts.Kernel == "" || facts.OS == "" || facts.AgentVersion == "" {
		t.Errorf("facts = %+v, want every field and name %q", facts, name)
	}
	if len(boot.ID) != 36 {
		t.Errorf("boot id = %q", boot.ID)
	}
	if boot.Booted.IsZero() || boot.Booted.After(time.Now()) {
		t.Errorf("booted %v, want a time in the past", boot.Booted)
	}
}

func TestReadBootID(t *testing.T) {
	const good = "0f2a6a2e-8a38-4b4d-9c9c-3a1f0d1f2b3c"
	tests := []struct {
		name, content, want string
	}{
		{"usual", good + "\n", good},
		{"no newline", good, good},
		{"empty", "", ""},
		{"upper case", strings.ToUpper(good), ""},
		{"two lines", good + "\n\n", ""},
		{"bidi", good[:33] + "\u202e", ""},
		{"dash moved", "0f2a6a2e8-a38-4b4d-9c9c-3a1f0d1f2b3c", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			dir := filepath.Join(root, "sys/kernel/random")
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "boot_id"), []byte(tt.content), 0o644); err != nil {
				t.Fatal(err)
			}
			boot, err := readBoot(root)
			if boot.ID != tt.want || (err == nil) != (tt.want != "") {
				t.Errorf("readBoot = %q, %v, want %q", boot.ID, err, tt.want)
			}
		})
	}
}

func TestReadWithoutProc(t *testing.T) {
	if _, _, err := Read(t.Context(), t.TempDir()); err == nil || !strings.Contains(err.Error(), "boot_id") {
		t.Errorf("error = %v, want one that names boot_id", err)
	}
}

func TestClean(t *testing.T) {
	if got := clean("gpu\n\u202eé1"); got != "gpu???1" {
		t.Errorf("clean = %q", got)
	}
	if got := clean(strings.Repeat("x", 1000)); len(got) != maxName {
		t.Errorf("length %d, want %d", len(got), maxName)
	}
}
