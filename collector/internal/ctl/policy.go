package ctl

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
)

type policyCommands struct {
	List     policiesCommand       `cmd:"" default:"withargs" help:"Policies on their way or in force, last drafted first."`
	Packs    packsCommand          `cmd:"" help:"Packs that are shipped, of the site or in force, and files that were refused."`
	Show     showPolicyCommand     `cmd:"" help:"One policy with its history."`
	Check    checkPolicyCommand    `cmd:"" help:"Say what is wrong with a text. Exit code 1 if anything is."`
	Draft    draftPolicyCommand    `cmd:"" help:"Draft a policy from a file."`
	Edit     editPolicyCommand     `cmd:"" help:"Replace the text of a draft; what was proposed is void."`
	Simulate simulatePolicyCommand `cmd:"" help:"Say what a policy would change, on history up to now."`
	Report   reportPolicyCommand   `cmd:"" help:"Print a simulation."`
	Propose  proposePolicyCommand  `cmd:"" help:"Propose a simulated policy to a second person."`
	Approve  approvePolicyCommand  `cmd:"" help:"Approve a proposal by its digest, as a second person."`
	Reject   rejectPolicyCommand   `cmd:"" help:"Reject a proposal, as a second person."`
	Withdraw withdrawPolicyCommand `cmd:"" help:"Take a policy back that is not in force."`
	Rollback rollbackPolicyCommand `cmd:"" help:"Draft the text of an older policy again, as a new version."`
}

type policiesCommand struct{}

// Run lists policies.
func (policiesCommand) Run(s *scope) error {
	rows, err := all[apitypes.Policy](s, "/v1/policies", nil, 0)
	if err != nil {
		return err
	}
	return listPolicies(s, rows)
}

func listPolicies(s *scope, rows []apitypes.Policy) error {
	type row = apitypes.Policy
	return list(s, rows, "Nobody drafted a policy: what is in force came with the installation. See policy packs.", []column[row]{
		{name: "policy", exact: func(p row) string { return p.ID }, title: "POLICY"},
		{name: "state", exact: func(p row) string { return p.State }, title: "STATE"},
		{name: "kind", exact: func(p row) string { return p.Kind }, title: "KIND"},
		{name: "name", exact: func(p row) string { return p.Name }, title: "NAME"},
		{name: "number", exact: func(p row) string { return number(p.Number) }, title: "VERSION", right: true},
		{name: "authors", exact: func(p row) string { return strings.Join(p.Authors, " ") }, title: "BY"},
		{name: "simulation", exact: func(p row) string { return p.Simulation }, title: "SIMULATION"},
		{name: "from", exact: func(p row) string { return exactTime(begins(p)) }, title: "FROM", text: func(p row) string { return when(begins(p)) }},
		{name: "approved_by", exact: func(p row) string { return p.ApprovedBy }, title: "APPROVED BY"},
		{name: "digest", exact: func(p row) string { return p.Digest }},
		{name: "proposal", exact: func(p row) string { return p.Proposal }},
	})
}

func begins(p apitypes.Policy) time.Time {
	if p.From.IsZero() {
		return p.Planned
	}
	return p.From
}

type packsCommand struct{}

// Run lists packs.
func (packsCommand) Run(s *scope) error {
	packs, err := one[apitypes.Packs](s, "/v1/packs", nil)
	if err != nil {
		return err
	}
	if s.format == "json" {
		return printJSON(s.out, packs)
	}
	type row = apitypes.Pack
	err = list(s, packs.Items, "No packs.", []column[row]{
		{name: "pack", exact: func(p row) string { return p.ID }, title: "PACK"},
		{name: "version", exact: func(p row) string { return number(p.Version) }, title: "VERSION", right: true},
		{name: "status", exact: func(p row) string { return p.Status }, title: "TEXT IS"},
		{name: "in_force", exact: func(p row) string { return strconv.FormatBool(p.InForce) }, title: "HELD", text: func(p row) string { return map[bool]string{true: "yes", false: "no"}[p.InForce] }},
		{name: "source", exact: func(p row) string { return p.Source }, title: "FROM"},
		{name: "title", exact: func(p row) string { return p.Title }, title: "TITLE"},
		{name: "citation", exact: func(p row) string { return p.Citation }},
		{name: "digest", exact: func(p row) string { return p.Digest }, title: "DIGEST", text: func(p row) string { return short(p.Digest) }},
	})
	if err != nil || s.format != "table" {
		return err
	}
	for _, f := range packs.Refused {
		s.out.say("refused: %s\n", printable(f.File))
		for _, fault := range f.Faults {
			s.out.say("  %s\n", printable(fault))
		}
	}
	return nil
}

func short(digest string) string { return digest[:min(12, len(digest))] }

type policyArg struct {
	ID string `arg:"" help:"pol_…"`
}

type showPolicyCommand struct {
	policyArg
	Text bool `help:"Print the text alone."`
}

// Run prints a policy.
func (c showPolicyCommand) Run(s *scope) error {
	p, err := one[apitypes.Policy](s, "/v1/policies/"+url.PathEscape(c.ID), nil)
	if err != nil {
		return err
	}
	if c.Text {
		for line := range strings.Lines(p.Text) {
			s.out.say("%s\n", printable(strings.TrimSuffix(line, "\n")))
		}
		return nil
	}
	return printPolicy(s, p)
}

func printPolicy(s *scope, p apitypes.Policy) error {
	switch s.format {
	case "json":
		return printJSON(s.out, p)
	case "csv":
		return listPolicies(s, []apitypes.Policy{p})
	}
	line := func(name, text string) {
		if text != "" {
			s.out.say("%-11s %s\n", name, printable(text))
		}
	}
	line("policy", fmt.Sprintf("%s, version %d", p.ID, p.Version))
	line("text", fmt.Sprintf("%s %s version %d, SHA-256 %s", p.Kind, p.Name, p.Number, p.Digest))
	line("state", p.State)
	line("by", strings.Join(p.Authors, " "))
	if p.Simulation != "" {
		line("simulation", p.Simulation+", digest "+p.SimulationDigest)
	}
	line("rationale", p.Rationale)
	if p.Proposal != "" {
		line("proposal", p.Proposal)
		line("lapses", when(p.Lapses))
	}
	line("in force", when(begins(p)))
	if p.ApprovedBy != "" {
		line("approved", fmt.Sprintf("by %s, %s", p.ApprovedBy, when(p.Approved)))
	}
	line("reason", p.Reason)
	for _, h := range p.History {
		s.out.say("%-11s %s\n", "", printable(strings.TrimSpace(fmt.Sprintf("%s  %s  %s → %s  %s", when(h.At), h.By, h.Act, h.State, h.Note))))
	}
	if l := p.Lookback; l != nil {
		line("looked back", fmt.Sprintf("%s, %d findings %s", when(l.At), len(l.Findings), strings.Join(l.Findings, " ")))
	}
	return nil
}

type policyFile struct {
	File string `arg:"" help:"The text."`
	Kind string `enum:"pack,weights,scorecard,settings" default:"pack" help:"Of what: pack, weights, scorecard or settings."`
}

func (f policyFile) text() (apitypes.PolicyText, error) {
	info, err := os.Stat(f.File)
	if err == nil && info.Size() > 16<<20 {
		err = fmt.Errorf("%s is larger than 16 MiB", filepath.Base(f.File))
	}
	if err != nil {
		return apitypes.PolicyText{}, fmt.Errorf("read policy: %w", err)
	}
	data, err := os.ReadFile(f.File)
	if err != nil {
		return apitypes.PolicyText{}, fmt.Errorf("read policy: %w", err)
	}
	return apitypes.PolicyText{Kind: f.Kind, File: filepath.Base(f.File), Text: string(data)}, nil
}

type checkPolicyCommand struct{ policyFile }

// Run checks a text.
func (c checkPolicyCommand) Run(s *scope) error {
	text, err := c.text()
	if err != nil {
		return err
	}
	good, err := send[apitypes.PolicyCheck](s, "/v1/policies/checks", text)
	if err != nil {
		return err
	}
	if s.format == "json" {
		return printJSON(s.out, good)
	}
	s.out.say("good: %s %s version %d, SHA-256 %s\n", printable(good.Kind), printable(good.Name), good.Number, printable(good.Digest))
	return nil
}

type draftPolicyCommand struct{ policyFile }

// Run drafts a policy.
func (c draftPolicyCommand) Run(s *scope) error {
	text, err := c.text()
	if err != nil {
		return err
	}
	p, err := send[apitypes.Policy](s, "/v1/policies", text)
	if err != nil {
		return err
	}
	return printPolicy(s, p)
}

type editPolicyCommand struct {
	policyArg
	policyFile
	versioned
}

// Run replaces a text.
func (c editPolicyCommand) Run(s *scope) error {
	text, err := c.text()
	if err != nil {
		return err
	}
	return onPolicy(s, c.ID, "texts", c.Version, text)
}

// onPolicy does an act on the policy as it stands. Version says what the person
// was shown; 0 takes it as it is.
func onPolicy(s *scope, id, path string, version int64, body any) error {
	p := object[apitypes.Policy]{"/v1/policies/" + url.PathEscape(id), func(p apitypes.Policy) int64 { return p.Version }, printPolicy}
	return p.act(s, path, version, body)
}

type simulatePolicyCommand struct {
	policyArg
	Days   int       `help:"Only the last so many days of history."`
	Points int       `help:"Points of a sensitivity curve."`
	From   time.Time `help:"When the policy is to be in force, as 2026-11-23T12:00:00Z; now by default."`
}

// Run simulates, and cancels when it is interrupted.
func (c simulatePolicyCommand) Run(s *scope) error {
	job, err := send[apitypes.Job](s, "/v1/policies/"+url.PathEscape(c.ID)+"/simulations", apitypes.SimulationRequest{Days: c.Days, Points: c.Points, From: c.From})
	if err != nil {
		return err
	}
	client, err := s.connect()
	if err != nil {
		return err
	}
	job, err = client.follow(job, func(j apitypes.Job) {
		if s.format == "table" {
			_, _ = fmt.Fprintf(os.Stderr, "\r%-10s %d of %d      ", printable(j.Phase), j.Done, j.Of) // progress only
		}
	})
	if s.format == "table" {
		_, _ = fmt.Fprint(os.Stderr, "\r\x1b[K")
	}
	if err != nil {
		return err
	}
	if job.State != "done" {
		return fmt.Errorf("the simulation is %s: %s", job.State, job.Error)
	}
	return reportPolicyCommand{ID: job.Simulation}.Run(s)
}

// follow reads the events of a job until it ends. What is interrupted here is
// cancelled there.
func (c *client) follow(job apitypes.Job, tell func(apitypes.Job)) (apitypes.Job, error) {
	request, err := http.NewRequestWithContext(c.ctx, http.MethodGet, c.base+"/v1/jobs/"+job.ID+"/events", nil)
	if err != nil {
		return job, fmt.Errorf("follow job: %w", err)
	}
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	stream := &http.Client{Transport: c.http.Transport, CheckRedirect: c.http.CheckRedirect} // it may take longer than one answer
	answer, err := stream.Do(request)
	if err != nil {
		return job, fmt.Errorf("follow job: %w", err)
	}
	defer func() { _ = answer.Body.Close() }() // it was only read
	if answer.StatusCode != http.StatusOK {
		return job, fmt.Errorf("follow job: %s", answer.Status)
	}
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		if err := json.Unmarshal([]byte(data), &job); err != nil {
			return job, fmt.Errorf("follow job: %w", err)
		}
		if tell(job); job.State != "running" {
			return job, nil
		}
	}
	if c.ctx.Err() != nil {
		return job, c.stopJob(job.ID)
	}
	return job, fmt.Errorf("follow job: the stream ended: %w", lines.Err())
}

type reportPolicyCommand struct {
	ID string `arg:"" help:"sim_…"`
}

// Run prints a simulation.
func (c reportPolicyCommand) Run(s *scope) error {
	sim, err := one[apitypes.Simulation](s, "/v1/simulations/"+url.PathEscape(c.ID), nil)
	if err != nil {
		return err
	}
	return printSimulation(s, sim)
}

type proposePolicyCommand struct {
	policyArg
	versioned
	Reason string    `required:"" help:"Why."`
	From   time.Time `help:"From when it is to be in force, as 2026-11-23T12:00:00Z; when it is approved by default."`
}

// Run proposes.
func (c proposePolicyCommand) Run(s *scope) error {
	return onPolicy(s, c.ID, "proposals", c.Version, apitypes.PolicyAct{Reason: c.Reason, From: c.From})
}

type approvePolicyCommand struct {
	policyArg
	versioned
	Digest string `arg:"" help:"Of the proposal, as policy show prints it."`
}

// Run approves.
func (c approvePolicyCommand) Run(s *scope) error {
	return onPolicy(s, c.ID, "approvals", c.Version, apitypes.PolicyAct{Digest: c.Digest})
}

type policyReason struct {
	policyArg
	versioned
	Reason string `required:"" help:"Why."`
}

type rejectPolicyCommand struct{ policyReason }

// Run rejects.
func (c rejectPolicyCommand) Run(s *scope) error {
	return onPolicy(s, c.ID, "rejections", c.Version, apitypes.PolicyAct{Reason: c.Reason})
}

type withdrawPolicyCommand struct{ policyReason }

// Run withdraws.
func (c withdrawPolicyCommand) Run(s *scope) error {
	return onPolicy(s, c.ID, "withdrawals", c.Version, apitypes.PolicyAct{Reason: c.Reason})
}

type rollbackPolicyCommand struct{ policyArg }

// Run drafts an older text again.
func (c rollbackPolicyCommand) Run(s *scope) error {
	p, err := send[apitypes.Policy](s, "/v1/policies/"+url.PathEscape(c.ID)+"/rollbacks", struct{}{})
	if err != nil {
		return err
	}
	return printPolicy(s, p)
}
