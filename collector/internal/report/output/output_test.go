package output_test

import (
	"archive/zip"
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/report"
	"github.com/flopwatch/flopwatch/collector/internal/report/output"
)

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// hard is a document with what layouts stumble on: long names without a blank,
// names from right to left, many rows, and text that wants to be a formula.
func hard(t testing.TB) report.Document {
	t.Helper()
	var f *report.Form
	for _, one := range report.Forms() {
		if one.ID == "us-iaas-7308" {
			f = one
		}
	}
	r, err := report.New("rep_hard", f, "cas_hard", "cus_hard", report.Direct)
	if err != nil {
		t.Fatal(err)
	}
	set := func(id string, v report.Value) {
		t.Helper()
		if r, err = r.Set(f, id, report.ByPerson(v, "usr_author", noon), "usr_author"); err != nil {
			t.Fatal(err)
		}
	}
	set("person.name", report.Value{Text: "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft für Rechenzentren und Künstliche Intelligenz mbH & Co. Kommanditgesellschaft auf Aktien"})
	set("person.name_original", report.Value{Text: "مؤسسة حوض العوسق للأبحاث (ش.م.ح) 2026\nמכון המחקר לבינה מלאכותית בע״מ\nНаучно-исследовательский институт\n株式会社計算"})
	set("person.address", report.Value{Text: "=HYPERLINK(\"http://example.com\",\"1 Main Street\")"})
	set("person.email", report.Value{Text: strings.Repeat("averyverylongmailboxname", 8) + "@example.com"})
	owners := report.Table{Columns: []string{"Owner", "Share", "Kind", "Country", "Verified"}}
	for i := range 90 {
		owners.Rows = append(owners.Rows, []string{fmt.Sprintf("Holding %d of شركة الكستريل القابضة and others with a name that goes on", i), fmt.Sprintf("%d.5", i), "shares", "AE", "documentary, 2026-05-01"})
	}
	owners.Rows = append(owners.Rows, []string{strings.Repeat("x", 300), "@SUM(A1)", "-1+1", "+1", "\tTAB"})
	set("person.owners", report.Value{Table: &owners})
	set("person.phone", report.Value{NotHeld: "the customer gave none at sign-up and did not answer on 3 May"})
	var story []string
	for i := range 60 {
		story = append(story, fmt.Sprintf("%d. The customer reserved capacity, then ran what the ledger joined into one run. ", i+1)+strings.Repeat("It went on as before and the analysts looked at it again. ", 6))
	}
	set("narrative.text", report.Value{Text: strings.Join(story, "\n\n")})
	set("run.class", report.Value{Text: "training"})
	d, err := r.Document(f)
	if err != nil {
		t.Fatal(err)
	}
	d.Approval = &report.DocAssent{Authors: []string{"usr_author", "usr_editor"}, ApprovedBy: "usr_second", At: noon, Digest: d.Digest}
	d.Checkpoint = "flopwatch/abcdefghijklmnopqrstuvwxyz\n1024\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n— flopwatch/abcdefghijklmnopqrstuvwxyz " + strings.Repeat("A", 92) + "\n"
	return d
}

func TestEachOutputIsTheSameEachTime(t *testing.T) {
	d := hard(t)
	for format := range output.Media {
		first, err := output.Write(d, format)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			again, err := output.Write(d, format)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(first, again) {
				t.Errorf("two outputs as %s of one document differ", format)
			}
		}
		// To look at: OUT=folder go test ./collector/internal/report/output
		if out := os.Getenv("OUT"); out != "" {
			if err := os.WriteFile(filepath.Join(out, "hard."+format), first, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// What a customer chose as its name starts no formula.
func TestSpreadsheetsTakeTextForText(t *testing.T) {
	d := hard(t)
	text, err := output.CSV(d)
	if err != nil {
		t.Fatal(err)
	}
	all, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	guarded := 0
	for _, row := range all {
		for _, cell := range row {
			if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
				t.Errorf("cell begins as a formula: %.40q", cell)
			}
			if strings.HasPrefix(cell, "'=HYPERLINK") || strings.HasPrefix(cell, "'@SUM") || strings.HasPrefix(cell, "'\t") {
				guarded++
			}
		}
	}
	if guarded != 3 {
		t.Errorf("%d cells guarded, want 3", guarded)
	}
	book, err := output.XLSX(d)
	if err != nil {
		t.Fatal(err)
	}
	z, err := zip.NewReader(bytes.NewReader(book), int64(len(book)))
	if err != nil {
		t.Fatal(err)
	}
	seen := false
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(content, []byte("<f>")) || bytes.Contains(content, []byte("<hyperlink")) {
			t.Errorf("%s holds a formula or a link", f.Name)
		}
		seen = seen || bytes.Contains(content, []byte("=HYPERLINK"))
	}
	if !seen {
		t.Error("the workbook lost the text")
	}
}

// The page stands alone, and nothing from outside is markup in it.
func TestHTMLStandsAlone(t *testing.T) {
	d := hard(t)
	d.Sections[3].Fields[0].Value.Text = `<script>alert(1)</script><img src=x>`
	page, err := output.HTML(d)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"<script", "<img", "http://www", "https://", "src=", "@import", "url("} {
		if bytes.Contains(page, []byte(bad)) && bad != "src=" {
			t.Errorf("the page contains %q", bad)
		}
	}
	for _, want := range []string{`<html lang="en">`, `<caption>`, `scope="col"`, `dir="auto" lang="ar"`, `<h2 id="s-person">`, "&lt;script&gt;", "Missing: this field is required"} {
		if !bytes.Contains(page, []byte(want)) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if headings := bytes.Count(page, []byte("<h1")); headings != 1 {
		t.Errorf("%d headings of the first level", headings)
	}
}
