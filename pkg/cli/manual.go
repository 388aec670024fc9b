package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/flopwatch/flopwatch/pkg/version"
)

// Manual is a hidden command that prints the manual page of its program, made
// from the same model as --help so that the two cannot part.
type Manual struct{}

// Run prints a page in man(7) macros.
func (Manual) Run(app *kong.Kong) error {
	_, err := io.WriteString(app.Stdout, manual(app.Model))
	return err
}

// seeAlso are the pages of the other programs.
var seeAlso = []string{"flopwatch-agent", "flopwatch-collector", "flopwatchctl"}

func manual(model *kong.Application) string {
	var b strings.Builder
	section := "8"
	if model.Name == "flopwatchctl" {
		section = "1"
	}
	fmt.Fprintf(&b, ".TH %s %s \"\" \"flopwatch %s\"\n.SH NAME\n%s \\- %s\n", strings.ToUpper(roff(model.Name)), section, roff(version.Version), roff(model.Name), roff(strings.TrimSuffix(model.Help, ".")))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.B %s\n.I command\n[flags]\n.SH COMMANDS\n", roff(model.Name))
	walk(model.Node, "", func(n *kong.Node, path string) {
		if path == "" || len(n.Children) > 0 && n.DefaultCmd == nil {
			return
		}
		fmt.Fprintf(&b, ".SS %s\n%s\n", roff(strings.TrimSpace(path+" "+arguments(n))), roff(n.Help))
		for _, p := range n.Positional {
			fmt.Fprintf(&b, ".TP\n.I %s\n%s\n", roff(p.Name), roff(p.Help))
		}
		flagsOf(&b, n)
	})
	b.WriteString(".SH GLOBAL FLAGS\n")
	flagsOf(&b, model.Node)
	b.WriteString(".SH EXIT STATUS\n0 done, 1 failed or a check does not hold, 2 wrong usage.\n.SH SEE ALSO\n")
	others := slices.DeleteFunc(slices.Clone(seeAlso), func(name string) bool { return name == model.Name })
	b.WriteString(roff(strings.Join(others, ", ")) + "\n")
	return b.String()
}

func arguments(n *kong.Node) string {
	var out []string
	for _, p := range n.Positional {
		out = append(out, p.Summary())
	}
	return strings.Join(out, " ")
}

func flagsOf(b *strings.Builder, n *kong.Node) {
	for _, f := range n.Flags {
		if f.Hidden {
			continue
		}
		fmt.Fprintf(b, ".TP\n.B %s\n%s", roff(f.String()), roff(f.Help))
		if f.HasDefault && f.Default != "" {
			fmt.Fprintf(b, " Default: %s.", roff(f.Default))
		}
		if f.Enum != "" {
			fmt.Fprintf(b, " One of: %s.", roff(strings.ReplaceAll(f.Enum, ",", ", ")))
		}
		b.WriteString("\n")
	}
}

// roff makes text inert: no request at the start of a line, no escape, and
// hyphens that can be copied into a shell.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, "\n", " ", "\r", " ").Replace(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	return s
}
