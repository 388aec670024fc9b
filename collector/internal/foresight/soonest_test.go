package foresight

import (
	"testing"

	"github.com/flopwatch/flopwatch/collector/internal/forecast"
	"github.com/flopwatch/flopwatch/collector/internal/policy"
)

func TestSoonest(t *testing.T) {
	line := func(rule string, earliest, likely int64, crossed bool) Line {
		return Line{Rule: rule, Crossing: forecast.Crossing{EarliestNS: earliest, LikelyNS: likely, Crossed: crossed}}
	}
	of := func(id string, lines ...Line) Outlook { return Outlook{Subject: policy.Subject{ID: id}, Lines: lines} }
	all := []Outlook{
		of("maybe", line("one draw in ten", 2, 0, false)),
		of("late", line("low", 1, 1, true), line("high", 8, 9, false)),
		of("never", line("far", 0, 0, false)),
		of("over", line("low", 1, 1, true)),
		of("soon", line("far", 20, 30, false), line("near", 3, 5, false)),
		of("without"),
	}
	var got string
	for _, o := range Soonest(all, 10) {
		got += o.Subject.ID + ":" + o.Lines[0].Rule + " "
	}
	if got != "soon:near late:high maybe:one draw in ten " {
		t.Error(got)
	}
	if len(all[4].Lines) != 2 {
		t.Error("the outlook itself was changed")
	}
	if cut := Soonest(all, 1); len(cut) != 1 || cut[0].Subject.ID != "soon" {
		t.Errorf("%+v", cut)
	}
}
