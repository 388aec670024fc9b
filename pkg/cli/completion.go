package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

// Completion is a command that prints what a shell needs to complete the
// program's commands and flags.
type Completion struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Run prints a script for the shell to source.
func (c Completion) Run(app *kong.Kong) error {
	var text string
	switch c.Shell {
	case "fish":
		text = fish(app.Model)
	case "zsh":
		// zsh reads bash's rules when asked to; one set of rules cannot part from itself.
		text = fmt.Sprintf("#compdef %s\nautoload -U +X bashcompinit && bashcompinit\n%s", app.Model.Name, bash(app.Model))
	default:
		text = bash(app.Model)
	}
	_, err := io.WriteString(app.Stdout, text)
	return err
}

// words are what may follow a command: its commands and its flags, and the
// program's flags everywhere.
func words(n, root *kong.Node) (commands, flags []string) {
	for _, child := range n.Children {
		if !child.Hidden {
			commands = append(commands, child.Name)
		}
	}
	for _, at := range []*kong.Node{n, root} {
		for _, f := range at.Flags {
			if !f.Hidden {
				flags = append(flags, "--"+f.Name)
			}
		}
		if n == root {
			break
		}
	}
	return commands, flags
}

func bash(model *kong.Application) string {
	var b strings.Builder
	name := strings.ReplaceAll(model.Name, "-", "_")
	fmt.Fprintf(&b, "_%s() {\n  local path= word next\n  for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n    case \"$path $word\" in\n", name)
	walk(model.Node, "", func(n *kong.Node, path string) {
		if path == "" {
			return
		}
		before, last := "", path
		if at := strings.LastIndex(path, " "); at >= 0 {
			before, last = path[:at], path[at+1:]
		}
		fmt.Fprintf(&b, "      %q) path=%q ;;\n", before+" "+last, path)
	})
	b.WriteString("    esac\n  done\n  case \"$path\" in\n")
	walk(model.Node, "", func(n *kong.Node, path string) {
		commands, flags := words(n, model.Node)
		fmt.Fprintf(&b, "    %q) next=%q ;;\n", path, strings.Join(append(commands, flags...), " "))
	})
	fmt.Fprintf(&b, "  esac\n  COMPREPLY=($(compgen -W \"$next\" -- \"${COMP_WORDS[COMP_CWORD]}\"))\n}\ncomplete -o default -F _%s %s\n", name, model.Name)
	return b.String()
}

func fish(model *kong.Application) string {
	var b strings.Builder
	walk(model.Node, "", func(n *kong.Node, path string) {
		seen := "__fish_use_subcommand"
		if path != "" {
			var all []string
			for _, word := range strings.Fields(path) {
				all = append(all, "__fish_seen_subcommand_from "+word)
			}
			seen = strings.Join(all, "; and ")
		}
		for _, child := range n.Children {
			if !child.Hidden {
				fmt.Fprintf(&b, "complete -c %s -f -n '%s' -a %s -d '%s'\n", model.Name, seen, child.Name, fishQuote(child.Help))
			}
		}
		for _, f := range n.Flags {
			if !f.Hidden {
				fmt.Fprintf(&b, "complete -c %s -n '%s' -l %s -d '%s'\n", model.Name, seen, f.Name, fishQuote(f.Help))
			}
		}
	})
	return b.String()
}

func fishQuote(s string) string {
	return strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", " ").Replace(s)
}
