package ctl

import (
	"net/http"
	"strconv"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
)

type channelsCommand struct{}

// Run prints how the channels fare by which people are told.
func (channelsCommand) Run(s *scope) error {
	type row = apitypes.Channel
	return listAll(s, "/v1/channels", nil, 0, "No channels: nobody is told outside the desk. See serve --notify.", []column[row]{
		{name: "name", exact: func(c row) string { return c.Name }, title: "CHANNEL"},
		{name: "waiting", exact: func(c row) string { return strconv.Itoa(c.Waiting) }, title: "WAITING", right: true},
		{name: "took", exact: func(c row) string { return exactTime(c.Took) }, title: "LAST TOOK", text: func(c row) string { return when(c.Took) }},
		{name: "attempts", exact: func(c row) string { return strconv.Itoa(c.Attempts) }, title: "FAILED SINCE", right: true},
		{name: "next", exact: func(c row) string { return exactTime(c.Next) }, title: "NEXT ATTEMPT", text: func(c row) string { return when(c.Next) }},
		{name: "problem", exact: func(c row) string { return c.Problem }, title: "PROBLEM"},
	})
}

type calendarCommand struct {
	End bool `help:"End your link and make no other one."`
}

// Run makes a link to the calendar of deadlines, or ends it.
func (c calendarCommand) Run(s *scope) error {
	client, err := s.connect()
	if err != nil {
		return err
	}
	if c.End {
		if err := client.do(http.MethodDelete, "/v1/calendar-links", nil, "", nil, nil); err != nil {
			return err
		}
		s.out.say("your link to the calendar ended\n")
		return nil
	}
	var link apitypes.CalendarLink
	if err := client.do(http.MethodPost, "/v1/calendar-links", nil, "", nil, &link); err != nil {
		return err
	}
	if s.format == "json" {
		return printJSON(s.out, link)
	}
	s.out.say("whoever has this link reads the deadlines, by ids alone; it is shown once:\n%s%s\n", printable(client.base), printable(link.Path))
	return nil
}
