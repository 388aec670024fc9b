package settings_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/flopwatch/flopwatch/pkg/settings"
)

const good = `version: 2
title: finer in one site
layers:
  - {sample_period: 2s, window: 20s, batch: 40s}
  - {hosts: [gpu-7], nccl: "on"}
  - {site: fsn, sample_period: 500ms}
  - {accelerator: H100-SXM5-80GB, band: [50, 300, 800]}
rollout: {steps: [5, 100], hold: 10m}
`

func TestLayers(t *testing.T) {
	f, err := settings.Read("s.yaml", []byte(good))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		host settings.Host
		want settings.Values
	}{
		"the fleet":        {settings.Host{ID: "a"}, settings.Values{PeriodMS: 2000, WindowMS: 20000, BatchMS: 40000, BandLow: 100, BandBest: 350, BandHigh: 600}},
		"a site":           {settings.Host{ID: "a", Site: "fsn"}, settings.Values{PeriodMS: 500, WindowMS: 20000, BatchMS: 40000, BandLow: 100, BandBest: 350, BandHigh: 600}},
		"a host of a site": {settings.Host{ID: "a", Name: "gpu-7", Site: "fsn", Accelerators: []string{"H100-SXM5-80GB"}}, settings.Values{PeriodMS: 500, WindowMS: 20000, BatchMS: 40000, NCCL: true, BandLow: 50, BandBest: 300, BandHigh: 800}},
	} {
		if d := cmp.Diff(c.want, f.Of(c.host)); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}

func TestBadSettings(t *testing.T) {
	for name, c := range map[string]struct{ old, new, want string }{
		"too fast":           {"2s", "1ms", "s.yaml:4: layers[0]: sample_period: must be from 100ms"},
		"window too short":   {"window: 20s", "window: 1s", "s.yaml:4: layers[0]: window"},
		"batch too short":    {"batch: 40s", "batch: 10s", "s.yaml:4: layers[0]: batch"},
		"a unit that isn't":  {"2s", "2 seconds", "s.yaml:4: layers[0].sample_period"},
		"nccl perhaps":       {`"on"`, "maybe", "s.yaml:5: layers[1].nccl: must be on or off"},
		"half a band":        {"[50, 300, 800]", "[100, 800]", "s.yaml:7: layers[3].band"},
		"a band upside down": {"[50, 300, 800]", "[800, 100, 50]", "s.yaml:7: layers[3]: band"},
		"steps that fall":    {"[5, 100]", "[100, 5]", "s.yaml:8: rollout.steps: must rise to 100"},
		"never all":          {"[5, 100]", "[5, 50]", "s.yaml:8: rollout.steps"},
		"too short a hold":   {"hold: 10m", "hold: 1m", "s.yaml:4: layers[0].batch: must be at most a tenth"},
		"unknown key":        {"site: fsn", "rack: 4", "s.yaml:6: layers[2].rack: unknown key"},
		"no version":         {"version: 2\n", "", "s.yaml:1: version"},
	} {
		_, err := settings.Read("s.yaml", []byte(strings.Replace(good, c.old, c.new, 1)))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

// Whatever a text says that is taken, every host gets settings that an agent can
// work by.
func TestEveryHostCanWork(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		pick := func(name string, words ...string) string { return rapid.SampledFrom(words).Draw(rt, name) }
		text := "version: 1\ntitle: t\ngroups: [{name: g, hosts: [\"g*\", spare]}]\nlayers:\n"
		for range rapid.IntRange(1, 5).Draw(rt, "layers") {
			text += "  - {site: \"" + pick("site", "", "a", "b") + "\", group: \"" + pick("group", "", "g") + "\""
			for _, k := range []string{"sample_period", "window", "batch"} {
				if v := pick(k, "", "100ms", "1s", "10s", "30s", "60s"); v != "" {
					text += ", " + k + ": " + v
				}
			}
			text += "}\n"
		}
		f, err := settings.Read("s.yaml", []byte(text))
		if err != nil {
			return
		}
		for _, site := range []string{"", "a", "b"} {
			for _, id := range []string{"h", "g1"} {
				if err := f.Of(settings.Host{ID: id, Site: site}).Validate(); err != nil {
					rt.Fatalf("%s\nsite %q host %q: %v", text, site, id, err)
				}
			}
		}
	})
}

// A group is hosts by pattern of id or name; a layer of a group wins over one of a
// site, and one of single hosts over both.
func TestGroups(t *testing.T) {
	f, err := settings.Read("s.yaml", []byte(`version: 1
title: groups
groups:
  - {name: canaries, hosts: ["rack1-*", abc]}
  - {name: rest, hosts: ["rack?-node2"]}
layers:
  - {sample_period: 2s}
  - {site: hall-2, sample_period: 3s}
  - {group: canaries, sample_period: 4s}
  - {hosts: [rack1-node9], sample_period: 5s}
  - {group: rest, window: 20s, batch: 20s}
`))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		host           settings.Host
		period, window int64
	}{
		{settings.Host{ID: "x", Name: "rack2-node1"}, 2000, 10_000}, {settings.Host{ID: "x", Name: "rack2-node2"}, 2000, 20_000}, {settings.Host{ID: "x", Site: "hall-2"}, 3000, 10_000},
		{settings.Host{ID: "x", Name: "rack1-node2", Site: "hall-2"}, 4000, 20_000}, {settings.Host{ID: "abc"}, 4000, 10_000}, {settings.Host{ID: "x", Name: "rack1-node9"}, 5000, 10_000},
	} {
		if v := f.Of(c.host); v.PeriodMS != c.period || v.WindowMS != c.window {
			t.Errorf("%+v runs %+v", c.host, v)
		}
	}
	for text, want := range map[string]string{
		"groups: [{name: a, hosts: [x]}]\nlayers: [{group: b, batch: 30s}]":                        "layers[0].group: is not among the groups",
		"groups: [{name: a, hosts: [x]}, {name: a, hosts: [y]}]\nlayers: [{group: a, batch: 30s}]": "groups[1].name",
		"groups: [{name: a, hosts: []}]\nlayers: [{group: a, batch: 30s}]":                         "groups[0].hosts: must name a host",
		"groups: [{name: a, hosts: [\"[\"]}]\nlayers: [{group: a, batch: 30s}]":                    "groups[0].hosts",
	} {
		if _, err := settings.Read("s.yaml", []byte("version: 1\ntitle: t\n"+text+"\n")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(good))
	f.Fuzz(func(t *testing.T, data []byte) {
		if s, err := settings.Read("s.yaml", data); err == nil {
			if err := s.Of(settings.Host{ID: "h"}).Validate(); err != nil {
				t.Error(err)
			}
		} else if !strings.HasPrefix(err.Error(), "s.yaml:") {
			t.Errorf("%v", err)
		}
	})
}
