package cli

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/flopwatch/flopwatch/pkg/config"
)

// Settings is the command that holds a file of settings against what its program
// understands, and brings it forward.
type Settings struct {
	File  string `arg:"" help:"YAML file of settings." type:"existingfile"`
	Write bool   `help:"Change the file. What it was is kept beside it, with .before at the end of its name."`
}

// Run shows the lines that are written differently now as a diff. The exit code is 1
// while there are such lines, 2 while the program does not understand the file.
func (c Settings) Run(app *kong.Kong, s Streams) error {
	data, err := os.ReadFile(c.File)
	if err != nil {
		return fmt.Errorf("read settings: %w", err)
	}
	list, err := config.Sections(c.File, data)
	var old []renaming
	if err == nil {
		old, err = settings{name: c.File, list: list}.renamed(app.Model)
	}
	if err != nil {
		fmt.Fprintln(s.Err, err)
		return Exit{Code: 2}
	}
	if len(old) == 0 {
		_, err = fmt.Fprintf(s.Out, "%s: %d settings, all under the names that they have now\n", c.File, len(list))
		return err
	}
	after, diff := rename(data, old)
	if _, err := fmt.Fprintf(s.Out, "--- %s\n+++ %s\n%s", c.File, c.File, diff); err != nil {
		return err
	}
	if !c.Write {
		return Exit{Code: 1}
	}
	return replaceSettings(c.File, data, after)
}

// rename returns the text with each setting under the name that it has now, and what
// differs, as `diff -U0` shows it. Nothing but the names changes.
func rename(text []byte, old []renaming) (after []byte, diff string) {
	lines := bytes.SplitAfter(text, []byte("\n"))
	var b strings.Builder
	for _, r := range old {
		i := r.KeyLine - 1
		before := string(lines[i])
		lines[i] = bytes.Replace(lines[i], []byte(r.Key), []byte(r.now), 1)
		fmt.Fprintf(&b, "@@ -%d +%d @@\n-%s\n+%s\n", r.KeyLine, r.KeyLine, strings.TrimRight(before, "\r\n"), strings.TrimRight(string(lines[i]), "\r\n"))
	}
	return bytes.Join(lines, nil), b.String()
}

// replaceSettings keeps what a file was and puts the new text in its place as a whole,
// with the rights and the owner that it has: a program of another user reads it.
func replaceSettings(path string, before, after []byte) (err error) {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("write settings: %w", err)
	}
	for name, text := range map[string][]byte{path + ".before": before, filepath.Join(filepath.Dir(path), ".new-"+filepath.Base(path)): after} {
		// The rights are set before anything is in the file.
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return fmt.Errorf("write settings: %w", err)
		}
		err = f.Chmod(info.Mode().Perm())
		if err == nil {
			err = ownAs(f, info)
		}
		if err == nil {
			_, err = f.Write(text)
		}
		if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
			return fmt.Errorf("write settings: %w", err)
		}
	}
	if err := os.Rename(filepath.Join(filepath.Dir(path), ".new-"+filepath.Base(path)), path); err != nil {
		return fmt.Errorf("write settings: %w", err)
	}
	return nil
}

// ownAs gives a file the owner of another.
func ownAs(f *os.File, like os.FileInfo) error {
	of, ok := like.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	return f.Chown(int(of.Uid), int(of.Gid))
}
