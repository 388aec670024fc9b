package flopwatch_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// docCommand is a line of a command block in the documentation.
type docCommand struct {
	file string
	line int
	text string
}

// docProgram begins a command.
var docProgram = regexp.MustCompile(`^(bin/)?(flopwatch-agent|flopwatch-collector|flopwatchctl|curl|make|nats-server|systemctl) `)

// docData are the languages of blocks that are no commands; the tests of the
// packages that read such files load them.
var docData = []string{"yaml", "json", "csv", "sql"}

// docCommands are the commands of all blocks in README and docs: each line that is
// no comment, whatever program it calls.
func docCommands(t *testing.T) (all []docCommand) {
	t.Helper()
	files := []string{"README.md", "CONTRIBUTING.md", "deploy/README.md"}
	for _, pattern := range []string{"docs/*.md", "docs/*/*.md"} {
		more, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, more...)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		inside, script := false, false
		for i, line := range strings.Split(string(text), "\n") {
			if language, fence := strings.CutPrefix(line, "```"); fence {
				inside, script = !inside, slices.Contains(docData, language)
				continue
			}
			script = script || strings.HasPrefix(line, "#!") // a whole script, which a test of its own runs
			if text := strings.TrimSpace(line); inside && !script && text != "" && !strings.HasPrefix(text, "#") {
				all = append(all, docCommand{file, i + 1, strings.TrimPrefix(text, "bin/")})
			}
		}
	}
	if len(all) < 60 {
		t.Fatalf("only %d commands were found", len(all))
	}
	return all
}

// runElsewhere are commands that other tests run, by how they begin.
var runElsewhere = map[string]string{
	"make ": "make test is this; what make run starts has tests of its own", "nats-server ": "TestCollectorOnAnExternalBroker of collector/internal/broker, by the same file",
	"systemctl ":              "packaging/test/install",
	"flopwatch-agent enroll ": "testdata/script/enrol.txtar, with a token that is good once",
	"flopwatch-agent doctor ": "testdata/script/gpu.txtar, because its exit code tells of the host", "flopwatch-agent release ": "testdata/script/gpu.txtar, beside an agent that runs",
	"flopwatchctl --server https://desk.example:8443 --token-file ": "testdata/script/tokens.txtar, with a token that was made",
	"flopwatch-collector migrate --to postgres:":                    "testdata/script/postgres.txtar, with a server",
	"flopwatch-collector serve --store ":                            "testdata/script/postgres.txtar, with a server",
	"flopwatchctl audit verify ":                                    "testdata/script/examiner5_log.txtar, on a log that was signed",
	"deploy/cluster/cluster.sh up":                                  "TestClusterChaos, with brokers and a database that are killed",
	"createdb ":                                                     "TestRoles of collector/internal/store, on a database of its own",
	"psql ":                                                         "TestRoles of collector/internal/store, both files of deploy/postgres",
	"ssh-keygen -Y verify ":                                         "TestReleaseIsCheckedAsDocumented",
}

// docFaults are answered to commands that are wrong, and not to those that are
// refused for what they are about.
var docFaults = []string{"unknown flag", "unexpected argument", "missing flags", "expected one of", "no such file", "405 Method", "page not found", "panic:", "command not found", "not found: "}

// Every command of the documentation is run, against a collector with runs,
// findings and parties, and with ids in the place of what it leaves out. It may be
// refused for what it is about, as an approval by the same person is. It may not
// be wrong: no command, flag, route or kind of file that is not there.
func TestDocumentedCommandsRun(t *testing.T) {
	d := openDocs(t)
	makefile, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	ran, done := 0, 0
	for _, c := range docCommands(t) {
		if words := strings.Fields(c.text); words[0] == "make" && (len(words) < 2 || !strings.Contains(string(makefile), "\n"+words[1]+":")) {
			t.Errorf("%s:%d: %s\nno such target", c.file, c.line, c.text)
		}
		elsewhere := false
		for prefix := range runElsewhere {
			elsewhere = elsewhere || strings.HasPrefix(c.text, prefix)
		}
		if elsewhere {
			continue
		}
		if !docProgram.MatchString(c.text) {
			t.Errorf("%s:%d: %s\nno test runs it", c.file, c.line, c.text)
			continue
		}
		out, code := d.run(c.text)
		ran++
		if code == 0 {
			done++
		}
		if code == 2 || slices.ContainsFunc(docFaults, func(fault string) bool { return bytes.Contains(out, []byte(fault)) }) {
			t.Errorf("%s:%d: %s\nexit %d: %s", c.file, c.line, c.text, code, out)
		}
	}
	t.Logf("%d documented commands were run, %d of them did what they say, the others were refused for what they are about", ran, done)
}

// docs is a collector with something of everything, and a folder with the files
// that the documentation names.
type docs struct {
	*testing.T
	dir   string
	words []string // what stands in the documentation, and what is put in its place
}

const (
	docParties = `{"kind":"party","party_id":"pty_7","form":"organisation","incorporation":"HK","name":"Orion Holding"}
{"kind":"customer","customer_id":"cus_orion","party_id":"pty_7","name":"Orion Labs"}
{"kind":"account","account_id":"acc_1","customer_id":"cus_orion","tenants":["ten-1"],"opened":"2020-01-01"}
`
	docTrace = `job_id,tenant,accelerator,hosts,gpus_per_host,start,end,ops_per_gpu_s,kind
j1,ten-1,H100-SXM5-80GB,64,8,2026-01-01T00:00:00Z,2026-03-02T00:00:00Z,4e14,training
`
)

func openDocs(t *testing.T) *docs {
	t.Helper()
	d := &docs{T: t, dir: t.TempDir()}
	for name, text := range map[string]string{
		"parties.csv": "party_id,form,incorporation\npty_7,organisation,HK\n", "everything.ndjson": docParties, "trace.csv": docTrace,
		"customers.csv": "customer_id,name,country,foreign_status,tenant_id\ncus_2,Harbour,HK,foreign,ten-2\n",
		"FILE":          "allocation_id,host,device,workload_kind,workload_id,tenant_id,from,to\nord-1,,,slurm_job,1,ten-1,2026-01-01T00:00:00Z,\n",
		"filer.json":    "{}", "fields.json": "{}", "receipt.pdf": "%PDF-1.4\n", "report.zip": "PK", "readings.csv": "x\n", "token": "x",
	} {
		if err := os.WriteFile(filepath.Join(d.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.WriteFile(filepath.Join(d.dir, "anchors"), nil, 0o600), os.Mkdir(filepath.Join(d.dir, "older"), 0o700), os.WriteFile(filepath.Join(d.dir, "older", "checkpoint"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	selfSigned(t, filepath.Join(d.dir, "desk.pem"), filepath.Join(d.dir, "desk.key"))
	data := filepath.Join(d.dir, "data")
	monitor := "127.0.0.1:" + strconv.Itoa(freePort(t))
	start(t, d.dir, "flopwatch-collector", "serve", "--data", data, "--monitor", monitor)
	waitReady(t, data)
	recordings, err := filepath.Glob("testdata/recordings/*-synthetic")
	if err != nil || len(recordings) == 0 {
		t.Fatal("no recording", err)
	}
	recording, err := filepath.Abs(recordings[0])
	if err != nil {
		t.Fatal(err)
	}
	d.words = []string{"127.0.0.1:8472", monitor, "testdata/recordings/NAME", recording, "/var/lib/flopwatch-collector", data, "/var/lib/flopwatch", filepath.Join(d.dir, "other"), "/etc/nats", filepath.Join(d.dir, "nats"), "/etc/flopwatch/agent.json", filepath.Join(data, "agent.json"),
		"0.0.0.0:7443", "127.0.0.1:0", "0.0.0.0:8443", "127.0.0.1:0", "--broker-port 4222", "--broker-port 0"}
	// The shipped files of settings, with the places of this test.
	for _, name := range []string{"agent.yaml", "collector.yaml"} {
		shipped, err := os.ReadFile(filepath.Join("packaging/config", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(d.dir, name), []byte(strings.NewReplacer(d.words...).Replace(string(shipped))), 0o600); err != nil {
			t.Fatal(err)
		}
		d.words = append(d.words, "/etc/flopwatch/"+name, filepath.Join(d.dir, name))
	}
	for _, line := range []string{"flopwatchctl parties import everything.ndjson", "flopwatch-agent replay --jobs trace.csv"} {
		if out, code := d.run(line); code != 0 {
			t.Fatalf("%s: exit %d\n%s", line, code, out)
		}
	}
	for prefix, list := range map[string]string{"run_": "runs", "fnd_": "findings", "cas_": "cases", "lnk_": "links", "usr_": "users", "rep_": "reports", "jon_": "runs", "fil_": "reports", "pol_": "policy"} {
		out, _ := d.run("flopwatchctl " + list + " -o csv")
		id := prefix + strings.Repeat("a", 20)
		if found := regexp.MustCompile(prefix + `[a-z2-7]{20}`).Find(out); found != nil {
			id = string(found)
		}
		d.words = append(d.words, prefix+"…", id)
	}
	d.words = append(d.words, "DIGEST", strings.Repeat("0", 64), "UUID", "GPU-0", "FOLDER", "recorded", "--collector ID", "--collector "+strings.Repeat("a", 26), "U…", "U"+strings.Repeat("A", 55), " …", "")
	return d
}

// selfSigned writes a certificate for desk.example that nobody trusts, and its key.
func selfSigned(t *testing.T, certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"desk.example"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	signed, err := x509.CreateCertificate(rand.Reader, &template, &template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{certificate: {Type: "CERTIFICATE", Bytes: signed}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// docPatience is for commands that go on until somebody stops them.
const docPatience = 20 * time.Second

// run runs a line as a shell would and returns what it says and its exit code. One
// that goes on is interrupted, and that is no fault.
func (d *docs) run(line string) (out []byte, code int) {
	d.Helper()
	patience := docPatience
	if regexp.MustCompile(`^flopwatch-(collector serve|agent (sample|ship|run|record)) `).MatchString(line) {
		patience = 3 * time.Second
	}
	ctx, cancel := context.WithTimeout(d.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", "exec "+strings.NewReplacer(d.words...).Replace(line))
	cmd.Dir = d.dir
	cmd.Env = append(os.Environ(), "PATH="+programs+string(os.PathListSeparator)+os.Getenv("PATH"), "FLOPWATCH_DATA="+filepath.Join(d.dir, "data"), "HOME="+d.dir)
	cmd.Stdin = strings.NewReader("a long password of docs\n")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.CombinedOutput()
	var ended *exec.ExitError
	switch {
	case err == nil || ctx.Err() != nil:
		return out, 0
	case errors.As(err, &ended):
		return out, ended.ExitCode()
	}
	return append(out, err.Error()...), 2
}
