package apitypes

import "time"

// CalendarPath is where calendars are read, followed by the secret of the link.
const CalendarPath = "/calendar/"

// Channel is a way by which people are told what happens, and how it fares.
type Channel struct {
	Name     string    `json:"name"`
	Waiting  int       `json:"waiting" doc:"Notices that it was not told yet, at most 1000 are counted"`
	Attempts int       `json:"attempts" doc:"That failed since it last took something"`
	Next     time.Time `json:"next,omitzero" doc:"Not tried before"`
	Took     time.Time `json:"took,omitzero" doc:"When it last took something"`
	Problem  string    `json:"problem" doc:"Of the last attempt"`
}

// CalendarLink opens the calendar of deadlines to whoever has it.
type CalendarLink struct {
	Path string `json:"path" doc:"Of the calendar, with its secret; shown once"`
}
