package notice_test

import (
	"strings"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/notice"
)

func TestWords(t *testing.T) {
	at := time.Date(2026, 11, 7, 5, 0, 0, 0, time.UTC)
	deadline := func(days int) notice.Deadline {
		return notice.Deadline{Clock: "initial-report", Due: "2026-11-07", Zone: "America/New_York", DaysLeft: days}
	}
	for _, c := range []struct {
		n    notice.Notice
		want string
	}{
		{notice.Notice{Kind: notice.ClockDue, Object: "cas_a", Deadline: deadline(10)}, "case cas_a: initial-report is due in 10 days (last day 2026-11-07, America/New_York)"},
		{notice.Notice{Kind: notice.ClockDue, Object: "cas_a", Deadline: deadline(1)}, "case cas_a: initial-report is due tomorrow (last day 2026-11-07, America/New_York)"},
		{notice.Notice{Kind: notice.ClockDue, Object: "cas_a", Deadline: deadline(0)}, "case cas_a: initial-report is due today (last day 2026-11-07, America/New_York)"},
		{notice.Notice{Kind: notice.ClockOverdue, Object: "cas_a", Deadline: deadline(-1)}, "case cas_a: initial-report is OVERDUE by a day (last day 2026-11-07, America/New_York)"},
		{notice.Notice{Kind: notice.ClockOverdue, Object: "cas_a", Deadline: deadline(-4)}, "case cas_a: initial-report is OVERDUE by 4 days (last day 2026-11-07, America/New_York)"},
		{notice.Notice{Kind: notice.ReportWaits, Object: "rep_a"}, "report rep_a waits for approval"},
	} {
		if got := c.n.Text(); got != c.want {
			t.Errorf("%s, not %s", got, c.want)
		}
	}
	for _, kind := range notice.Kinds {
		if text := (notice.Notice{Kind: kind, Object: "x_1"}).Text(); strings.HasPrefix(text, kind) || !strings.Contains(text, "x_1") {
			t.Errorf("%s has no words: %s", kind, text)
		}
	}
	all := []notice.Notice{{At: at, Kind: notice.ClockOverdue, Object: "cas_a", Deadline: deadline(-1)}, {At: at, Kind: notice.ReportWaits, Object: "rep_b"}, {At: at, Kind: notice.FindingCritical, Object: "fnd_c"}}
	if got := notice.Subject(all); got != "flopwatch: 3 notices, 1 OVERDUE" {
		t.Errorf("subject %q", got)
	}
	text := notice.Body(notice.Linked(all, "https://desk.example/"))
	for _, want := range []string{"https://desk.example/cases/cas_a\n", "https://desk.example/reports/rep_b\n", "https://desk.example/findings\n", "2026-11-07 05:00:00Z  report rep_b"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	if all[0].Link != "" {
		t.Error("the notices themselves were changed")
	}
}
