package cli

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/flopwatch/flopwatch/pkg/config"
)

// globals are the flags of every program.
type globals struct {
	Config kong.ConfigFlag `help:"YAML file of settings: a section for each command, its flags as keys. Flags on the command line win." placeholder:"FILE"`
}

// settings are what a file sets. A flag on the command line wins over the file.
type settings struct {
	name string
	list []config.Setting
	warn io.Writer
}

// loadSettings returns what reads a file of settings and warns of older names there.
func loadSettings(warn io.Writer) kong.ConfigurationLoader {
	return func(r io.Reader) (kong.Resolver, error) { return readSettings(r, warn) }
}

func readSettings(r io.Reader, warn io.Writer) (kong.Resolver, error) {
	name := "settings"
	if named, ok := r.(interface{ Name() string }); ok {
		name = named.Name()
	}
	data, err := io.ReadAll(io.LimitReader(r, config.MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	list, err := config.Sections(name, data)
	if err != nil {
		return nil, err
	}
	return settings{name, list, warn}, nil
}

// Validate names every section that is no command and every key that is no flag
// of its command: a misspelt key must not silently leave a default in force.
func (s settings) Validate(app *kong.Application) error {
	old, err := s.renamed(app)
	for _, r := range old {
		fmt.Fprintf(s.warn, "%s:%d: %s.%s is called %s now; `settings %s` shows what to change\n", s.name, r.KeyLine, r.Section, r.Key, r.now, s.name)
	}
	return err
}

// renaming is a setting under a name that its flag had before.
type renaming struct {
	config.Setting
	now string
}

// renamed returns the settings whose flags have another name now, which their tag
// `was:"older,oldest"` keeps, and an error of those that no flag ever had.
func (s settings) renamed(app *kong.Application) (old []renaming, err error) {
	flags := map[string]map[string]string{} // section, name, name now
	walk(app.Node, "", func(n *kong.Node, path string) {
		known := map[string]string{}
		for _, f := range n.Flags {
			for _, name := range names(f) {
				known[name] = f.Name
			}
		}
		flags[path] = known
	})
	given := map[[2]string]bool{}
	for _, v := range s.list {
		given[[2]string{v.Section, v.Key}] = true
	}
	var faults []error
	for _, v := range s.list {
		at := fmt.Sprintf("%s:%d: %s.%s", s.name, v.Line, v.Section, v.Key)
		now, known := flags[v.Section][v.Key]
		switch {
		case flags[v.Section] == nil || v.Section == "":
			faults = append(faults, fmt.Errorf("%s: there is no command %q", at, v.Section))
		case !known:
			faults = append(faults, fmt.Errorf("%s: unknown key; %q has no flag --%s", at, v.Section, v.Key))
		case now != v.Key && given[[2]string{v.Section, now}]:
			faults = append(faults, fmt.Errorf("%s: is called %s now, which is given too", at, now))
		case now != v.Key:
			old = append(old, renaming{v, now})
		}
	}
	return old, errors.Join(faults...)
}

// names are the name of a flag and those that it had before.
func names(f *kong.Flag) []string {
	all := []string{f.Name}
	if f.Tag != nil && f.Tag.Get("was") != "" {
		all = append(all, strings.Split(f.Tag.Get("was"), ",")...)
	}
	return all
}

// Resolve returns what the file says of a flag of the command that runs.
func (s settings) Resolve(ctx *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	selected := ctx.Selected()
	if selected == nil {
		return nil, nil
	}
	section := commandPath(selected)
	for _, v := range s.list {
		switch {
		case v.Section != section || !slices.Contains(names(flag), v.Key):
		case v.List && !flag.IsSlice():
			return nil, fmt.Errorf("%s:%d: %s.%s: must be a single value", s.name, v.Line, v.Section, v.Key)
		case v.List:
			items := make([]any, len(v.Values))
			for i, item := range v.Values {
				items[i] = item
			}
			return items, nil
		default:
			return v.Values[0], nil
		}
	}
	return nil, nil
}

// walk calls with for every command that people see, with its path below the
// program, such as "hosts invite"; the program's own is empty.
func walk(n *kong.Node, path string, with func(*kong.Node, string)) {
	with(n, path)
	for _, child := range n.Children {
		if !child.Hidden {
			walk(child, strings.TrimSpace(path+" "+child.Name), with)
		}
	}
}

func commandPath(n *kong.Node) string {
	path := ""
	for ; n != nil && n.Type != kong.ApplicationNode; n = n.Parent {
		path = strings.TrimSpace(n.Name + " " + path)
	}
	return path
}
