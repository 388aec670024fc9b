package flopwatch_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/flopwatch/flopwatch/pkg/pgtest"
)

// programs is the folder of the three programs, built once for all tests here.
var programs string

func TestMain(m *testing.M) {
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "flopwatch-bin-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	programs = dir
	build := exec.Command("go", "build", "-ldflags=-w", "-o", dir+string(filepath.Separator), "./agent/cmd/...", "./collector/cmd/...")
	build.Env = append(os.Environ(), "CGO_CFLAGS=-Wno-deprecated-declarations -O2 -DSQLITE_DEFAULT_MEMSTATUS=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	header, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/NVIDIA/go-nvml").Output()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	cc := exec.Command("cc", "-shared", "-fPIC", "-O2", "-I", filepath.Join(strings.TrimSpace(string(header)), "pkg/nvml"),
		"-o", filepath.Join(dir, "libnvml-standin.so"), "testdata/nvml/fake_nvml.c", "-lm", "-lpthread")
	if out, err := cc.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the NVML stand-in: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// nameHost puts this host's name in place of HOSTNAME in a script's leases.
func nameHost(path string) error {
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	return os.WriteFile(path, bytes.ReplaceAll(text, []byte("HOSTNAME"), []byte(name)), 0o600)
}

// The scripts run the real programs and read like a manual.
func TestScripts(t *testing.T) {
	testdata, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		UpdateScripts:       os.Getenv("UPDATE") != "",
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", programs+string(os.PathListSeparator)+os.Getenv("PATH"))
			e.Setenv("TESTDATA", testdata)
			e.Setenv("DEPLOY", filepath.Join(filepath.Dir(testdata), "deploy"))
			e.Setenv("NATSPORT", strconv.Itoa(freePort(t)))
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("STANDIN", filepath.Join(programs, "libnvml-standin.so"))
			return errors.Join(nameHost(filepath.Join(e.WorkDir, "leases.ndjson")), nameHost(filepath.Join(e.WorkDir, "allocations.csv")))
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"eventually":    eventually,
			"sign-in":       signInScript,
			"capture":       capture,
			"nats-server":   natsServer,
			"hides":         hides,
			"answer":        answer,
			"keep":          keep,
			"twice":         twice,
			"flip-database": flipDatabase,
			"flip-export":   flipExport,
			"database": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) != 1 {
					ts.Fatalf("usage: database variable")
				}
				ts.Setenv(args[0], pgtest.Database(t, "", nil))
			},
		},
		Condition: func(name string) (bool, error) {
			if name == "postgres" {
				return pgtest.Binaries() != "", nil
			}
			return false, fmt.Errorf("condition %q is not known", name)
		},
	})
}

// twice runs a program until it says the same by a pattern two times in a row: what
// it is about may still have settled before the first time.
//
//	twice 60s 'digest +[0-9a-f]+' flopwatchctl policy simulate pol_…
func twice(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: twice limit pattern program args…")
	}
	limit, err := time.ParseDuration(args[0])
	ts.Check(err)
	pattern, err := regexp.Compile(args[1])
	ts.Check(err)
	before := ""
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); {
		cmd := exec.Command(filepath.Join(programs, args[2]), args[3:]...)
		cmd.Dir, cmd.Env = ts.Getenv("WORK"), append(os.Environ(), "FLOPWATCH_DATA="+ts.Getenv("FLOPWATCH_DATA"), "HOME="+ts.Getenv("HOME"))
		out, err := cmd.Output()
		ts.Check(err)
		now := string(pattern.Find(out))
		if now != "" && now == before {
			ts.Logf("%s", out)
			return
		}
		before = now
	}
	ts.Fatalf("%s did not say the same twice within %s; at last it said %q", args[2], limit, before)
}

// keep copies files into the folder that KEEP names, so that they can be looked at:
//
//	keep report.html report.pdf
func keep(ts *testscript.TestScript, neg bool, args []string) {
	folder := os.Getenv("KEEP")
	if neg || len(args) == 0 {
		ts.Fatalf("usage: keep file…")
	}
	for _, name := range args {
		if folder != "" {
			ts.Check(os.WriteFile(filepath.Join(folder, filepath.Base(name)), []byte(ts.ReadFile(name)), 0o600))
		}
	}
}

// natsServer puts a NATS server beside the programs, built from the module that is
// the broker inside a collector: it is there wherever the programs can be built.
func natsServer(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: nats-server")
	}
	if out, err := exec.Command("go", "build", "-ldflags=-w", "-o", filepath.Join(programs, "nats-server"), "github.com/nats-io/nats-server/v2").CombinedOutput(); err != nil {
		ts.Fatalf("build the NATS server: %v: %s", err, out)
	}
}

// capture sets a variable to the first match of a pattern in the last output:
//
//	capture run 'run_[a-z2-7]{20}'
func capture(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: capture variable pattern")
	}
	pattern, err := regexp.Compile(args[1])
	ts.Check(err)
	found := pattern.FindString(ts.ReadFile("stdout"))
	if found == "" {
		ts.Fatalf("no %s in the output", args[1])
	}
	ts.Setenv(args[0], found)
}

// eventually runs a program again until its output contains a text:
//
//	eventually 20s 'balanced' flopwatchctl --data data ledger check
func eventually(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: eventually limit text program args…")
	}
	limit, err := time.ParseDuration(args[0])
	ts.Check(err)
	path := args[2]
	if !strings.Contains(path, "/") {
		path = filepath.Join(programs, path)
	}
	var out []byte
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		cmd := exec.Command(path, args[3:]...)
		cmd.Dir = ts.Getenv("WORK")
		out, err = cmd.CombinedOutput()
		if err == nil && bytes.Contains(out, []byte(args[1])) {
			ts.Logf("%s", out)
			return
		}
	}
	ts.Fatalf("%q did not appear within %s; the last answer (%v) was:\n%s", args[1], limit, err, out)
}
