package collector

import (
	"os"
	"path/filepath"
	"testing"
)

// The heap has half of what the narrowest control group around the program leaves.
func TestHeapLimit(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	machine := heapLimit(filepath.Join(dir, "absent"), dir)
	if machine < 1<<20 {
		t.Fatalf("half of this machine is %d bytes", machine)
	}
	write("fs/memory.max", "max\n")
	write("fs/a/memory.max", "65536\n")
	write("fs/a/b/memory.max", "max\n")
	write("fs/c/memory.max", "1048576\n")
	for membership, want := range map[string]int64{
		"0::/a/b\n": 32768, "0::/a\n": 32768, "1:name=x:/a\n0::/c\n": 524288, "0::/\n": machine, "0::/gone\n": machine, "1:memory:/a\n": machine, "": machine,
	} {
		if got := heapLimit(write("membership", membership), filepath.Join(dir, "fs")); got != want {
			t.Errorf("in %q it is %d, want %d", membership, got, want)
		}
	}
}
