package flopwatch_test

import (
	"bufio"
	"encoding/json"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/flopwatch/flopwatch/"

type goPackage struct {
	ImportPath string
	Dir        string
	Doc        string
	GoFiles    []string
	CgoFiles   []string
	Imports    []string
}

func packages(t *testing.T) []goPackage {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Dir,Doc,GoFiles,CgoFiles,Imports", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []goPackage
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := dec.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if len(p.GoFiles)+len(p.CgoFiles) > 0 {
			all = append(all, p)
		}
	}
	if len(all) < 10 {
		t.Fatalf("go list found only %d packages", len(all))
	}
	return all
}

// tableRows reads the Markdown table that follows the given heading of
// ARCHITECTURE.md: first cell → the back-quoted words of the column.
func tableRows(t *testing.T, heading string, column int) map[string][]string {
	t.Helper()
	f, err := os.Open("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	quoted := regexp.MustCompile("`([^`]+)`")
	rows := map[string][]string{}
	inside := false
	for scan := bufio.NewScanner(f); scan.Scan(); {
		line := scan.Text()
		if strings.HasPrefix(line, "#") {
			inside = strings.Contains(line, heading)
		}
		if !inside || !strings.HasPrefix(line, "| `") {
			continue
		}
		cells := strings.Split(line, "|")
		var words []string
		for _, m := range quoted.FindAllStringSubmatch(cells[column+1], -1) {
			words = append(words, m[1])
		}
		rows[quoted.FindStringSubmatch(cells[1])[1]] = words
	}
	if len(rows) == 0 {
		t.Fatalf("ARCHITECTURE.md has no table under %q", heading)
	}
	return rows
}

// The package table of ARCHITECTURE.md and the code may not part.
func TestImportsFollowThePackageTable(t *testing.T) {
	may := tableRows(t, "Packages", 2)
	seen := map[string]bool{}
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		seen[name] = true
		allowed, ok := may[name]
		if !ok {
			t.Errorf("package %s is not in ARCHITECTURE.md's package table", name)
			continue
		}
		for _, imp := range p.Imports {
			rel, own := strings.CutPrefix(imp, module)
			if own && !slices.Contains(allowed, rel) {
				t.Errorf("%s imports %s, which ARCHITECTURE.md does not allow", name, rel)
			}
		}
		for _, a := range allowed {
			if !slices.Contains(p.Imports, module+a) {
				t.Errorf("ARCHITECTURE.md lets %s import %s, which it does not: take it out", name, a)
			}
		}
	}
	for name := range may {
		if !seen[name] {
			t.Errorf("ARCHITECTURE.md lists package %s, which does not exist", name)
		}
	}
}

// Third parties stay behind their adapters.
func TestThirdPartyFence(t *testing.T) {
	fence := tableRows(t, "Third-party fence", 1)
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		for _, imp := range p.Imports {
			first, _, _ := strings.Cut(imp, "/")
			if strings.HasPrefix(imp, module) || (!strings.Contains(first, ".") && imp != "os/exec" && imp != "math/rand" && imp != "math/rand/v2") {
				continue
			}
			var allowed []string
			found := false
			for prefix, users := range fence {
				if imp == prefix || strings.HasPrefix(imp, prefix+"/") {
					allowed, found = users, true
				}
			}
			if !found {
				t.Errorf("%s imports %s, which is not in ARCHITECTURE.md's fence table", name, imp)
			} else if !slices.Contains(allowed, name) {
				t.Errorf("%s imports %s, which is fenced to %v", name, imp, allowed)
			}
		}
	}
}

// The pure core reads no clock, disk, network or randomness.
func TestPureCore(t *testing.T) {
	pure := tableRows(t, "Pure core", 0)
	banned := []string{"os", "net", "net/http", "math/rand", "math/rand/v2", "crypto/rand", "database/sql", "log", "log/slog", "io/ioutil", "os/exec", "syscall"}
	clock := regexp.MustCompile(`\btime\.(Now|Since|Until|Sleep|After|Tick|NewTimer|NewTicker)\b`)
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		if _, ok := pure[name]; !ok {
			continue
		}
		for _, imp := range p.Imports {
			if slices.Contains(banned, imp) {
				t.Errorf("pure package %s imports %s", name, imp)
			}
		}
		for _, f := range p.GoFiles {
			src, err := os.ReadFile(filepath.Join(p.Dir, f))
			if err != nil {
				t.Fatal(err)
			}
			if m := clock.Find(src); m != nil {
				t.Errorf("pure package %s reads the clock: %s in %s", name, m, f)
			}
		}
	}
}

// Every package tells its story once.
func TestPackageComments(t *testing.T) {
	for _, p := range packages(t) {
		var with []string
		for _, f := range append(p.GoFiles, p.CgoFiles...) {
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, f), nil, parser.PackageClauseOnly|parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			if file.Doc != nil && !strings.HasSuffix(f, ".pb.go") {
				with = append(with, f)
			}
		}
		if len(with) != 1 {
			t.Errorf("%s: package comment in %d files %v, want exactly 1", p.ImportPath, len(with), with)
		}
	}
}

// An auditor can rebuild the verifier without the programs that it checks: what it
// is made of is in pkg alone.
func TestVerifierImportsPkgOnly(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "./pkg/verifier").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	own := 0
	for _, dep := range strings.Fields(string(out)) {
		switch rel, ok := strings.CutPrefix(dep, module); {
		case !ok:
			if dep == "net/http" || dep == "os/exec" || dep == "database/sql" {
				t.Errorf("the verifier's code reaches %s: it asks nobody", dep)
			}
		case !strings.HasPrefix(rel, "pkg/"):
			t.Errorf("the verifier's code reaches %s", rel)
		default:
			own++
		}
	}
	if own < 8 {
		t.Errorf("go list names only %d packages of the verifier", own)
	}
}
