package cli

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

type showing struct {
	Period string   `default:"1s" help:"Time between samples." was:"every,rate"`
	Allow  []string `help:"Names, -- with a dash."`
}

func (c showing) Run(s Streams) error {
	_, err := fmt.Fprintf(s.Out, "%s %q\n", c.Period, c.Allow)
	return err
}

type nested struct {
	Show       showing    `cmd:"" help:"Shows it."`
	Deep       deep       `cmd:"" help:"Has more below."`
	Manual     Manual     `cmd:"" hidden:""`
	Completion Completion `cmd:"" help:"Completes."`
	Settings   Settings   `cmd:"" help:"Shows what a file of settings should be."`
}

type deep struct {
	Inner showing `cmd:"" help:"Shows it inside."`
}

func run(args ...string) (int, string, string) {
	var stdout, stderr bytes.Buffer
	code := Main("prog", "It does things.", &nested{}, args, &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

func TestSettingsFile(t *testing.T) {
	write := func(text string) string {
		path := filepath.Join(t.TempDir(), "prog.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, c := range map[string]struct {
		text           string
		args           []string
		code           int
		stdout, stderr string
	}{
		"of the command":    {"show:\n  period: 5s\n  allow: [a, b]\n", []string{"show"}, 0, "5s [\"a\" \"b\"]\n", ""},
		"of another":        {"deep inner:\n  period: 5s\n", []string{"show"}, 0, "1s []\n", ""},
		"nested":            {"deep inner:\n  period: 5s\n", []string{"deep", "inner"}, 0, "5s []\n", ""},
		"command line wins": {"show:\n  period: 5s\n", []string{"show", "--period", "7s"}, 0, "7s []\n", ""},
		"nothing set":       {"# all comments\nshow:\n", []string{"show"}, 0, "1s []\n", ""},
		"an older name":     {"show:\n  every: 5s\n", []string{"show"}, 0, "5s []\n", "prog.yaml:2: show.every is called period now"},
		"both names":        {"show:\n  every: 5s\n  period: 6s\n", []string{"show"}, 2, "", "prog.yaml:2: show.every: is called period now, which is given too"},
		"unknown key":       {"show:\n  perod: 5s\n", []string{"show"}, 2, "", "prog.yaml:2: show.perod: unknown key"},
		"unknown section":   {"shw:\n  period: 5s\n", []string{"show"}, 2, "", `prog.yaml:2: shw.period: there is no command "shw"`},
		"list for one":      {"show:\n  period: [5s]\n", []string{"show"}, 2, "", "must be a single value"},
		"broken":            {"show: [\n", []string{"show"}, 2, "", "prog.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := run(append([]string{"--config", write(c.text)}, c.args...)...)
			if code != c.code || stdout != c.stdout || !strings.Contains(stderr, c.stderr) {
				t.Errorf("exit code %d, stdout %q, stderr %q; want %+v", code, stdout, stderr, c)
			}
		})
	}
	if code, _, stderr := run("--config", "/absent.yaml", "show"); code != 2 || !strings.Contains(stderr, "/absent.yaml") {
		t.Errorf("absent file: exit code %d, %q", code, stderr)
	}
}

func TestManual(t *testing.T) {
	code, page, _ := run("manual")
	if code != 0 {
		t.Fatalf("exit code %d", code)
	}
	for _, want := range []string{".TH PROG 8", ".SS deep inner\n", `\-\-period`, `Names, \-\- with a dash.`, ".SH EXIT STATUS"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in:\n%s", want, page)
		}
	}
	if strings.Contains(page, ".SS manual") {
		t.Error("a hidden command is shown")
	}
}

// The completion is what a shell makes of it, so a shell is asked.
func TestCompletion(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("bash is not installed")
	}
	_, script, _ := run("completion", "bash")
	for typed, want := range map[string]string{
		"prog sh":            "show",
		"prog deep ":         "inner --help --config",
		"prog deep inner --": "--period --allow --help --config",
		"prog show --per":    "--period",
		"prog show deep --a": "--allow",
	} {
		words := strings.Split(typed, " ")
		ask := fmt.Sprintf("%s\nCOMP_WORDS=(%s); COMP_CWORD=%d; _prog; echo \"${COMPREPLY[*]}\"", script, quoted(words), len(words)-1)
		out, err := exec.Command(bash, "--norc", "-c", ask).CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", typed, got, err, want)
		}
	}
	for _, shell := range []string{"zsh", "fish"} {
		if _, script, _ := run("completion", shell); !strings.Contains(script, "inner") {
			t.Errorf("%s: %s", shell, script)
		}
	}
	if code, _, _ := run("completion", "tcsh"); code != 2 {
		t.Errorf("unknown shell: exit code %d", code)
	}
}

func quoted(words []string) string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = "'" + w + "'"
	}
	return strings.Join(out, " ")
}

// A file with names of before is shown as a diff and written only when that is asked for,
// with comments, rights and everything else as they were; then nothing is left to do.
func TestSettingsAreBroughtForward(t *testing.T) {
	path := filepath.Join(t.TempDir(), "prog.yaml")
	const before = "# every day\nshow: # every thing\n  every: every # every\n  allow:\n    - every\ndeep inner:\n  rate: 7s"
	const after = "# every day\nshow: # every thing\n  period: every # every\n  allow:\n    - every\ndeep inner:\n  period: 7s"
	if err := os.WriteFile(path, []byte(before), 0o640); err != nil {
		t.Fatal(err)
	}
	diff := "--- " + path + "\n+++ " + path + "\n@@ -3 +3 @@\n-  every: every # every\n+  period: every # every\n@@ -7 +7 @@\n-  rate: 7s\n+  period: 7s\n"
	reads := func(what, path, want string) {
		t.Helper()
		got, err := os.ReadFile(path)
		info, _ := os.Stat(path)
		if err != nil || string(got) != want || info.Mode().Perm() != 0o640 {
			t.Errorf("%s: %q, %v", what, got, err)
		}
	}
	if code, out, _ := run("settings", path); code != 1 || out != diff {
		t.Errorf("exit %d: %s", code, out)
	}
	reads("shown", path, before)
	if code, out, errs := run("settings", path, "--write"); code != 0 || out != diff || errs != "" {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
	reads("written", path, after)
	reads("kept", path+".before", before)
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".new-*")); left != nil {
		t.Errorf("left %v", left)
	}
	if code, out, _ := run("settings", path); code != 0 || !strings.Contains(out, "3 settings, all under the names that they have now") {
		t.Errorf("exit %d: %s", code, out)
	}
	if err := os.WriteFile(path, []byte("show:\n  perod: 1s\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	if code, out, errs := run("settings", path); code != 2 || out != "" || !strings.Contains(errs, "show.perod: unknown key") {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
}
