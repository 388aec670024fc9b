package flopwatch_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// people is a collector with people who sign in, and what they type.
type people struct {
	t         *testing.T
	dir, data string
}

const longPassword = "a long password\n"

// run runs flopwatchctl for a person, nobody in particular if it is "".
func (p people) run(who string, args ...string) string {
	p.t.Helper()
	if who != "" {
		args = append([]string{"--session", who + ".json"}, args...)
	}
	cmd := exec.Command(filepath.Join(programs, "flopwatchctl"), append([]string{"--data", p.data}, args...)...)
	cmd.Dir, cmd.Stdin = p.dir, strings.NewReader(longPassword)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		p.t.Fatalf("flopwatchctl %s: %v\n%s%s", strings.Join(args, " "), err, out, &stderr)
	}
	return string(out)
}

// signIn opens the session of a person, with the second factor that their role needs.
func (p people) signIn(who string) {
	p.t.Helper()
	cmd := exec.Command(filepath.Join(programs, "flopwatchctl"), "--session", who+".json", "--data", p.data, "sign-in", who)
	cmd.Dir = p.dir
	if out, err := signInProgram(cmd, appOf(p.dir, who), strings.TrimSpace(longPassword)); err != nil {
		p.t.Fatalf("sign in %s: %v\n%s", who, err, out)
	}
}

// told is the findings of a policy, or all, as subject, rule and level.
func (p people) told(policy string) []string {
	p.t.Helper()
	var all []struct{ ID, Subject, Rule, Level, Policy, Pack string }
	if err := json.Unmarshal([]byte(p.run("", "findings", "-o", "json")), &all); err != nil {
		p.t.Fatal(err)
	}
	out := []string{}
	for _, f := range all {
		if f.Pack == "moved" && (policy == "" || f.Policy == policy) {
			out = append(out, f.Subject+" "+f.Rule+" "+f.Level)
		}
	}
	slices.Sort(out)
	return out
}

var policyID, simulationID = regexp.MustCompile(`pol_[a-z0-9]+`), regexp.MustCompile(`sim_[a-z0-9]+`)

// move drafts a text, simulates it, puts it in force by two people, and returns
// what was predicted and what was then found by looking back.
func (p people) move(version int, run, customer, month string) (predicted, found []string) {
	p.t.Helper()
	file := filepath.Join(p.dir, fmt.Sprintf("moved-%d.yaml", version))
	text := fmt.Sprintf(`id: moved
version: %d
title: Lines that move
citation: a test
status: internal
effective: from approval
active: true
rules:
  - {id: run, title: A run, citation: a test, measure: run_operations, unit: operations, threshold: "%s", warn_percent: [50, 80, 95], applies_to: [foreign, undetermined]}
  - {id: customer, title: A customer, citation: a test, measure: customer_operations, unit: operations, threshold: "%s", warn_percent: [80], applies_to: [foreign, undetermined]}
  - {id: month, title: A month, citation: a test, measure: customer_operations, window_days: 30, unit: operations, threshold: "%s", applies_to: [foreign, undetermined]}
`, version, run, customer, month)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
	id := policyID.FindString(p.run("ana", "policy", "draft", file))
	simulation := simulationID.FindString(p.run("ana", "policy", "simulate", id))
	var report struct {
		Findings []struct{ Subject, Rule, Level string }
	}
	out := p.run("ana", "policy", "report", simulation, "-o", "json")
	var whole map[string]json.RawMessage
	if err := json.Unmarshal([]byte(out), &whole); err != nil {
		p.t.Fatal(err)
	}
	inner := whole["report"]
	if inner == nil {
		inner = json.RawMessage(out)
	}
	if err := json.Unmarshal(inner, &report); err != nil {
		p.t.Fatalf("report: %v\n%.500s", err, out)
	}
	predicted = []string{}
	for _, f := range report.Findings {
		predicted = append(predicted, f.Subject+" "+f.Rule+" "+f.Level)
	}
	slices.Sort(predicted)
	p.run("ana", "policy", "propose", id, "--reason", "a line moves")
	digest := regexp.MustCompile(`(?m)^proposal +([0-9a-f]+)`).FindStringSubmatch(p.run("ana", "policy", "show", id))
	if digest == nil {
		p.t.Fatalf("policy %s has no proposal", id)
	}
	p.run("ben", "policy", "approve", id, digest[1])
	for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(200 * time.Millisecond) {
		if strings.Contains(p.run("", "policy", "show", id), "looked back") {
			return predicted, p.told(id)
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("policy %s did not look back within 5 minutes", id)
		}
	}
}

// Lines are lowered and raised over fleets that were replayed: each time looking
// back finds exactly what the simulation said, raising finds nothing and closes
// nothing, and lowering finds something.
func TestMovedLinesFindWhatWasPredicted(t *testing.T) {
	published := filepath.Join("..", "shared", "traces", "mlperf-training-v4.0-runs", "runs.csv.gz")
	for name, c := range map[string]struct {
		trace string
		lines [4][3]string // first, lowered, raised, lowered below the first
		jobs  int
	}{
		"scenario":    {filepath.Join("testdata", "scenarios", "published.jobs.csv"), [4][3]string{{"1e25", "1e25", "1e25"}, {"1e24", "2e24", "1e24"}, {"1e26", "1e26", "1e26"}, {"1e22", "1e22", "1e22"}}, 21},
		"worked case": {filepath.Join("testdata", "scenarios", "worked-case.jobs.csv"), [4][3]string{{"1e23", "1e23", "1e23"}, {"1e22", "4.5e22", "2e22"}, {"1e25", "1e25", "1e25"}, {"2e21", "1e22", "1e22"}}, 58},
		"published":   {published, [4][3]string{{"1e21", "1e22", "5e21"}, {"1e20", "1e21", "1e20"}, {"1e24", "1e24", "1e24"}, {"1e19", "1e19", "1e19"}}, 2181},
	} {
		t.Run(name, func(t *testing.T) {
			if name != "worked case" && os.Getenv("FLOPWATCH_LONG") == "" {
				t.Skip("takes minutes: make moved-lines")
			}
			trace, err := filepath.Abs(c.trace)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(trace); err != nil {
				t.Skip("this recording is not on this machine: " + c.trace)
			}
			dir := t.TempDir()
			p := people{t, dir, filepath.Join(dir, "data")}
			start(t, dir, "flopwatch-collector", "serve", "--data", p.data)
			waitReady(t, p.data)
			for who, role := range map[string]string{"ana": "policy-author", "ben": "policy-approver"} {
				p.run("", "users", "add", who, "--role", role)
				p.signIn(who)
			}
			agent := start(t, dir, "flopwatch-agent", "replay", "--endpoint", filepath.Join(p.data, "agent.json"), "--data", filepath.Join(dir, "agent"), "--jobs", trace)
			if err := agent.Wait(); err != nil {
				t.Fatalf("agent: %v\n%s", err, agent.Stderr)
			}
			// What is simulated is what is derived: the runs must have settled first.
			same := 0
			for deadline, before := time.Now().Add(5*time.Minute), ""; ; time.Sleep(2 * time.Second) {
				now := p.run("", "runs", "-o", "csv")
				if same++; strings.Count(now, "\n") != c.jobs+1 || now != before {
					same = 0
				}
				if same == 5 {
					break // ten seconds: on a busy machine deriving may pause for some
				}
				if before = now; time.Now().After(deadline) {
					t.Fatalf("%d runs, want %d", strings.Count(now, "\n")-1, c.jobs)
				}
			}
			total := 0
			for i, lines := range c.lines {
				before := p.told("")
				predicted, found := p.move(i+1, lines[0], lines[1], lines[2])
				if d := cmp.Diff(predicted, found); d != "" {
					t.Errorf("lines %v (-predicted +found):\n%s", lines, d)
				}
				if after := p.told(""); len(after) != len(before)+len(found) {
					t.Errorf("lines %v: %d findings were there and %d were found, %d are", lines, len(before), len(found), len(after))
				}
				t.Logf("lines %v: %d findings predicted and found", lines, len(found))
				if i == 2 && len(found) > 0 {
					t.Errorf("raising the lines found %v", found)
				}
				if i != 2 && i > 0 && len(found) == 0 {
					t.Errorf("lowering the lines to %v found nothing", lines)
				}
				total += len(found)
			}
			if total == 0 {
				t.Error("nothing was found")
			}
		})
	}
}
