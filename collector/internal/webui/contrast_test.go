package webui_test

import (
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// luminance is WCAG's relative luminance of #rrggbb.
func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	n, err := strconv.ParseUint(strings.TrimPrefix(hex, "#"), 16, 32)
	if err != nil || len(hex) != 7 {
		t.Fatalf("colour %q: %v", hex, err)
	}
	sum := 0.0
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		c := float64(n>>(16-8*i)&0xff) / 255
		if c <= 0.04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		sum += weight * c
	}
	return sum
}

// Text keeps 4.5:1 on everything it stands on, marks of charts 3:1, in both themes.
func TestContrast(t *testing.T) {
	css, err := os.ReadFile("assets/desk.css")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile(`(?s):root \{(.*?)\}`).FindAllStringSubmatch(string(css), -1)
	if len(blocks) != 2 {
		t.Fatalf("%d themes, want 2", len(blocks))
	}
	for i, theme := range []string{"light", "dark"} {
		colour := map[string]string{}
		for _, m := range regexp.MustCompile(`--([a-z-]+): (#[0-9a-f]{6})`).FindAllStringSubmatch(blocks[i][1], -1) {
			colour[m[1]] = m[2]
		}
		for _, pair := range []struct {
			front, back string
			least       float64
		}{
			{"ink", "paper", 4.5}, {"ink", "raised", 4.5}, {"soft", "paper", 4.5}, {"soft", "raised", 4.5},
			{"link", "paper", 4.5}, {"link", "raised", 4.5}, {"alert", "paper", 4.5},
			{"calm", "calm-back", 4.5}, {"warn", "warn-back", 4.5}, {"alert", "alert-back", 4.5},
			{"best", "track", 3}, {"ink", "track", 3}, {"alert", "track", 3}, {"range", "track", 3}, {"range", "best", 3},
		} {
			a, b := luminance(t, colour[pair.front]), luminance(t, colour[pair.back])
			if got := (math.Max(a, b) + 0.05) / (math.Min(a, b) + 0.05); got < pair.least {
				t.Errorf("%s: %s on %s has %.2f:1, want %v:1", theme, pair.front, pair.back, got, pair.least)
			}
		}
	}
}
