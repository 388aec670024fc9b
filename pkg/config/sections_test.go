package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSections(t *testing.T) {
	got, err := Sections("agent.yaml", []byte("# how often\nsample:\n  period: 1s\n  without:\n    - 1\n    - 2\nship:\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []Setting{
		{Section: "sample", Key: "period", Values: []string{"1s"}, Line: 3, KeyLine: 3},
		{Section: "sample", Key: "without", Values: []string{"1", "2"}, List: true, Line: 5, KeyLine: 4},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestSectionsNameThePlaceOfEveryFault(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"not a mapping":   {"- a\n", "f:1: document: must be a mapping"},
		"section scalar":  {"sample: 1s\n", "f:1: sample: must be a mapping"},
		"too deep":        {"sample:\n  period:\n    a: 1\n", "f:3: sample.period: must be a single value"},
		"null value":      {"sample:\n  period:\n", "f:2: sample.period: must be a single value"},
		"key twice":       {"sample:\n  a: 1\n  a: 2\n", "f:3: sample.a: is given twice"},
		"section twice":   {"sample:\nsample:\n", "f:2: sample: is given twice"},
		"alias":           {"sample:\n  a: &x 1\n  b: *x\n", "f:2: sample.a: must be a single value"},
		"broken document": {"a: [1\n", "f: line 1"},
		"too large":       {strings.Repeat("#", MaxBytes+1), "f: larger than"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Sections("f", []byte(c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func FuzzSections(f *testing.F) {
	f.Add([]byte("sample:\n  period: 1s\n  without: [1, 2]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		settings, err := Sections("f", data)
		if err != nil && settings != nil {
			t.Error("settings beside an error")
		}
	})
}
