package webui

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"

	"github.com/flopwatch/flopwatch/pkg/measure"
)

// Every kind that agents know has a sentence of its own.
func TestEveryKindHasASentence(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../../../pkg/measure/event.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	kinds, said := 0, map[string]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if typ, ok := spec.Type.(*ast.Ident); !ok || typ.Name != "EventKind" {
			return true
		}
		for _, v := range spec.Values {
			kind, err := strconv.Unquote(v.(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			kinds++
			text := sentence(measure.EventKind(kind))
			if !strings.HasSuffix(text, ".") || said[text] {
				t.Errorf("%s: %q is no sentence of its own", kind, text)
			}
			said[text] = true
		}
		return true
	})
	if kinds < 10 || kinds != len(sentences) {
		t.Errorf("%d kinds, %d sentences", kinds, len(sentences))
	}
	if got := sentence("of a later agent"); got != "" {
		t.Errorf("a kind that is not known is explained as %q", got)
	}
}
