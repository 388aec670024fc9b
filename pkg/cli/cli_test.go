package cli

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

type failing struct{}

func (failing) Run() error { return errors.New("no disk") }

type leaving struct{}

func (leaving) Run() error { return Exit{3} }

func TestMainExitCodes(t *testing.T) {
	for args, want := range map[string]struct {
		code   int
		stdout string
		stderr string
	}{
		"version": {0, "unknown\n", ""},
		"fail":    {1, "", "prog: no disk\n"},
		"leave":   {3, "", ""},
		"what":    {2, "", "prog: unexpected argument what"},
		"--help":  {0, "does things", ""},
	} {
		var commands struct {
			Version Version `cmd:""`
			Fail    failing `cmd:""`
			Leave   leaving `cmd:""`
		}
		var stdout, stderr bytes.Buffer
		code := Main("prog", "It does things.", &commands, []string{args}, &stdout, &stderr)
		if code != want.code || !strings.Contains(stdout.String(), want.stdout) || !strings.Contains(stderr.String(), want.stderr) {
			t.Errorf("%s: exit code %d, stdout %q, stderr %q; want %+v", args, code, stdout.String(), stderr.String(), want)
		}
	}
}
