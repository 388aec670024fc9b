package flopwatch_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/xuri/excelize/v2"
)

// desk is a collector that serves, with flopwatchctl to ask it.
type keyDesk struct {
	*testing.T
	dir, url string
	stop     func() // ends the collector
}

// startDesk serves a collector until the test ends.
func startDesk(t *testing.T) *keyDesk {
	t.Helper()
	d := &keyDesk{T: t, dir: t.TempDir()}
	ctx, cancel := context.WithCancel(context.Background())
	serve := exec.CommandContext(ctx, filepath.Join(programs, "flopwatch-collector"), "serve", "--data", "data")
	serve.Dir = d.dir
	serve.Cancel = func() error { return serve.Process.Signal(os.Interrupt) }
	serve.WaitDelay = time.Minute
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	d.stop = sync.OnceFunc(func() {
		cancel()
		_ = serve.Wait() // it was interrupted
	})
	t.Cleanup(d.stop)
	d.eventually("balanced", "ledger", "check")
	data, err := os.ReadFile(filepath.Join(d.dir, "data", "api.json"))
	if err != nil {
		t.Fatal(err)
	}
	var endpoint struct{ URL string }
	if err := json.Unmarshal(data, &endpoint); err != nil {
		t.Fatal(err)
	}
	d.url = endpoint.URL
	return d
}

func (d *keyDesk) try(input string, args ...string) ([]byte, error) {
	cmd := exec.Command(filepath.Join(programs, "flopwatchctl"), append([]string{"--data", "data"}, args...)...)
	cmd.Dir, cmd.Stdin = d.dir, strings.NewReader(input)
	return cmd.CombinedOutput()
}

func (d *keyDesk) ctl(input string, args ...string) string {
	d.Helper()
	out, err := d.try(input, args...)
	if err != nil {
		d.Fatalf("flopwatchctl %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// signIn opens the session LOGIN.json of a person.
func (d *keyDesk) signIn(login, password string) {
	d.Helper()
	cmd := exec.Command(filepath.Join(programs, "flopwatchctl"), "--data", "data", "--session", login+".json", "sign-in", login)
	cmd.Dir = d.dir
	if out, err := signInProgram(cmd, appOf(d.dir, login), password); err != nil {
		d.Fatalf("sign in %s: %v\n%s", login, err, out)
	}
}

func (d *keyDesk) eventually(want string, args ...string) {
	d.Helper()
	for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		out, err := d.try("", args...)
		if err == nil && strings.Contains(string(out), want) {
			return
		}
		if time.Now().After(deadline) {
			d.Fatalf("%q did not appear in flopwatchctl %v: %v\n%s", want, args, err, out)
		}
	}
}

// formula is what a customer calls itself to run something in somebody's spreadsheet.
const formula = `=HYPERLINK("http://evil.example","Saltmarsh")`

// An examiner's check 6: from the queue to the filing by keyboard alone, in a browser
// that runs no script and in one that does; what is filed is saved from the page and
// verified when the collector is gone; and a name that is a formula is text in every
// spreadsheet.
func TestTheWholeFlowByKeyboard(t *testing.T) {
	b := openBrowser(t)
	for name, person := range map[string]func() *page{"without script": b.person, "with script": b.scripted} {
		t.Run(name, func(t *testing.T) { wholeFlow(t, person) })
	}
}

func wholeFlow(t *testing.T, person func() *page) {
	d := startDesk(t)
	scenarios, err := filepath.Abs(filepath.Join("testdata", "scenarios"))
	if err != nil {
		t.Fatal(err)
	}
	register, err := os.ReadFile(filepath.Join(scenarios, "demonstration.register.ndjson"))
	if err != nil {
		t.Fatal(err)
	}
	quoted, err := json.Marshal(formula)
	if err != nil {
		t.Fatal(err)
	}
	register = bytes.ReplaceAll(register, []byte(`"Saltmarsh Modelling FZ-LLC (demonstration)"`), quoted)
	if err := os.WriteFile(filepath.Join(d.dir, "register.ndjson"), register, 0o600); err != nil {
		t.Fatal(err)
	}
	const password = "a long password"
	d.ctl("", "parties", "import", "register.ndjson")
	d.ctl("", "programme", "accesses", filepath.Join(scenarios, "demonstration.accesses.ndjson"))
	d.ctl("", "programme", "review", "cus_saltmarsh", "--what", "security_practices", "--note", "weights are encrypted")
	d.ctl("", "programme", "review", "cus_saltmarsh", "--what", "incidents", "--note", "none is known")
	d.ctl("", "reports", "filer", "--set", filepath.Join(scenarios, "filer.json"))
	for login, role := range map[string]string{"ana": "analyst", "kim": "senior-reviewer", "fay": "filing-officer"} {
		d.ctl(password+"\n", "users", "add", login, "--role", role)
	}
	replay := exec.Command(filepath.Join(programs, "flopwatch-agent"), "replay", "--endpoint", "data/agent.json", "--data", "agent", "--jobs", filepath.Join(scenarios, "demonstration.jobs.csv"))
	replay.Dir = d.dir
	if out, err := replay.CombinedOutput(); err != nil {
		t.Fatalf("replay: %v\n%s", err, out)
	}
	d.eventually("106168320000000000000000000", "runs", "-o", "csv")
	d.eventually("initial-report", "cases")
	id := regexp.MustCompile(`cas_[a-z0-9]+`).FindString(d.ctl("", "cases", "-o", "csv"))

	signIn := func(login string) *page {
		p := person()
		p.T = t
		p.signIn(d, login, password)
		p.says("Cases")
		return p
	}
	toCase := func(p *page) {
		p.follow("the cases", link("Cases"))
		p.follow("the case", link(id))
	}

	// The analyst looks at what comes first, opens a case of a finding that has none, takes
	// the case whose clock runs and proposes.
	ana := signIn("ana")
	ana.follow("the queue", link("Queue"))
	ana.reach("a finding to mark", func(f focused) bool { return f.Name == "item" && strings.HasPrefix(f.Value, "fnd_") })
	finding := ana.focus().Value
	ana.key(" ", 32, " ")
	ana.choose("/queue", "act", "op", "case")
	ana.fill("/queue", "reason", "it grows")
	ana.follow("the button that does it", button("Do it"))
	if out := d.ctl("", "findings", "-o", "csv"); !regexp.MustCompile(finding + `,.*cas_`).MatchString(out) {
		t.Fatalf("no case was opened of %s:\n%s", finding, out)
	}
	toCase(ana)
	ana.follow("the button that assigns", button("Assign"))
	ana.fill("/cases/"+id+"/propose", "code", "CROSSED")
	ana.fill("/cases/"+id+"/propose", "reason", "above the threshold and foreign")
	ana.follow("the button that proposes", button("Propose"))
	if !strings.Contains(ana.text(), "waits for a second person") {
		t.Fatalf("the case says: %s", ana.text())
	}

	// A second person decides.
	kim := signIn("kim")
	toCase(kim)
	kim.follow("the approval", button("Approve: reportable"))

	// The filing officer opens the report and adds the narrative.
	fay := signIn("fay")
	toCase(fay)
	fay.follow("the button that opens a report", button("Open a report"))
	var at string
	fay.see("location.pathname", &at)
	report := strings.TrimPrefix(at, "/reports/")
	if !strings.HasPrefix(report, "rep_") {
		t.Fatalf("the report is at %s", at)
	}
	if text := fay.text(); strings.Count(text, "▲ missing") != 1 || !strings.Contains(text, formula) {
		t.Fatalf("the report says: %s", text)
	}
	fay.reach("the narrative", func(f focused) bool {
		return f.Tag == "TEXTAREA" && f.Action == at+"/set" && strings.Contains(narrativeOf(fay), "narrative.text")
	})
	fay.write("The customer trained one model on 2,048 devices.")
	fay.follow("the button that saves", button("Save: Who, what, when, where, and how it became known"))
	fay.follow("the button that asks for approval", button("Ask for approval"))

	// The second person approves what it says.
	kim = signIn("kim")
	kim.follow("the reports", link("Reports"))
	kim.follow("the report", func(f focused) bool { return f.Tag == "A" && f.Href == at })
	kim.follow("the approval", button("Approve what it says"))

	// Filed.
	fay.open(d.url + at)
	fay.fill(at+"/file", "method", "portal")
	fay.follow("the button that records the filing", button("Record the filing"))
	if text := fay.text(); !strings.Contains(text, "submitted") {
		t.Errorf("the report says: %s", text)
	}
	if out := d.ctl("", "cases", "show", id); !regexp.MustCompile(`initial-report: due .* met`).MatchString(out) {
		t.Errorf("the case says: %s", out)
	}
	d.signIn("fay", password)
	textInSpreadsheets(d, report)

	// What she takes away holds when the collector is gone.
	saved := fay.save("the sealed bundle", link("sealed bundle"))
	pdf, err := os.ReadFile(fay.save("the report to print", link("pdf")))
	if err != nil || !bytes.HasPrefix(pdf, []byte("%PDF-")) {
		t.Errorf("what was saved is no PDF: %v, %.20q", err, pdf)
	}
	d.stop()
	verify := exec.Command(filepath.Join(programs, "flopwatchctl"), "verify", saved)
	verify.Dir = t.TempDir()
	if out, err := verify.CombinedOutput(); err != nil || !strings.Contains(string(out), "The bundle holds") {
		t.Errorf("verify: %v\n%s", err, out)
	}
	t.Logf("%d keys pressed by the analyst, %d by the reviewer's second visit, %d by the officer", ana.pressed, kim.pressed, fay.pressed)
}

// narrativeOf returns the field that the form with the focus is about.
func narrativeOf(p *page) (field string) {
	p.Helper()
	p.see(`(() => { const f = document.activeElement.form; return f && f.elements.field ? f.elements.field.value : "" })()`, &field)
	return field
}

// textInSpreadsheets fails where the customer's name would be a formula.
func textInSpreadsheets(d *keyDesk, report string) {
	d.Helper()
	for _, format := range []string{"csv", "xlsx", "html"} {
		d.ctl("", "--session", "fay.json", "report", "save", report, "--format", format, "--out", "out."+format)
	}
	csv, err := os.ReadFile(filepath.Join(d.dir, "out.csv"))
	if err != nil {
		d.Fatal(err)
	}
	if !bytes.Contains(csv, []byte(`'=HYPERLINK(`)) || regexp.MustCompile(`(?m)(^|,)"?=`).Match(csv) {
		d.Errorf("CSV holds a formula, or not the name:\n%.2000s", csv)
	}
	book, err := excelize.OpenFile(filepath.Join(d.dir, "out.xlsx"))
	if err != nil {
		d.Fatal(err)
	}
	defer func() { _ = book.Close() }()
	named := 0
	for _, sheet := range book.GetSheetList() {
		rows, err := book.GetRows(sheet)
		if err != nil {
			d.Fatal(err)
		}
		for y, row := range rows {
			for x, cell := range row {
				name, err := excelize.CoordinatesToCellName(x+1, y+1)
				if err != nil {
					d.Fatal(err)
				}
				if text, err := book.GetCellFormula(sheet, name); err != nil || text != "" {
					d.Errorf("%s!%s is the formula %q, %v", sheet, name, text, err)
				}
				if strings.HasPrefix(cell, formula) {
					named++
				}
			}
		}
	}
	if named == 0 {
		d.Error("the workbook does not hold the name")
	}
	archive, err := zip.OpenReader(filepath.Join(d.dir, "out.xlsx"))
	if err != nil {
		d.Fatal(err)
	}
	defer func() { _ = archive.Close() }()
	for _, f := range archive.File {
		in, err := f.Open()
		if err != nil {
			d.Fatal(err)
		}
		text, err := io.ReadAll(in)
		if err != nil || bytes.Contains(text, []byte("<f>")) || bytes.Contains(text, []byte("hyperlink ")) {
			d.Errorf("%s holds a formula or a link, %v", f.Name, err)
		}
		_ = in.Close()
	}
}
