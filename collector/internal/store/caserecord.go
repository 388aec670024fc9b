package store

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/approval"
	"github.com/flopwatch/flopwatch/collector/internal/casefile"
	"github.com/flopwatch/flopwatch/collector/internal/clock"
)

// caseRecord is a case as its row holds it.
type caseRecord struct {
	Assignee     string             `json:"assignee,omitempty"`
	Findings     []string           `json:"findings"`
	Decision     *casefile.Decision `json:"decision,omitempty"`
	Proposal     *proposalRecord    `json:"proposal,omitempty"`
	Approval     *approvalRecord    `json:"approval,omitempty"`
	Clocks       []clockRecord      `json:"clocks,omitempty"`
	Move         *casefile.Move     `json:"move,omitempty"`
	MoveProposal *proposalRecord    `json:"move_proposal,omitempty"`
	Held         bool               `json:"held,omitempty"`
}

type proposalRecord struct {
	Digest  string    `json:"digest"`
	Authors []string  `json:"authors"`
	At      time.Time `json:"at"`
}

type approvalRecord struct {
	Digest string    `json:"digest"`
	By     string    `json:"by"`
	At     time.Time `json:"at"`
}

type clockRecord struct {
	Name      string            `json:"name"`
	Basis     clock.Basis       `json:"basis"`
	Days      int               `json:"days"`
	Zone      string            `json:"zone"`
	Occurred  time.Time         `json:"occurred,omitzero"`
	Signalled time.Time         `json:"signalled"`
	History   []knowledgeRecord `json:"history"`
	Met       time.Time         `json:"met,omitzero"`
}

type knowledgeRecord struct {
	At       time.Time `json:"at"`
	Recorded time.Time `json:"recorded"`
	By       string    `json:"by,omitempty"`
	Second   string    `json:"second,omitempty"`
	Reason   string    `json:"reason,omitempty"`
}

func encodeCase(c casefile.Case) ([]byte, error) {
	r := caseRecord{Assignee: c.Assignee, Findings: c.Findings, Held: c.Held, Proposal: recordProposal(c.Proposal), MoveProposal: recordProposal(c.MoveProposal)}
	if c.Decision.Outcome != "" {
		r.Decision = &c.Decision
	}
	if c.Approval.By != "" {
		r.Approval = &approvalRecord{hex.EncodeToString(c.Approval.Digest[:]), c.Approval.By, c.Approval.At.UTC()}
	}
	if c.Move.Clock != "" {
		r.Move = &c.Move
	}
	for _, k := range c.Clocks {
		out := clockRecord{Name: k.Name, Basis: k.Basis, Days: k.Days, Zone: k.Zone.String(), Occurred: k.Occurred.UTC(), Signalled: k.Signalled.UTC(), Met: k.Met.UTC()}
		for _, h := range k.History {
			out.History = append(out.History, knowledgeRecord{h.At.UTC(), h.Recorded.UTC(), h.By, h.Second, h.Reason})
		}
		r.Clocks = append(r.Clocks, out)
	}
	data, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode case %s: %w", c.ID, err)
	}
	return data, nil
}

func recordProposal(p approval.Proposal) *proposalRecord {
	if len(p.Authors) == 0 {
		return nil
	}
	return &proposalRecord{hex.EncodeToString(p.Digest[:]), p.Authors, p.At.UTC()}
}

// decodeCase fills in what encodeCase wrote of a case.
func decodeCase(c *casefile.Case, data []byte) error {
	var r caseRecord
	if err := json.Unmarshal(data, &r); err != nil {
		return fmt.Errorf("decode case %s: %w", c.ID, err)
	}
	c.Assignee, c.Findings, c.Held = r.Assignee, r.Findings, r.Held
	if r.Decision != nil {
		c.Decision = *r.Decision
	}
	if r.Move != nil {
		c.Move = *r.Move
	}
	var err error
	if c.Proposal, err = r.Proposal.proposal(); err != nil {
		return fmt.Errorf("decode case %s: %w", c.ID, err)
	}
	if c.MoveProposal, err = r.MoveProposal.proposal(); err != nil {
		return fmt.Errorf("decode case %s: %w", c.ID, err)
	}
	if r.Approval != nil {
		c.Approval = approval.Approval{By: r.Approval.By, At: r.Approval.At}
		if c.Approval.Digest, err = digestOf(r.Approval.Digest); err != nil {
			return fmt.Errorf("decode case %s: %w", c.ID, err)
		}
	}
	for _, k := range r.Clocks {
		zone, err := time.LoadLocation(k.Zone)
		if err != nil {
			return fmt.Errorf("decode case %s: %w", c.ID, err)
		}
		out := clock.Clock{Obligation: clock.Obligation{Name: k.Name, Basis: k.Basis, Days: k.Days, Zone: zone}, Occurred: k.Occurred, Signalled: k.Signalled, Met: k.Met}
		for _, h := range k.History {
			out.History = append(out.History, clock.Knowledge{At: h.At, Recorded: h.Recorded, By: h.By, Second: h.Second, Reason: h.Reason})
		}
		c.Clocks = append(c.Clocks, out)
	}
	return nil
}

func (p *proposalRecord) proposal() (approval.Proposal, error) {
	if p == nil {
		return approval.Proposal{}, nil
	}
	digest, err := digestOf(p.Digest)
	return approval.Proposal{Digest: digest, Authors: p.Authors, At: p.At}, err
}

func digestOf(text string) (d approval.Digest, err error) {
	n, err := hex.Decode(d[:], []byte(text))
	if err == nil && n != len(d) {
		err = fmt.Errorf("digest of %d bytes", n)
	}
	return d, err
}
