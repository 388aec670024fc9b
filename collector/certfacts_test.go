package collector

import (
	"strings"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/report"
)

// What people stated fills the certification, and half of an attestation none of it.
func TestCertified(t *testing.T) {
	at := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	c := desk.Certification{Pack: "pack", AsOf: at, OwnersByCountry: map[string]int{"AE": 2, "": 1}, ForeignResellers: []string{"rsl_1"},
		FailedVerifications: []desk.Verification{{ID: "ver_1", Party: "pty_1", At: at, Problem: "name"}},
		Statements: []desk.ProgrammeStatement{{ID: "compliant", Title: "attested", At: at, By: "usr_a", Note: "yes"}, {ID: "updated_services", Title: "services", At: at, By: "usr_a"},
			{ID: "updated_threats", Title: "threats"}, {ID: "verification_procedures", Title: "procedures", At: at, By: "usr_b", Note: "documents"}}}
	out := certified(c)
	if got := out["attest.compliant"]; got.Text != "attested: yes" || got.Source != "statement compliant by usr_a" || !got.AsOf.Equal(at) {
		t.Errorf("%+v", got)
	}
	if !out["attest.updated"].Empty() || !out["attest.reviewed"].Empty() || !out["programme.detection"].Empty() {
		t.Errorf("what nobody stated is stated: %+v", out)
	}
	if got := out["customers.owners"].Table.Rows; len(got) != 2 || got[0][0] != "not known" || got[1][1] != "2" {
		t.Errorf("%v", got)
	}
	if got := out["customers.failed"].Table.Rows[0]; got[4] != "no resolution is recorded" {
		t.Errorf("%v", got)
	}
	if got := out["customers.unverified"]; !strings.HasPrefix(got.Text, "none") || got.Table != nil {
		t.Errorf("%+v", got)
	}
	for _, f := range report.Forms() {
		if f.ID == "us-iaas-certification" {
			r, err := report.New("rep_a", f, "", "programme", report.Direct)
			if err != nil {
				t.Fatal(err)
			}
			if r, err = r.Fill(f, report.Facts{AsOf: at, Known: out, Customers: []desk.Customer{{ID: "cus_a", Country: "SG", ForeignStatus: "foreign"}}}, "usr_a", false); err != nil {
				t.Fatal(err)
			}
			open := 0
			for _, m := range r.Missing(f) {
				if strings.HasPrefix(m.Field, "figures.") {
					t.Errorf("%s is open", m.Field)
				}
				open++
			}
			if open == 0 {
				t.Error("nothing is open, though hardly anything was stated")
			}
		}
	}
}
