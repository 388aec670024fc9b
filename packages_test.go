package flopwatch_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// commentedOut is a setting that a shipped file shows and does not make.
var commentedOut = regexp.MustCompile(`(?m)^(  )# ([a-z-]+: \S.*)$`)

// The settings files of the packages are read by the programs that they are for,
// as they are shipped and with all that they show in force. Every ExecStart of a
// unit is a command with flags that the program knows.
func TestShippedSettingsLoad(t *testing.T) {
	for file, program := range map[string]string{"agent.yaml": "flopwatch-agent", "collector.yaml": "flopwatch-collector"} {
		shipped, err := os.ReadFile(filepath.Join("packaging/config", file))
		if err != nil {
			t.Fatal(err)
		}
		shown := commentedOut.ReplaceAll(shipped, []byte("$1$2"))
		if string(shown) == string(shipped) {
			t.Errorf("%s shows no setting", file)
		}
		for name, text := range map[string][]byte{"shipped": shipped, "all": shown} {
			path := filepath.Join(t.TempDir(), file)
			if err := os.WriteFile(path, text, 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command(filepath.Join(programs, program), "version", "--config", path).CombinedOutput(); err != nil {
				t.Errorf("%s, %s: %v\n%s", file, name, err, out)
			}
		}
		bad := filepath.Join(t.TempDir(), file)
		if err := os.WriteFile(bad, append(shipped, "  no-such-setting: 1\n"...), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(filepath.Join(programs, program), "version", "--config", bad).CombinedOutput(); err == nil || !strings.Contains(string(out), "no-such-setting") {
			t.Errorf("%s: an unknown setting is taken: %s", file, out)
		}
	}
	units, err := filepath.Glob("packaging/systemd/*.service")
	if err != nil || len(units) < 4 {
		t.Fatal(units, err)
	}
	for _, unit := range units {
		text, err := os.ReadFile(unit)
		if err != nil {
			t.Fatal(err)
		}
		start := regexp.MustCompile(`(?m)^ExecStart=/usr/bin/(\S+) (\S+) (.*)$`).FindSubmatch(text)
		if start == nil {
			t.Errorf("%s starts nothing", unit)
			continue
		}
		if out, err := exec.Command(filepath.Join(programs, string(start[1])), string(start[2]), "--help").CombinedOutput(); err != nil {
			t.Errorf("%s: %s %s: %v\n%s", unit, start[1], start[2], err, out)
		}
	}
}
