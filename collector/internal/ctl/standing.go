package ctl

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
)

type standingCommand struct {
	ID string `arg:"" help:"Id of the customer."`
	asked
}

// Run prints how a customer stands.
func (c standingCommand) Run(s *scope) error {
	v, err := one[apitypes.Standing](s, "/v1/standings/"+url.PathEscape(c.ID), c.query())
	if err != nil {
		return err
	}
	if s.format != "table" {
		return printJSON(s.out, v)
	}
	s.label("customer", v.CustomerID+" "+v.Name)
	s.label("party", v.Party)
	s.label("foreign status", v.ForeignStatus+" (itself "+v.SelfStatus+")")
	for _, r := range v.Reasons {
		s.label("", r.Text)
	}
	for _, o := range v.Owners {
		s.label("beneficial owner", fmt.Sprintf("%s (%s), %s to %s, %s, verification %s", o.Party, o.Is, percent(o.ShareLow), percent(o.ShareHigh), o.ForeignStatus, o.Verification))
	}
	if v.Undisclosed {
		s.label("", "somebody who is not named may be one")
	}
	s.label("verification", v.Verification+" "+exactTime(v.ValidUntil))
	s.label("restriction", v.Restriction)
	s.label("headquarters", v.Headquarters+": "+v.HeadquartersWhy)
	for _, i := range v.Items {
		if i.Required && !i.Held {
			s.label("missing", i.Title+" of "+i.Party+" ("+i.Citation+") "+i.Reason)
		}
	}
	for _, a := range v.Accounts {
		s.label("account", a.ID+" "+strings.Join(a.Tenants, " ")+" "+strings.Join(a.Reseller, " "))
	}
	s.label("review due", exactTime(v.ReviewDue))
	s.label("kept until", strings.TrimSpace(exactTime(v.RetainUntil)+" "+v.RetainWhy))
	s.label("legal hold", v.LegalHold)
	return nil
}

type holdCustomerCommand struct {
	ID     string `arg:"" help:"Id of the customer."`
	Reason string `required:"" help:"Why."`
}

// Run places a hold.
func (c holdCustomerCommand) Run(s *scope) error {
	return recorded(s, "/v1/customers/"+url.PathEscape(c.ID)+"/holds", apitypes.Reasoned{Reason: c.Reason})
}

type releaseHoldCommand struct {
	ID     string `arg:"" help:"hld_…"`
	Reason string `required:"" help:"Why."`
}

// Run proposes or approves the release of a hold.
func (c releaseHoldCommand) Run(s *scope) error {
	return recorded(s, "/v1/holds/"+url.PathEscape(c.ID)+"/releases", apitypes.Reasoned{Reason: c.Reason})
}
