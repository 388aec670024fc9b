package exporter

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/flopwatch/flopwatch/agent/internal/nvml"
)

// maxLabel bounds a label value, in bytes before it is escaped.
const maxLabel = 256

// plain returns what is shown of a label value: UTF-8 of at most maxLabel bytes.
// Sums are kept by it, so that two values that look alike are one series. It
// does not allocate for a value that is shown whole.
func plain(s string) string {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	if len(s) <= maxLabel {
		return s
	}
	end := maxLabel
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}

// label returns a label value as it is written between quotes.
func label(s string) string { return escaper.Replace(plain(s)) }

var escaper = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// deviceLabels renders the labels that every metric of a device has. The
// hostname is escaped already.
func deviceLabels(d *nvml.Device, hostname string) string {
	var b strings.Builder
	b.WriteString(`gpu="` + strconv.Itoa(d.Index) + `",UUID="` + label(string(d.ID)) + `"`)
	if d.Minor >= 0 {
		b.WriteString(`,device="nvidia` + strconv.Itoa(d.Minor) + `"`)
	}
	if d.Parent != "" {
		b.WriteString(`,parent="` + label(string(d.Parent)) + `"`)
	}
	b.WriteString(`,modelName="` + label(d.Name) + `",Hostname="` + hostname + `"`)
	return b.String()
}
