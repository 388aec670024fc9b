package tenancy

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"
)

// blocks returns the examples of a language in docs/tenancy.md.
func blocks(t *testing.T, language string) []string {
	t.Helper()
	text, err := os.ReadFile("../../../docs/tenancy.md")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, m := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		found = append(found, m[1])
	}
	if len(found) == 0 {
		t.Fatalf("docs/tenancy.md has no example in %s", language)
	}
	return found
}

func TestLeasesInTheDocs(t *testing.T) {
	for _, text := range blocks(t, "json") {
		if _, err := Decode("docs/tenancy.md", []byte(text)); err != nil {
			t.Error(err)
		}
	}
}

// The specificities that are written down are those in force.
func TestKindsInTheDocs(t *testing.T) {
	text, err := os.ReadFile("../../../docs/tenancy.md")
	if err != nil {
		t.Fatal(err)
	}
	for kind, rank := range specificity {
		row := regexp.MustCompile("(?m)^\\| `" + string(kind) + "` \\|.*\\| " + decimal(rank) + " \\|$")
		if !row.Match(text) {
			t.Errorf("docs/tenancy.md has no row of %s with specificity %d", kind, rank)
		}
	}
}

func TestPrologInTheDocs(t *testing.T) {
	script := blocks(t, "sh")[0]
	path := filepath.Join(t.TempDir(), "made", "jobs.ndjson")
	prolog := func(job, account string) {
		t.Helper()
		cmd := exec.Command("sh", "-c", script)
		cmd.Env = []string{"FLOPWATCH_JOBS=" + path, "SLURM_JOB_ID=" + job, "SLURM_JOB_ACCOUNT=" + account, "SLURM_JOB_UID=1001"}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	prolog("7", "physics")
	prolog("8", `x","tenant":"y`)
	prolog("9", "")
	prolog("10", "b-1@x.y")
	w := NewJobWatcher(path)
	w.Poll(time.Now())
	if w.Err() != nil || w.Jobs().Len() != 2 {
		t.Fatalf("%d jobs, %v", w.Jobs().Len(), w.Err())
	}
	for id, account := range map[string]string{"7": "physics", "10": "b-1@x.y"} {
		if j, ok := w.Jobs().Of(id, time.Now().UnixNano()); !ok || j.Account != account || j.User != "1001" {
			t.Errorf("job %s: %+v, %t", id, j, ok)
		}
	}
}
