package flopwatch_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
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

// What an installed sampler made durable is counted by an installed collector,
// once; packaging/test/install names both folders after it upgraded them.
func TestInstalledBatchesAreCounted(t *testing.T) {
	spool, data := os.Getenv("INSTALLED_SPOOL"), os.Getenv("INSTALLED_DATA")
	if spool == "" || data == "" {
		t.Skip("for packaging/test/install, which sets INSTALLED_SPOOL and INSTALLED_DATA")
	}
	sealed := map[string]bool{}
	remember(t, spool, sealed)
	var lost, twice int
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Second) {
		counts := evidence(t, data)
		lost, twice = 0, 0
		for batch := range sealed {
			if counts[batch] == 0 {
				lost++
			}
		}
		for _, n := range counts {
			if n > 1 {
				twice++
			}
		}
		if lost == 0 || time.Now().After(deadline) {
			break
		}
	}
	t.Logf("%d durable batches, %d lost, %d counted twice", len(sealed), lost, twice)
	if lost > 0 || twice > 0 || len(sealed) < 10 {
		t.Fail()
	}
}
