package sheet_test

import (
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/sheet"
)

func TestNoCellIsAFormulaOrTheEnd(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "Harbour": "Harbour", "1e26": "1e26", "a=b": "a=b", "名前": "名前",
		"=1+1": "'=1+1", "+1": "'+1", "-1": "'-1", "@SUM(A1)": "'@SUM(A1)", "  =1": "'  =1", "\t=1": `'\u0009=1`, "\r": `'\u000d`, "＝1": "'＝1",
		"#end": "'#end", "a\nb": `a\u000ab`, "a\u202eb": `a\u202eb`,
	} {
		if got := sheet.Cell(in); got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
}

func TestMomentOfNothingIsEmpty(t *testing.T) {
	at := time.Date(2026, 11, 20, 12, 0, 0, 500, time.FixedZone("", 3600))
	if got := sheet.Moment(at) + sheet.Moment(time.Time{}); got != "2026-11-20T11:00:00.0000005Z" {
		t.Error(got)
	}
}
