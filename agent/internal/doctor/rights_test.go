package doctor

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/flopwatch/flopwatch/bpf"
)

// TestRightsChild is what the test below runs with fewer rights.
func TestRightsChild(t *testing.T) {
	out := os.Getenv("FLOPWATCH_RIGHTS")
	if out == "" {
		t.Skip("run by the test of rights")
	}
	data, err := json.Marshal(examineKernel(bpf.Support()))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(out, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// told is a check as programs read it.
type told struct{ Name, Status, Found, Advice string }

// A right that is really taken away is named, with what is lost and what to do;
// one that is held is not.
func TestMissingRightsAreExplained(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("taking rights away needs root")
	}
	setpriv, err := exec.LookPath("setpriv")
	if err != nil {
		t.Skipf("needs setpriv of util-linux: %v", err)
	}
	examined := func(drop string) map[string]told {
		t.Helper()
		out := t.TempDir() + "/checks"
		args := []string{os.Args[0], "-test.run=^TestRightsChild$"}
		if drop != "" {
			args = append([]string{setpriv, "--bounding-set=" + drop, "--inh-caps=" + drop}, args...)
		}
		c := exec.Command(args[0], args[1:]...)
		c.Env = append(os.Environ(), "FLOPWATCH_RIGHTS="+out)
		if text, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", drop, err, text)
		}
		data, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		var checks []told
		if err := json.Unmarshal(data, &checks); err != nil {
			t.Fatal(err)
		}
		byName := map[string]told{}
		for _, c := range checks {
			byName[c.Name] = c
		}
		return byName
	}
	whole := examined("")
	for _, c := range []struct {
		drop  string
		named []string // checks that must be degraded and say so
		lost  string
	}{
		// CAP_SYS_ADMIN holds the first two in it.
		{"-bpf,-sys_admin", []string{"kernel: CAP_BPF", "kernel: process events", "kernel: device holders", "kernel: traffic"}, "all programs"},
		{"-perfmon,-sys_admin", []string{"kernel: CAP_PERFMON", "kernel: process events"}, "all programs"},
		{"-sys_ptrace", []string{"kernel: CAP_SYS_PTRACE"}, "NCCL"},
		{"-dac_read_search", []string{"kernel: CAP_DAC_READ_SEARCH"}, "cgroups"},
		{"-net_admin", []string{"kernel: CAP_NET_ADMIN", "kernel: process connector"}, "connector"},
	} {
		got := examined(c.drop)
		for i, name := range c.named {
			check, ok := got[name]
			if _, before := whole[name]; before {
				t.Logf("%s is refused here with all rights", name)
				continue
			}
			if !ok || check.Status != "degraded" || !strings.Contains(check.Found, "no: ") || !strings.HasPrefix(check.Advice, "lost without it: ") {
				t.Errorf("%s: %s is %+v", c.drop, name, check)
			}
			if i == 0 && (!strings.Contains(check.Advice, c.lost) || !strings.Contains(check.Found, "AmbientCapabilities")) {
				t.Errorf("%s: %+v does not say that %s is lost and what to do", c.drop, check, c.lost)
			}
		}
		all := got["kernel events"]
		if hears := !strings.HasPrefix(c.drop, "-bpf") && !strings.HasPrefix(c.drop, "-perfmon"); hears != (all.Advice == "") {
			t.Errorf("%s: %+v", c.drop, all)
		}
	}
}
