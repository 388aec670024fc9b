// Package verdict is what the checks of evidence come to: for each thing that was
// checked yes, no or cannot tell, with the reason in words.
package verdict

import "fmt"

// Answer is what a check came to.
type Answer string

// Answers.
const (
	Yes        Answer = "yes"
	No         Answer = "no"
	CannotTell Answer = "cannot tell"
)

// Step is one thing that was checked.
type Step struct {
	What   string `json:"what"`
	Answer Answer `json:"answer"`
	Why    string `json:"why"`
}

// Steps are the things that were checked, in their order.
type Steps []Step

// Add adds a step; the reason is formatted as fmt does.
func (s *Steps) Add(what string, a Answer, format string, args ...any) {
	*s = append(*s, Step{what, a, fmt.Sprintf(format, args...)})
}

// Answer returns no if one step says no, cannot tell if one cannot, and yes if
// all of at least one say yes.
func (s Steps) Answer() Answer {
	if len(s) == 0 {
		return CannotTell
	}
	all := Yes
	for _, step := range s {
		if step.Answer == No || step.Answer == CannotTell && all == Yes {
			all = step.Answer
		}
	}
	return all
}
