package apitypes

import (
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
)

// AuditEntry is an entry of the audit log.
type AuditEntry struct {
	ID         string    `json:"id" doc:"aud_ and the place in the log, from 1"`
	At         time.Time `json:"at"`
	ActorKind  string    `json:"actor_kind" doc:"person, service or rule"`
	Actor      string    `json:"actor"`
	OnBehalfOf string    `json:"on_behalf_of,omitempty"`
	SignIn     string    `json:"sign_in,omitempty"`
	Action     string    `json:"action"`
	ObjectKind string    `json:"object_kind"`
	Object     string    `json:"object"`
	Before     string    `json:"before,omitempty" doc:"SHA-256 of the object's protected state before; absent if there was none"`
	After      string    `json:"after,omitempty" doc:"And after"`
	Reason     string    `json:"reason,omitempty"`
	Policy     string    `json:"policy,omitempty" doc:"Digest of the pack that it follows from"`
	Request    string    `json:"request,omitempty"`
	Approvals  []string  `json:"approvals,omitempty"`
}

// FromAuditEntry turns the desk's view into the API's.
func FromAuditEntry(e desk.AuditEntry) AuditEntry {
	return AuditEntry{
		ID: e.ID.String(), At: e.At, ActorKind: string(e.Actor.Kind), Actor: e.Actor.ID, OnBehalfOf: e.Actor.OnBehalfOf, SignIn: e.Actor.SignIn,
		Action: e.Action, ObjectKind: e.Object.Kind, Object: e.Object.ID, Before: e.Before, After: e.After, Reason: e.Reason, Policy: e.Policy,
		Request: e.Request, Approvals: e.Approvals,
	}
}

// AuditCheck is the verdict on the audit log.
type AuditCheck struct {
	Intact      bool     `json:"intact"`
	Entries     int64    `json:"entries"`
	Objects     int64    `json:"objects" doc:"That the log protects"`
	Checkpoints int64    `json:"checkpoints"`
	Signed      int64    `json:"signed" doc:"Entries under the newest checkpoint that holds"`
	ClockBack   int      `json:"clock_back" doc:"Entries dated before an earlier one: the clock was set"`
	Problems    []string `json:"problems" doc:"A line each, at most 100"`
}

// FromAuditCheck turns the desk's view into the API's.
func FromAuditCheck(c desk.AuditCheck) AuditCheck {
	out := AuditCheck{Intact: c.Intact, Entries: c.Entries, Objects: c.Objects, Checkpoints: c.Checkpoints, Signed: c.Signed, ClockBack: c.ClockBack, Problems: c.Problems}
	if out.Problems == nil {
		out.Problems = []string{}
	}
	return out
}
