package exporter_test

import (
	"strings"
	"testing"

	"github.com/flopwatch/flopwatch/agent/internal/exporter"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

func TestHostileLabels(t *testing.T) {
	e := exporter.New("a\"b\\c\nd", "v")
	d := devices()
	d[0].Name = "\xff\xfeH100" + strings.Repeat("é", 300) + "\n} 1\nevil 2"
	e.Devices(append(d, d[0])) // a driver that lists a device twice
	e.Read(readings())
	e.Windows([]measure.Window{window("GPU-0", "t\"\n} 3\nevil 4")})
	families := parse(t, text(t, e))
	if families["evil"] != nil {
		t.Error("a label became a metric")
	}
	labels := map[string]string{}
	for _, l := range families["flopwatch_operations_total"].GetMetric()[0].GetLabel() {
		labels[l.GetName()] = l.GetValue()
	}
	if got, want := labels["Hostname"], "a\"b\\c\nd"; got != want {
		t.Errorf("hostname %q, want %q", got, want)
	}
	if got, want := labels["tenant"], "t\"\n} 3\nevil 4"; got != want {
		t.Errorf("tenant %q, want %q", got, want)
	}
	if name := labels["modelName"]; !strings.HasPrefix(name, "\uFFFDH100é") || len(name) > 256 {
		t.Errorf("model %q: want what can be shown of it, in 256 bytes", name)
	}
}

// Values that look alike are one series, with the sum of both.
func TestLongTenants(t *testing.T) {
	e, long := filled(), measure.TenantID(strings.Repeat("é", 200))
	e.Windows([]measure.Window{window("GPU-0", long+"1"), window("GPU-0", long+"2")})
	for _, m := range parse(t, text(t, e))["flopwatch_device_seconds_total"].GetMetric() {
		if strings.Contains(m.String(), "éé") && m.GetCounter().GetValue() != 18 {
			t.Errorf("%v s, want 18", m.GetCounter().GetValue())
		}
	}
}

func FuzzLabel(f *testing.F) {
	for _, s := range []string{"", "a", "\"", "\\", "\n", "\xff", "é\u202e"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e := exporter.New(s, s)
		d := devices()
		d[0].Name = s
		e.Devices(d)
		e.Read(readings())
		e.Windows([]measure.Window{window("GPU-0", measure.TenantID(s))})
		if parse(t, text(t, e))["flopwatch_agent_info"] == nil {
			t.Error("no metrics")
		}
	})
}
