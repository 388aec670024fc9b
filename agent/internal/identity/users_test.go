package identity

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestKeysAreGivenByNameAndByNumber(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root gives files away")
	}
	for owner, uid := range map[string]uint32{"64411": 64411, "nobody": 65534, "": 0} {
		path := filepath.Join(t.TempDir(), "key")
		if err := writeSecret(path, owner, []byte("x")); err != nil {
			t.Fatalf("%q: %v", owner, err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Sys().(*syscall.Stat_t).Uid; got != uid || info.Mode() != fs.FileMode(0o600) {
			t.Errorf("%q: of user %d, %v; want %d alone", owner, got, info.Mode(), uid)
		}
	}
	for _, owner := range []string{"no-such-user", "-1", "4294967295"} {
		path := filepath.Join(t.TempDir(), "key")
		if err := writeSecret(path, owner, []byte("x")); err == nil {
			t.Errorf("%q was found", owner)
		}
	}
}
