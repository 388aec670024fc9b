package apitypes

import (
	"net/http"
	"strings"
)

// ProblemMedia is the media type of errors (RFC 9457).
const ProblemMedia = "application/problem+json"

// Problem is the API's error. It never repeats what was submitted: faults name a
// place and the rule that it broke.
type Problem struct {
	Type   string   `json:"type" doc:"Stable name of the kind of problem" example:"urn:flopwatch:problem:not-found"`
	Title  string   `json:"title"`
	Status int      `json:"status"`
	Detail string   `json:"detail,omitempty"`
	Faults []string `json:"faults,omitempty" doc:"Where and which rule, as file:line: column: rule or parameter: rule"`
}

// NewProblem returns the problem of an HTTP status.
func NewProblem(status int, detail string, faults ...string) *Problem {
	title := http.StatusText(status)
	name := strings.ReplaceAll(strings.ToLower(title), " ", "-")
	return &Problem{Type: "urn:flopwatch:problem:" + name, Title: title, Status: status, Detail: detail, Faults: faults}
}

// Error prints title, detail and faults, a fault per line.
func (p *Problem) Error() string {
	text := p.Title
	if p.Detail != "" {
		text += ": " + p.Detail
	}
	return strings.Join(append([]string{text}, p.Faults...), "\n")
}

// GetStatus is the HTTP status; the name is the router's.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType is the media type; the name is the router's.
func (p *Problem) ContentType(string) string { return ProblemMedia }
