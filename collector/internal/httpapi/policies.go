package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
)

// Policymaker does people's acts on policies. What may not be done is a Refusal;
// faults of a text are an error with a line "file:line: key: rule" for each.
type Policymaker interface {
	CheckPolicy(ctx context.Context, in apitypes.PolicyText) (apitypes.PolicyCheck, error)
	DraftPolicy(ctx context.Context, in apitypes.PolicyText) (apitypes.Policy, error)
	EditPolicy(ctx context.Context, id string, version int64, in apitypes.PolicyText) (apitypes.Policy, error)
	ActOnPolicy(ctx context.Context, id string, version int64, act apitypes.PolicyAct) (apitypes.Policy, error)
	RollBack(ctx context.Context, to string) (apitypes.Policy, error)
	Simulate(ctx context.Context, id string, in apitypes.SimulationRequest) (apitypes.Job, error)
	Job(ctx context.Context, id string) (apitypes.Job, bool)
	CancelJob(ctx context.Context, id string) (apitypes.Job, bool)
}

// PolicyPath is exported because the router fills embedded structs only then.
type PolicyPath struct {
	ID string `path:"id" pattern:"^pol_[a-z0-9]{1,40}$"`
}

type jobPath struct {
	ID string `path:"id" pattern:"^job_[a-z0-9]{1,40}$"`
}

type simulationPath struct {
	ID string `path:"id" pattern:"^sim_[a-z0-9]{1,40}$"`
}

type policyTextInput struct{ Body apitypes.PolicyText }

type policyEditInput struct {
	PolicyPath
	IfMatch string `header:"If-Match" doc:"The version of the policy that you were shown, as \"4\""`
	Body    apitypes.PolicyText
}

type policyActInput struct {
	PolicyPath
	IfMatch string `header:"If-Match" doc:"The version of the policy that you were shown, as \"4\""`
	Body    struct {
		Reason string `json:"reason,omitempty" maxLength:"2000" doc:"The rationale of a proposal, or why"`
		Digest string `json:"digest,omitempty" maxLength:"64" doc:"Of what is approved"`
		From   string `json:"from,omitempty" format:"date-time" doc:"When a proposal is to be in force; when it is approved by default"`
	}
}

type simulateInput struct {
	PolicyPath
	Body apitypes.SimulationRequest
}

// policyActs are the sub-resources of a policy by which people act.
var policyActs = []struct{ path, id, act, summary string }{
	{"proposals", "propose-policy", "propose", "Propose a simulated policy, with the reason and the instant from which it is to be in force"},
	{"approvals", "approve-policy", "approve", "Approve the proposal by its digest, as a second person"},
	{"rejections", "reject-policy", "reject", "Reject the proposal, as a second person"},
	{"withdrawals", "withdraw-policy", "withdraw", "Take a policy back that is not in force"},
}

func (s *server) registerPolicies(api huma.API) {
	get(api, "/v1/packs", "list-packs", "Packs that are shipped, of the site or in force, and files that were refused", func(ctx context.Context, _ *none) (*answer[apitypes.Packs], error) {
		packs, faults, err := s.Reader.Packs(ctx)
		if err != nil {
			return nil, s.failed(ctx, "packs", err)
		}
		return &answer[apitypes.Packs]{apitypes.Packs{Items: apitypes.Each(packs, apitypes.FromPack), Refused: apitypes.Each(faults, apitypes.FromPackFault)}}, nil
	})
	get(api, "/v1/policies", "list-policies", "Policies as they stand, last drafted first", func(ctx context.Context, q *PageQuery) (*list[apitypes.Policy], error) {
		all, err := s.Reader.Policies(ctx)
		if err != nil {
			return nil, s.failed(ctx, "policies", err)
		}
		return page(all, *q, apitypes.FromPolicy, func(p apitypes.Policy) string { return p.ID })
	})
	get(api, "/v1/policies/{id}", "show-policy", "One policy with its text and history", func(ctx context.Context, q *PolicyPath) (*answer[apitypes.Policy], error) {
		p, ok, err := s.Reader.Policy(ctx, q.ID)
		if err != nil {
			return nil, s.failed(ctx, "policy", err)
		}
		if !ok {
			return nil, apitypes.NewProblem(http.StatusNotFound, "there is no such policy")
		}
		return &answer[apitypes.Policy]{apitypes.FromPolicy(p)}, nil
	})
	get(api, "/v1/simulations/{id}", "show-simulation", "What a policy would change", func(ctx context.Context, q *simulationPath) (*answer[apitypes.Simulation], error) {
		// It says who would cross, so it is for those who work on policies or cases.
		if who := permission.Of(ctx); !who.May(permission.DraftPolicy) && !who.May(permission.ApprovePolicy) && !who.May(permission.ReadCases) {
			return nil, apitypes.NewProblem(http.StatusNotFound, "there is nothing that you may see here")
		}
		v, ok, err := s.Reader.Simulation(ctx, q.ID)
		if err != nil {
			return nil, s.failed(ctx, "simulation", err)
		}
		if !ok {
			return nil, apitypes.NewProblem(http.StatusNotFound, "there is no such simulation")
		}
		return &answer[apitypes.Simulation]{apitypes.FromSimulation(v)}, nil
	})
	act(api, http.MethodPost, "/v1/policies/checks", "check-policy", "Say what is wrong with a text, and keep nothing", policymaker(s, func(ctx context.Context, in *policyTextInput) (apitypes.PolicyCheck, error) {
		return s.Policymaker.CheckPolicy(ctx, in.Body)
	}))
	act(api, http.MethodPost, "/v1/policies", "draft-policy", "Draft a policy", policymaker(s, func(ctx context.Context, in *policyTextInput) (apitypes.Policy, error) {
		return s.Policymaker.DraftPolicy(ctx, in.Body)
	}))
	act(api, http.MethodPost, "/v1/policies/{id}/texts", "edit-policy", "Replace the text; what was proposed is void", policymaker(s, func(ctx context.Context, in *policyEditInput) (apitypes.Policy, error) {
		version, err := versionOf(in.IfMatch)
		if err != nil {
			return apitypes.Policy{}, err
		}
		return s.Policymaker.EditPolicy(ctx, in.ID, version, in.Body)
	}))
	for _, a := range policyActs {
		act(api, http.MethodPost, "/v1/policies/{id}/"+a.path, a.id, a.summary, policymaker(s, func(ctx context.Context, in *policyActInput) (apitypes.Policy, error) {
			return s.actOnPolicy(ctx, a.act, in)
		}))
	}
	act(api, http.MethodPost, "/v1/policies/{id}/rollbacks", "roll-back-policy", "Draft the text of an older policy again", policymaker(s, func(ctx context.Context, in *PolicyPath) (apitypes.Policy, error) {
		return s.Policymaker.RollBack(ctx, in.ID)
	}))
	huma.Register(api, huma.Operation{
		OperationID: "simulate-policy", Method: http.MethodPost, Path: "/v1/policies/{id}/simulations", Summary: "Begin to simulate the text as it is; the job says how far it is",
		DefaultStatus: http.StatusAccepted, Errors: actErrors,
	}, func(ctx context.Context, in *simulateInput) (*begun, error) {
		job, err := policymaker(s, func(ctx context.Context, in *simulateInput) (apitypes.Job, error) {
			return s.Policymaker.Simulate(ctx, in.ID, in.Body)
		})(ctx, in)
		if err != nil {
			return nil, err
		}
		return &begun{Location: "/v1/jobs/" + job.Body.ID, Body: job.Body}, nil
	})
	act(api, http.MethodPost, "/v1/jobs/{id}/cancellations", "cancel-job", "End a simulation", policymaker(s, func(ctx context.Context, in *jobPath) (apitypes.Job, error) {
		return found(s.Policymaker.CancelJob(ctx, in.ID))
	}))
	get(api, "/v1/jobs/{id}", "show-job", "How a simulation stands", policymaker(s, func(ctx context.Context, in *jobPath) (apitypes.Job, error) {
		return found(s.Policymaker.Job(ctx, in.ID))
	}))
	huma.Register(api, huma.Operation{
		OperationID: "watch-job", Method: http.MethodGet, Path: "/v1/jobs/{id}/events", Summary: "Server-sent events: one named job for each progress, until it ends",
		Errors: []int{http.StatusUnauthorized, http.StatusNotFound, http.StatusServiceUnavailable},
		Responses: map[string]*huma.Response{"200": {Description: "A stream that ends with the simulation",
			Content: map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{Type: "string"}}}}},
	}, func(ctx context.Context, in *jobPath) (*huma.StreamResponse, error) {
		if s.Policymaker == nil {
			return nil, apitypes.NewProblem(http.StatusNotImplemented, "this collector keeps no policies")
		}
		if _, err := found(s.Policymaker.Job(ctx, in.ID)); err != nil {
			return nil, s.acted(ctx, "watch job", err)
		}
		leave, err := s.streams.take(ctx)
		if err != nil {
			return nil, err
		}
		return &huma.StreamResponse{Body: func(hc huma.Context) {
			defer leave()
			_, w := humago.Unwrap(hc)
			s.streamJob(ctx, w, in.ID)
		}}, nil
	})
}

// begun is a job that goes on after the answer.
type begun struct {
	Location string `header:"Location" doc:"Where the job is"`
	Body     apitypes.Job
}

func found(j apitypes.Job, ok bool) (apitypes.Job, error) {
	if !ok {
		return j, &Refusal{Status: http.StatusNotFound, Why: "there is no such job"}
	}
	return j, nil
}

// streamJob writes each progress until the job ends.
func (s *server) streamJob(ctx context.Context, w http.ResponseWriter, id string) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	control := http.NewResponseController(w)
	tick := time.NewTicker(min(s.Poll, 200*time.Millisecond))
	defer tick.Stop()
	var last apitypes.Job
	for {
		j, ok := s.Policymaker.Job(ctx, id)
		if !ok {
			return
		}
		if j != last {
			last = j
			data, err := json.Marshal(j)
			if err != nil {
				_ = s.failed(ctx, "job", err)
				return
			}
			// A writer without deadlines (a test's) has none to move.
			_ = control.SetWriteDeadline(time.Now().Add(writeTimeout))
			if _, err := fmt.Fprintf(w, "event: job\ndata: %s\n\n", data); err != nil || control.Flush() != nil {
				return
			}
		}
		if j.State != "running" {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-s.Stopping:
			return
		case <-tick.C:
		}
	}
}

// policymaker answers with what an act returns.
func policymaker[I, O any](s *server, do func(context.Context, *I) (O, error)) func(context.Context, *I) (*answer[O], error) {
	return func(ctx context.Context, in *I) (*answer[O], error) {
		if s.Policymaker == nil {
			return nil, apitypes.NewProblem(http.StatusNotImplemented, "this collector keeps no policies")
		}
		out, err := do(ctx, in)
		if err != nil {
			if faults := importFaults(err); len(faults) > 0 {
				s.Log.LogAttrs(ctx, slog.LevelInfo, "api: a text was refused", slog.Int("faults", len(faults)))
				return nil, apitypes.NewProblem(http.StatusUnprocessableEntity, "the text has faults; nothing was changed", faults...)
			}
			return nil, s.acted(ctx, "policy", err)
		}
		return &answer[O]{out}, nil
	}
}

func (s *server) actOnPolicy(ctx context.Context, what string, in *policyActInput) (apitypes.Policy, error) {
	version, err := versionOf(in.IfMatch)
	if err != nil {
		return apitypes.Policy{}, err
	}
	out := apitypes.PolicyAct{Act: what, Reason: in.Body.Reason, Digest: in.Body.Digest}
	if in.Body.From != "" {
		if out.From, err = apitypes.ParseTime(in.Body.From); err != nil {
			return apitypes.Policy{}, &Refusal{Status: http.StatusUnprocessableEntity, Why: "from: must be a time such as 2026-11-23T12:00:00Z"}
		}
	}
	return s.Policymaker.ActOnPolicy(ctx, in.ID, version, out)
}
