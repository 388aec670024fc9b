package ctl

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
)

type linksCommands struct {
	List    linksCommand       `cmd:"" default:"withargs" help:"Links as they stand, strongest first."`
	Show    showLinkCommand    `cmd:"" help:"All states of a link with its evidence."`
	Accept  acceptLinkCommand  `cmd:"" help:"Accept links: what they join counts together."`
	Reject  rejectLinkCommand  `cmd:"" help:"Reject links: they come back for new evidence only."`
	Split   splitLinkCommand   `cmd:"" help:"Take apart links that count."`
	Approve approveLinkCommand `cmd:"" help:"Approve a bridge that somebody accepted, as a second person."`
}

// asOf asks for a past time.
type asOf struct {
	At      time.Time `help:"How it was then, as 2026-11-23T12:00:00Z." placeholder:"TIME"`
	KnownAt time.Time `help:"By what was recorded up to then." placeholder:"TIME"`
}

func (a asOf) query() url.Values {
	q := url.Values{}
	for name, t := range map[string]time.Time{"at": a.At, "known_at": a.KnownAt} {
		if !t.IsZero() {
			q.Set(name, t.UTC().Format(time.RFC3339Nano))
		}
	}
	return q
}

type linksCommand struct {
	asOf
	State string `help:"Only links in this state, such as proposed."`
	Class string `help:"Only links of this class: identity, control or coordination."`
}

// Run prints links.
func (c linksCommand) Run(s *scope) error {
	q := c.query()
	for name, v := range map[string]string{"state": c.State, "class": c.Class} {
		if v != "" {
			q.Set(name, v)
		}
	}
	rows, err := all[apitypes.Link](s, "/v1/links", q, 0)
	if err != nil {
		return err
	}
	return printLinks(s, rows, "No links: nothing that parties have in common says enough.")
}

type showLinkCommand struct {
	Link string `arg:"" help:"lnk_…, as links list prints it."`
}

// Run prints the history of a link.
func (c showLinkCommand) Run(s *scope) error {
	rows, err := all[apitypes.Link](s, "/v1/links/"+url.PathEscape(c.Link), nil, 0)
	if err != nil {
		return err
	}
	return printLinks(s, rows, "No such link.")
}

func printLinks(s *scope, rows []apitypes.Link, empty string) error {
	type row = apitypes.Link
	bits := func(b float64) string { return strconv.FormatFloat(b, 'f', 1, 64) }
	because := func(l row) string {
		words := make([]string, len(l.Evidence))
		for i, e := range l.Evidence {
			sign := ""
			if e.Bits > 0 {
				sign = "+"
			}
			words[i] = fmt.Sprintf("%s (%s%s)", e.Detail, sign, bits(e.Bits))
		}
		return strings.Join(words, "; ")
	}
	said := func(l row) string {
		if l.By == "" {
			return "rules"
		}
		return l.By
	}
	return list(s, rows, empty, []column[row]{
		{name: "link_id", exact: func(l row) string { return l.ID }, title: "LINK"},
		{name: "class", exact: func(l row) string { return l.Class }, title: "CLASS"},
		{name: "state", exact: func(l row) string { return l.State }, title: "STATE"},
		{name: "a", exact: func(l row) string { return l.A }, title: "A"},
		{name: "b", exact: func(l row) string { return l.B }, title: "B"},
		{name: "directed", exact: func(l row) string { return strconv.FormatBool(l.Directed) }},
		{name: "bits", exact: func(l row) string { return strconv.FormatFloat(l.Bits, 'f', -1, 64) }, title: "BITS", text: func(l row) string { return bits(l.Bits) }, right: true},
		{name: "evidence", exact: because, title: "BECAUSE"},
		{name: "needs", exact: func(l row) string { return l.Needs }, title: "A PERSON, BECAUSE"},
		{name: "bridge", exact: func(l row) string { return strconv.FormatBool(l.Bridge) }},
		{name: "by", exact: said, title: "BY"},
		{name: "reason", exact: func(l row) string { return l.Reason }, title: "REASON", text: func(l row) string {
			if l.By == "" {
				return ""
			}
			return l.Reason
		}},
		{name: "digest", exact: func(l row) string { return l.Digest }},
		{name: "recorded", exact: func(l row) string { return exactTime(l.Recorded) }, title: "RECORDED", text: func(l row) string { return when(l.Recorded) }},
		{name: "weights", exact: func(l row) string { return l.Weights }},
	})
}

// linkVerdict is what accept, reject and split have in common.
type linkVerdict struct {
	Links  []string `arg:"" name:"link" help:"lnk_…, as links list prints them; all are decided or none."`
	Reason string   `help:"Why; it stands in the audit log." required:""`
}

func (c linkVerdict) say(s *scope, verdict string, from time.Time) error {
	v := apitypes.LinkVerdict{Links: c.Links, Verdict: verdict, Reason: c.Reason}
	if !from.IsZero() {
		v.From = &from
	}
	out, err := send[apitypes.List[apitypes.Link]](s, "/v1/links/decisions", v)
	if err != nil {
		return err
	}
	return printLinks(s, out.Items, "")
}

type acceptLinkCommand struct {
	linkVerdict
	From time.Time `help:"Since when the link holds, as 2026-11-23T12:00:00Z; always if not given." placeholder:"TIME"`
}

// Run accepts links.
func (c acceptLinkCommand) Run(s *scope) error { return c.say(s, "accept", c.From) }

type rejectLinkCommand struct{ linkVerdict }

// Run rejects links.
func (c rejectLinkCommand) Run(s *scope) error { return c.say(s, "reject", time.Time{}) }

type splitLinkCommand struct{ linkVerdict }

// Run takes links apart.
func (c splitLinkCommand) Run(s *scope) error { return c.say(s, "split", time.Time{}) }

type approveLinkCommand struct {
	Link   string `arg:"" help:"lnk_…, in state pending."`
	Digest string `arg:"" help:"Of what you approve, as links list -o csv prints it."`
	Reason string `help:"Why; it stands in the audit log." required:""`
}

// Run approves a bridge.
func (c approveLinkCommand) Run(s *scope) error {
	l, err := send[apitypes.Link](s, "/v1/links/"+url.PathEscape(c.Link)+"/approvals", apitypes.LinkApproval{Digest: c.Digest, Reason: c.Reason})
	if err != nil {
		return err
	}
	return printLinks(s, []apitypes.Link{l}, "")
}

type clustersCommands struct {
	List clustersCommand    `cmd:"" default:"withargs" help:"What is taken together at a level, most operations first."`
	Show showClusterCommand `cmd:"" help:"Who is behind an account, customer or cluster: totals by level, and what is left without each link."`
}

type clustersCommand struct {
	asOf
	Level string `help:"account, customer, identity, control, coordination or reseller." enum:"account,customer,identity,control,coordination,reseller" default:"control"`
}

// Run prints clusters.
func (c clustersCommand) Run(s *scope) error {
	q := c.query()
	q.Set("level", c.Level)
	rows, err := all[apitypes.Cluster](s, "/v1/clusters", q, 0)
	if err != nil {
		return err
	}
	return printClusters(s, rows)
}

func printClusters(s *scope, rows []apitypes.Cluster) error {
	type row = apitypes.Cluster
	customers := func(c row) string {
		words := make([]string, len(c.Customers))
		for i, x := range c.Customers {
			words[i] = x.ID
		}
		return strings.Join(words, " ")
	}
	return list(s, rows, "No accounts.", []column[row]{
		{name: "id", exact: func(c row) string { return c.ID }, title: "CLUSTER"},
		{name: "level", exact: func(c row) string { return c.Level }, title: "LEVEL"},
		{name: "foreign_status", exact: func(c row) string { return c.Status }, title: "STATUS"},
		{title: "OPERATIONS best [low, high]", text: func(c row) string { return interval(c.Operations) }, right: true},
		{name: "operations_low", exact: func(c row) string { return c.Operations.Low }},
		{name: "operations_best", exact: func(c row) string { return c.Operations.Best }},
		{name: "operations_high", exact: func(c row) string { return c.Operations.High }},
		{name: "customers", exact: customers, title: "CUSTOMERS"},
		{name: "accounts", exact: func(c row) string { return number(len(c.Accounts)) }, title: "ACCOUNTS", right: true},
		{name: "links", exact: func(c row) string { return strings.Join(c.Links, " ") }},
		{name: "root", exact: func(c row) string { return c.Root }, title: "HIGHEST OWNER"},
	})
}

type showClusterCommand struct {
	asOf
	ID string `arg:"" help:"Of an account, customer or cluster."`
}

// Run prints who is behind it.
func (c showClusterCommand) Run(s *scope) error {
	u, err := one[apitypes.Ultimate](s, "/v1/clusters/"+url.PathEscape(c.ID), c.query())
	if err != nil {
		return err
	}
	if s.format == "json" {
		return printJSON(s.out, u)
	}
	rows := make([]apitypes.Cluster, len(u.Levels))
	for i, l := range u.Levels {
		rows[i] = l.Cluster
	}
	if err := printClusters(s, rows); err != nil || s.format == "csv" {
		return err
	}
	for _, l := range u.Levels {
		for _, w := range l.Without {
			what := "link " + w.Link
			if w.Evidence != "" {
				what = "what rests on " + w.Evidence
			}
			s.out.say("%s %s without %s: %s in %d parts\n", l.Level, l.ID, what, interval(w.Left), len(w.Parts))
		}
	}
	for _, o := range u.Owners {
		owner := orElse(o.Owner, "nobody who is named")
		s.out.say("%s has %s to %s of %s; controls it: %s\n", owner, percent(o.EffectiveLow), percent(o.EffectiveHigh), o.Subject, o.Controls)
	}
	return nil
}
