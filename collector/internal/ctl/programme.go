package ctl

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
)

type programmeCommands struct {
	Gaps          gapsCommand          `cmd:"" default:"withargs" help:"Areas to improve, with citation and whom they concern."`
	Queue         queueCommand         `cmd:"" help:"Customers to verify or review again."`
	Certification certificationCommand `cmd:"" help:"Data of the yearly certification."`
	Review        reviewCommand        `cmd:"" help:"Say that a customer, an exemption or a statement of the programme was looked at again."`
	Accesses      accessesCommand      `cmd:"" help:"Add accesses to accounts from an NDJSON file, or - for standard input."`
	Vendor        vendorCommand        `cmd:"" help:"Make a new secret with which a vendor signs its webhooks; it is shown once."`
}

type gapsCommand struct{}

// Run prints the gaps.
func (gapsCommand) Run(s *scope) error {
	type row = apitypes.ProgrammeGap
	return listAll(s, "/v1/programme/gaps", nil, 0, "No gaps: the programme has what its pack asks for.", []column[row]{
		{name: "area", exact: func(g row) string { return g.Area }, title: "AREA"},
		{name: "title", exact: func(g row) string { return g.Title }, title: "WHAT"},
		{name: "citation", exact: func(g row) string { return g.Citation }, title: "CITATION"},
		{name: "count", exact: func(g row) string { return number(len(g.Subjects)) }, title: "CONCERNS", right: true},
		{name: "subjects", exact: func(g row) string { return strings.Join(g.Subjects, " ") }},
		{name: "advice", exact: func(g row) string { return g.Advice }, title: "TO DO"},
	})
}

type queueCommand struct {
	Days int `help:"How far ahead to look." default:"30"`
}

// Run prints the queue.
func (c queueCommand) Run(s *scope) error {
	type row = apitypes.Reverification
	return listAll(s, "/v1/reverifications", url.Values{"days": {number(c.Days)}}, 0, "Nobody is to be verified or reviewed again so soon.", []column[row]{
		{name: "customer_id", exact: func(r row) string { return r.CustomerID }, title: "CUSTOMER"},
		{name: "name", exact: func(r row) string { return r.Name }, title: "NAME"},
		{name: "verification", exact: func(r row) string { return r.Verification }, title: "VERIFICATION"},
		{name: "due", exact: func(r row) string { return exactTime(r.Due) }, title: "DUE", text: func(r row) string {
			if r.Due.IsZero() {
				return "now"
			}
			return when(r.Due)
		}},
		{name: "why", exact: func(r row) string { return r.Why }, title: "WHY"},
	})
}

type certificationCommand struct{}

// Run prints the data of the certification.
func (certificationCommand) Run(s *scope) error {
	c, err := one[apitypes.Certification](s, "/v1/programme/certification", nil)
	if err != nil {
		return err
	}
	if s.format != "table" {
		return printJSON(s.out, c)
	}
	s.out.say("%s (%s), %s, as of %s\n", printable(c.Pack), printable(c.PackStatus), printable(c.Citation), when(c.AsOf))
	s.out.say("customers %d, foreign %d, undetermined %d; foreign beneficial owners %d; foreign resellers %d\n", c.Customers, c.ForeignCustomers, c.UndeterminedCustomers, c.ForeignOwners, len(c.ForeignResellers))
	s.out.say("accounts of foreign customers whose identity is not verified: %d\n", len(c.UnverifiedForeignAccounts))
	for _, v := range c.FailedVerifications {
		s.out.say("failed %s of %s: %s\n", printable(v.ID), when(v.At), printable(orElse(v.Resolution, "NO RESOLUTION RECORDED")))
	}
	for _, st := range c.Statements {
		text := "NOT HELD"
		if !st.At.IsZero() {
			text = when(st.At) + " by " + st.By + " " + st.Note
		}
		s.out.say("%-26s %s\n", printable(st.ID), printable(text))
	}
	return nil
}

type reviewCommand struct {
	Of   string `arg:"" help:"Id of a customer or exemption, or programme."`
	What string `help:"Of the programme: which statement, such as contact."`
	Note string `help:"What was found, or the text of the statement."`
}

// Run notes a review.
func (c reviewCommand) Run(s *scope) error {
	return recorded(s, "/v1/reviews", apitypes.NewReview{Of: c.Of, What: c.What, Note: c.Note})
}

type accessesCommand struct {
	File string `arg:"" help:"NDJSON: account, time, ip, action."`
}

// Run sends accesses in batches, each whole or not at all.
func (c accessesCommand) Run(s *scope) error {
	in := io.Reader(os.Stdin)
	name := "stdin"
	if c.File != "-" {
		file, err := os.Open(c.File)
		if err != nil {
			return fmt.Errorf("accesses: %w", err)
		}
		defer file.Close()
		in, name = file, plainName(filepath.Base(c.File))
	}
	client, err := s.connect()
	if err != nil {
		return err
	}
	var sum apitypes.AccessFeed
	err = batches(in, func(batch []byte, before int) error {
		var fed apitypes.AccessFeed
		if err := client.do(http.MethodPost, "/v1/accesses", url.Values{"name": {name}}, "application/x-ndjson", batch, &fed); err != nil {
			return shifted(err, before)
		}
		sum.Rows += fed.Rows
		sum.Added += fed.Added
		return nil
	})
	if err != nil {
		return fmt.Errorf("after %d rows that were taken: %w", sum.Rows, err)
	}
	if s.format != "table" {
		return printJSON(s.out, sum)
	}
	s.out.say("%d rows, %d of them new\n", sum.Rows, sum.Added)
	return nil
}

type vendorCommand struct {
	Name string `arg:"" help:"Name of the vendor, as in the address of its webhook."`
}

// Run makes a secret.
func (c vendorCommand) Run(s *scope) error {
	return told(s, "/v1/vendors/"+url.PathEscape(c.Name)+"/secrets", struct{}{}, func(v apitypes.Vendor) {
		s.out.say("webhook of %s: POST %s%s\nsecret, shown once: %s\n", printable(v.Name), apitypes.WebhookPath, printable(v.Name), printable(v.Secret))
	})
}
