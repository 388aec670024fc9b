package store

import (
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/flopwatch/flopwatch/collector/internal/approval"
	"github.com/flopwatch/flopwatch/collector/internal/report"
)

// reportRecord is a report as its row holds it.
type reportRecord struct {
	Form       string                  `json:"form"`
	FormDigest string                  `json:"form_digest"`
	Case       string                  `json:"case,omitempty"`
	Subject    string                  `json:"subject"`
	Kind       report.Kind             `json:"kind"`
	Chain      report.Chain            `json:"chain"`
	Edition    int                     `json:"edition"`
	State      report.State            `json:"state"`
	Values     map[string]report.Value `json:"values"`
	Editors    []string                `json:"editors,omitempty"`
	Proposal   *proposalRecord         `json:"proposal,omitempty"`
	Approval   *approvalRecord         `json:"approval,omitempty"`
	Checkpoint string                  `json:"checkpoint,omitempty"`
	Filings    []report.Filing         `json:"filings,omitempty"`
	Request    report.Request          `json:"request,omitzero"`
}

func encodeReport(r report.Report) ([]byte, error) {
	out := reportRecord{Form: r.Form, FormDigest: r.FormDigest, Case: r.Case, Subject: r.Subject, Kind: r.Kind, Chain: r.Chain, Edition: r.Edition, State: r.State,
		Values: r.Values, Editors: r.Editors, Proposal: recordProposal(r.Proposal), Checkpoint: r.Checkpoint, Filings: r.Filings, Request: r.Request}
	if r.Approval.By != "" {
		out.Approval = &approvalRecord{hex.EncodeToString(r.Approval.Digest[:]), r.Approval.By, r.Approval.At.UTC()}
	}
	data, err := json.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("encode report %s: %w", r.ID, err)
	}
	return data, nil
}

func decodeReport(id string, version int64, data []byte) (report.Report, error) {
	var in reportRecord
	if err := json.Unmarshal(data, &in); err != nil {
		return report.Report{}, fmt.Errorf("decode report %s: %w", id, err)
	}
	out := report.Report{ID: id, Version: version, Form: in.Form, FormDigest: in.FormDigest, Case: in.Case, Subject: in.Subject, Kind: in.Kind, Chain: in.Chain,
		Edition: in.Edition, State: in.State, Values: in.Values, Editors: in.Editors, Checkpoint: in.Checkpoint, Filings: in.Filings, Request: in.Request}
	if out.Values == nil {
		out.Values = map[string]report.Value{}
	}
	var err error
	if out.Proposal, err = in.Proposal.proposal(); err != nil {
		return report.Report{}, fmt.Errorf("decode report %s: %w", id, err)
	}
	if in.Approval != nil {
		out.Approval = approval.Approval{By: in.Approval.By, At: in.Approval.At}
		if out.Approval.Digest, err = digestOf(in.Approval.Digest); err != nil {
			return report.Report{}, fmt.Errorf("decode report %s: %w", id, err)
		}
	}
	return out, nil
}
