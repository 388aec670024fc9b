package verdict_test

import (
	"testing"

	"github.com/flopwatch/flopwatch/pkg/verdict"
)

func TestAnswer(t *testing.T) {
	for _, c := range []struct {
		steps []verdict.Answer
		want  verdict.Answer
	}{
		{nil, verdict.CannotTell}, // nothing was checked: that is no yes
		{[]verdict.Answer{verdict.Yes}, verdict.Yes},
		{[]verdict.Answer{verdict.Yes, verdict.CannotTell, verdict.Yes}, verdict.CannotTell},
		{[]verdict.Answer{verdict.CannotTell, verdict.No, verdict.Yes}, verdict.No},
		{[]verdict.Answer{verdict.No, verdict.CannotTell}, verdict.No},
	} {
		var s verdict.Steps
		for _, a := range c.steps {
			s.Add("a thing", a, "")
		}
		if got := s.Answer(); got != c.want {
			t.Errorf("%v came to %s, want %s", c.steps, got, c.want)
		}
	}
}
