package ctl

import (
	"net/url"
	"strconv"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
)

type eventsCommand struct {
	Host  string `help:"Only events of the host with this id." placeholder:"ID"`
	Kind  string `help:"Only events of this kind, as xid or driver_changed." placeholder:"KIND"`
	Limit int    `help:"Most events to print; 0 prints all." default:"0"`
}

// Run prints the events.
func (e eventsCommand) Run(s *scope) error {
	type row = apitypes.Event
	query := url.Values{}
	if e.Host != "" {
		query.Set("host", e.Host)
	}
	if e.Kind != "" {
		query.Set("kind", e.Kind)
	}
	rows, err := all[row](s, "/v1/host-events", query, e.Limit)
	if err != nil {
		return err
	}
	empty := "No events: no host has reported anything beside its figures."
	if len(query["host"])+len(query["kind"]) > 0 {
		empty = "No such events: no host has reported any."
	}
	return list(s, rows, empty, []column[row]{
		{name: "event", exact: func(e row) string { return e.ID }, title: "EVENT"},
		{name: "time", exact: func(e row) string { return exactTime(e.Time) }, title: "TIME", text: func(e row) string {
			if e.Time.IsZero() {
				return "not known"
			}
			return when(e.Time)
		}},
		{name: "host", exact: func(e row) string { return e.Host }},
		{name: "host_name", exact: func(e row) string { return e.HostName }, title: "HOST", text: func(e row) string { return orElse(e.HostName, e.Host) }},
		{name: "device", exact: func(e row) string { return e.Device }, title: "DEVICE", text: func(e row) string { return orElse(e.Device, "(host)") }},
		{name: "kind", exact: func(e row) string { return e.Kind }, title: "KIND"},
		{name: "code", exact: func(e row) string { return strconv.FormatInt(e.Code, 10) }, title: "CODE", right: true},
		{name: "detail", exact: func(e row) string { return e.Detail }, title: "DETAIL"},
	})
}
