package webui

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
)

func TestVersionsOfTheFleetAreCounted(t *testing.T) {
	hosts := []desk.Host{{AgentVersion: "v2"}, {AgentVersion: ""}, {AgentVersion: "v1"}, {AgentVersion: "v2"}}
	want := []versionSpread{{"v2", 2}, {"", 1}, {"v1", 1}}
	if d := cmp.Diff(want, spread(hosts)); d != "" || spread(nil) != nil {
		t.Error(d)
	}
}
