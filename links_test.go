package flopwatch_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	docLink    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	docHeading = regexp.MustCompile(`(?m)^#+ +(.*)$`)
	docPlain   = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// anchorsOf are the names under which a page's headings are linked.
func anchorsOf(text []byte) map[string]bool {
	out := map[string]bool{}
	for _, m := range docHeading.FindAllSubmatch(text, -1) {
		name := docPlain.ReplaceAllString(strings.ToLower(strings.TrimSpace(string(m[1]))), "")
		out[strings.ReplaceAll(name, " ", "-")] = true
	}
	return out
}

// Every link in README and docs to a file or heading of this repository leads to
// one, and every page of docs is linked from somewhere.
func TestDocLinksLead(t *testing.T) {
	var pages []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md", "deploy/*.md", "testdata/*.md", "testdata/*/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, found...)
	}
	linked, links := map[string]bool{}, 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range docLink.FindAllStringSubmatch(string(text), -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			links++
			path := page
			if target != "" {
				path = filepath.Join(filepath.Dir(page), target)
			}
			info, err := os.Stat(path)
			if err != nil {
				t.Errorf("%s: %s leads nowhere", page, m[1])
				continue
			}
			linked[path] = true
			if anchor != "" && !info.IsDir() {
				to, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if !anchorsOf(to)[anchor] {
					t.Errorf("%s: %s names no heading of %s", page, m[1], path)
				}
			}
			if info.IsDir() {
				inside, err := filepath.Glob(filepath.Join(path, "*.md"))
				if err != nil {
					t.Fatal(err)
				}
				for _, p := range inside {
					linked[p] = true
				}
			}
		}
	}
	for _, page := range pages {
		if strings.HasPrefix(page, "docs/") && !linked[page] {
			t.Errorf("%s is linked from nowhere", page)
		}
	}
	if links < 40 {
		t.Errorf("only %d links were found", links)
	}
	t.Logf("%d links on %d pages", links, len(pages))
}
