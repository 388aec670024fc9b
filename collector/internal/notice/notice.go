// Package notice is what people outside the desk are told, in words: what happened,
// to what, and how long is left. It names cases, findings and reports by their ids
// and holds no name of anybody and no figure.
package notice

import (
	"fmt"
	"strings"
	"time"
)

// Kinds of notices.
const (
	FindingCritical = "finding.critical"
	CaseOpened      = "case.opened"
	DecisionWaits   = "decision.waits"
	KnowledgeWaits  = "knowledge.waits"
	ReportWaits     = "report.waits"
	ReportApproved  = "report.approved"
	ReportFiled     = "report.filed"
	ClockDue        = "clock.due"
	ClockOverdue    = "clock.overdue"
)

// Kinds are all of them.
var Kinds = []string{FindingCritical, CaseOpened, DecisionWaits, KnowledgeWaits, ReportWaits, ReportApproved, ReportFiled, ClockDue, ClockOverdue}

// Notice is one thing that happened.
type Notice struct {
	No       int64     `json:"no"`
	At       time.Time `json:"at"`
	Kind     string    `json:"kind"`
	Object   string    `json:"object"` // id of a case, finding or report
	Deadline Deadline  `json:"deadline,omitzero"`
	Link     string    `json:"link,omitempty"` // to the page of the desk
}

// Deadline is the clock of a case that a notice is about.
type Deadline struct {
	Clock    string `json:"clock"`
	Due      string `json:"due"` // last day, YYYY-MM-DD in Zone
	Zone     string `json:"zone"`
	DaysLeft int    `json:"days_left"` // when the notice was made; negative when it is over
}

// Progress is how far a channel was told, and how it fares.
type Progress struct {
	Told     int64 // number of the last notice that it took
	Attempts int   // that failed since
	Next     time.Time
	Took     time.Time // when it last took something
	Problem  string    // of the last attempt
}

// Text says in a line what happened.
func (n Notice) Text() string {
	switch n.Kind {
	case FindingCritical:
		return "finding " + n.Object + " is critical"
	case CaseOpened:
		return "case " + n.Object + " was opened"
	case DecisionWaits:
		return "case " + n.Object + ": a decision waits for a second person"
	case KnowledgeWaits:
		return "case " + n.Object + ": a later date of knowledge waits for a second person"
	case ReportWaits:
		return "report " + n.Object + " waits for approval"
	case ReportApproved:
		return "report " + n.Object + " is approved and can be filed"
	case ReportFiled:
		return "report " + n.Object + " was filed"
	case ClockDue, ClockOverdue:
		return fmt.Sprintf("case %s: %s is %s (last day %s, %s)", n.Object, n.Deadline.Clock, left(n.Deadline.DaysLeft), n.Deadline.Due, n.Deadline.Zone)
	}
	return n.Kind + " " + n.Object
}

func left(days int) string {
	switch {
	case days < -1:
		return fmt.Sprintf("OVERDUE by %d days", -days)
	case days == -1:
		return "OVERDUE by a day"
	case days == 0:
		return "due today"
	case days == 1:
		return "due tomorrow"
	}
	return fmt.Sprintf("due in %d days", days)
}

// Linked returns the notices with links to the desk, if it has an address.
func Linked(all []Notice, desk string) []Notice {
	out := make([]Notice, len(all))
	for i, n := range all {
		if desk != "" {
			page := map[bool]string{true: "/reports/", false: "/cases/"}[strings.HasPrefix(n.Object, "rep_")]
			if n.Link = strings.TrimRight(desk, "/") + page + n.Object; n.Kind == FindingCritical {
				n.Link = strings.TrimRight(desk, "/") + "/findings"
			}
		}
		out[i] = n
	}
	return out
}

// Subject is the line by which a message is seen in a list: counts alone.
func Subject(all []Notice) string {
	overdue, due := 0, 0
	for _, n := range all {
		switch n.Kind {
		case ClockOverdue:
			overdue++
		case ClockDue:
			due++
		}
	}
	text := fmt.Sprintf("flopwatch: %d notices", len(all))
	if len(all) == 1 {
		text = "flopwatch: 1 notice"
	}
	if overdue > 0 {
		text += fmt.Sprintf(", %d OVERDUE", overdue)
	}
	if due > 0 {
		text += fmt.Sprintf(", %d due", due)
	}
	return text
}

// Body says all of it, a line each.
func Body(all []Notice) string {
	var b strings.Builder
	for _, n := range all {
		fmt.Fprintf(&b, "%s  %s\n", n.At.UTC().Format("2006-01-02 15:04:05Z"), n.Text())
		if n.Link != "" {
			fmt.Fprintf(&b, "                      %s\n", n.Link)
		}
	}
	return b.String()
}
