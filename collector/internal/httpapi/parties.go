package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"mime"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/desk"
)

// PartyKeeper does what people and programs do about who customers are. What may
// not be done is a Refusal; faults of a file are an error as Importer tells them.
type PartyKeeper interface {
	ImportParties(ctx context.Context, name, format string, data []byte, dryRun bool) (apitypes.PartyDiff, error)
	AddAccesses(ctx context.Context, name string, data []byte) (apitypes.AccessFeed, error)
	Reveal(ctx context.Context, id string, ask apitypes.RevealRequest) (apitypes.Revealed, error)
	RevealAccesses(ctx context.Context, account, reason string) ([]apitypes.RevealedAccess, error)
	ActOnReseller(ctx context.Context, id string, act apitypes.ResellerAct) (apitypes.Recorded, error)
	ProposeExemption(ctx context.Context, e apitypes.NewExemption) (apitypes.Recorded, error)
	ApproveExemption(ctx context.Context, id, digest string) (apitypes.Recorded, error)
	WithdrawExemption(ctx context.Context, id, reason string) (apitypes.Recorded, error)
	HoldCustomer(ctx context.Context, customer, reason string) (apitypes.Recorded, error)
	ReleaseHold(ctx context.Context, id, reason string) (apitypes.Recorded, error)
	EraseParty(ctx context.Context, id string, ask apitypes.EraseRequest) (apitypes.ErasureCertificate, error)
	NoteReview(ctx context.Context, r apitypes.NewReview) (apitypes.Recorded, error)
	DecideHit(ctx context.Context, id string, d apitypes.HitDecision) (apitypes.Recorded, error)
	Screen(ctx context.Context, s apitypes.Screening) (apitypes.Screened, error)
	AddVendor(ctx context.Context, name string) (apitypes.Vendor, error)
}

// PartyTimes is exported because the router fills embedded structs only then.
type PartyTimes struct {
	AsOf    string `query:"as_of" doc:"How it was at this time; now if left out"`
	KnownAt string `query:"known_at" doc:"By what was recorded up to this time; now if left out"`
}

func (t PartyTimes) query() (q desk.PartyQuery, err error) {
	for _, part := range []struct {
		text string
		name string
		into *time.Time
	}{{t.AsOf, "as_of", &q.AsOf}, {t.KnownAt, "known_at", &q.KnownAt}} {
		if part.text == "" {
			continue
		}
		if *part.into, err = apitypes.ParseTime(part.text); err != nil {
			return q, apitypes.NewProblem(http.StatusUnprocessableEntity, "a time is wrong", part.name+": must be a time such as 2026-11-23T12:00:00Z")
		}
	}
	return q, nil
}

type partyList struct {
	PageQuery
	PartyTimes
}

// PartyPath is exported because the router fills embedded structs only then.
type PartyPath struct {
	ID string `path:"id" pattern:"^[A-Za-z0-9._:-]{1,64}$"`
}

type partyQuery struct {
	PartyPath
	PartyTimes
}

type partyImport struct {
	Name        string `query:"name" maxLength:"100" pattern:"^[A-Za-z0-9._ -]+$" default:"parties" doc:"What faults call the file"`
	DryRun      bool   `query:"dry_run" doc:"Say what would change and write nothing"`
	ContentType string `header:"Content-Type" doc:"text/csv or application/x-ndjson"`
	RawBody     []byte `contentType:"text/csv"`
}

type accessImport struct {
	Name    string `query:"name" maxLength:"100" pattern:"^[A-Za-z0-9._ -]+$" default:"accesses" doc:"What faults call the file"`
	RawBody []byte `contentType:"application/x-ndjson"`
}

type partyAct[T any] struct {
	PartyPath
	Body T
}

type bodyOf[T any] struct{ Body T }

func same[T any](v T) T { return v }

func (s *server) registerParties(api huma.API) {
	s.registerPartyViews(api)
	huma.Register(api, huma.Operation{
		OperationID: "import-parties", Method: http.MethodPost, Path: "/v1/parties/import",
		Summary:      "Import parties and what is around them from CSV or NDJSON, whole or not at all",
		MaxBodyBytes: apitypes.MaxImportBytes, BodyReadTimeout: 30 * time.Second,
		RequestBody: &huma.RequestBody{Content: map[string]*huma.MediaType{"application/x-ndjson": {}}},
		Errors:      []int{http.StatusUnauthorized, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity, http.StatusNotImplemented},
	}, s.importParties)
	huma.Register(api, huma.Operation{
		OperationID: "add-accesses", Method: http.MethodPost, Path: "/v1/accesses", Summary: "Add accesses to accounts, NDJSON with account, time, ip and action",
		MaxBodyBytes: apitypes.MaxImportBytes, BodyReadTimeout: 30 * time.Second,
		Errors: []int{http.StatusUnauthorized, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity, http.StatusNotImplemented},
	}, kept(s, "accesses", func(ctx context.Context, in *accessImport) (apitypes.AccessFeed, error) {
		return s.Parties.AddAccesses(ctx, in.Name, in.RawBody)
	}))
	act(api, http.MethodPost, "/v1/parties/{id}/reveals", "reveal-party", "Read personal data of a party, for a reason; the read is logged before it is answered", kept(s, "reveal", func(ctx context.Context, in *partyAct[apitypes.RevealRequest]) (apitypes.Revealed, error) {
		return s.Parties.Reveal(ctx, in.ID, in.Body)
	}))
	act(api, http.MethodPost, "/v1/accounts/{id}/reveals", "reveal-accesses", "Read the newest accesses to an account, for a reason", kept(s, "reveal", func(ctx context.Context, in *partyAct[apitypes.RevealRequest]) (apitypes.List[apitypes.RevealedAccess], error) {
		all, err := s.Parties.RevealAccesses(ctx, in.ID, in.Body.Reason)
		return apitypes.List[apitypes.RevealedAccess]{Items: all}, err
	}))
	act(api, http.MethodPost, "/v1/parties/{id}/erasures", "erase-party", "Erase personal data of a party once they need no longer be kept", kept(s, "erasure", func(ctx context.Context, in *partyAct[apitypes.EraseRequest]) (apitypes.ErasureCertificate, error) {
		return s.Parties.EraseParty(ctx, in.ID, in.Body)
	}))
	act(api, http.MethodPost, "/v1/resellers/{id}/events", "act-on-reseller", "Say what happened with a reseller", kept(s, "reseller", func(ctx context.Context, in *partyAct[apitypes.ResellerAct]) (apitypes.Recorded, error) {
		return s.Parties.ActOnReseller(ctx, in.ID, in.Body)
	}))
	act(api, http.MethodPost, "/v1/exemptions", "propose-exemption", "Propose an exemption, which two other people approve", kept(s, "exemption", func(ctx context.Context, in *bodyOf[apitypes.NewExemption]) (apitypes.Recorded, error) {
		return s.Parties.ProposeExemption(ctx, in.Body)
	}))
	act(api, http.MethodPost, "/v1/exemptions/{id}/approvals", "approve-exemption", "Approve an exemption by its digest", kept(s, "exemption", func(ctx context.Context, in *partyAct[apitypes.DigestApproval]) (apitypes.Recorded, error) {
		return s.Parties.ApproveExemption(ctx, in.ID, in.Body.Digest)
	}))
	act(api, http.MethodPost, "/v1/exemptions/{id}/withdrawals", "withdraw-exemption", "Withdraw an exemption", kept(s, "exemption", func(ctx context.Context, in *partyAct[apitypes.Reasoned]) (apitypes.Recorded, error) {
		return s.Parties.WithdrawExemption(ctx, in.ID, in.Body.Reason)
	}))
	act(api, http.MethodPost, "/v1/customers/{id}/holds", "hold-customer", "Put the records of a customer under legal hold", kept(s, "hold", func(ctx context.Context, in *partyAct[apitypes.Reasoned]) (apitypes.Recorded, error) {
		return s.Parties.HoldCustomer(ctx, in.ID, in.Body.Reason)
	}))
	act(api, http.MethodPost, "/v1/holds/{id}/releases", "release-hold", "Propose the release of a legal hold, or approve it as a second person", kept(s, "hold", func(ctx context.Context, in *partyAct[apitypes.Reasoned]) (apitypes.Recorded, error) {
		return s.Parties.ReleaseHold(ctx, in.ID, in.Body.Reason)
	}))
	act(api, http.MethodPost, "/v1/reviews", "note-review", "Say that a customer, an exemption or a statement of the programme was looked at again", kept(s, "review", func(ctx context.Context, in *bodyOf[apitypes.NewReview]) (apitypes.Recorded, error) {
		return s.Parties.NoteReview(ctx, in.Body)
	}))
	act(api, http.MethodPost, "/v1/list-hits/{id}/decisions", "decide-hit", "Decide whether a hit on a list is the same person", kept(s, "hit", func(ctx context.Context, in *partyAct[apitypes.HitDecision]) (apitypes.Recorded, error) {
		return s.Parties.DecideHit(ctx, in.ID, in.Body)
	}))
	act(api, http.MethodPost, "/v1/screenings", "screen-parties", "Hold parties against the lists of the configured server", kept(s, "screening", func(ctx context.Context, in *bodyOf[apitypes.Screening]) (apitypes.Screened, error) {
		return s.Parties.Screen(ctx, in.Body)
	}))
	act(api, http.MethodPost, "/v1/vendors/{id}/secrets", "add-vendor", "Make a new secret with which a vendor signs its webhooks", kept(s, "vendor", func(ctx context.Context, in *PartyPath) (apitypes.Vendor, error) {
		return s.Parties.AddVendor(ctx, in.ID)
	}))
}

func (s *server) registerPartyViews(api huma.API) {
	get(api, "/v1/parties", "list-parties", "Persons and organisations, without personal data", func(ctx context.Context, in *partyList) (*list[apitypes.Party], error) {
		return timed(ctx, s, in, "parties", s.Reader.Parties, func(p apitypes.Party) string { return p.ID })
	})
	get(api, "/v1/parties/{id}", "show-party", "One party with its history", func(ctx context.Context, in *partyQuery) (*answer[apitypes.Party], error) {
		return shown(ctx, s, in, "party", s.Reader.Party)
	})
	get(api, "/v1/standings", "list-standings", "How customers stand in the identification programme", func(ctx context.Context, in *partyList) (*list[apitypes.Standing], error) {
		return timed(ctx, s, in, "standings", s.Reader.Standings, func(c apitypes.Standing) string { return c.CustomerID })
	})
	get(api, "/v1/standings/{id}", "show-standing", "How one customer stands", func(ctx context.Context, in *partyQuery) (*answer[apitypes.Standing], error) {
		return shown(ctx, s, in, "standing", s.Reader.Standing)
	})
	get(api, "/v1/reverifications", "list-reverifications", "Customers to verify or review again, what fell due first first", func(ctx context.Context, in *struct {
		PageQuery
		Days int `query:"days" default:"30" minimum:"0" maximum:"3660" doc:"How far ahead to look"`
	}) (*list[apitypes.Reverification], error) {
		all, err := s.Reader.Reverifications(ctx, in.Days)
		if err != nil {
			return nil, s.failed(ctx, "reverifications", err)
		}
		return page(all, in.PageQuery, same, func(r apitypes.Reverification) string { return r.CustomerID })
	})
	get(api, "/v1/resellers", "list-resellers", "Resellers with their timers", func(ctx context.Context, in *PageQuery) (*list[apitypes.Reseller], error) {
		return listed(ctx, s, in, "resellers", s.Reader.Resellers, func(r apitypes.Reseller) string { return r.ID })
	})
	get(api, "/v1/exemptions", "list-exemptions", "Exemptions with their approvals", func(ctx context.Context, in *PageQuery) (*list[apitypes.Exemption], error) {
		return listed(ctx, s, in, "exemptions", s.Reader.Exemptions, func(e apitypes.Exemption) string { return e.ID })
	})
	get(api, "/v1/programme/gaps", "list-programme-gaps", "Areas of the programme to improve, with citation and whom they concern", func(ctx context.Context, in *PageQuery) (*list[apitypes.ProgrammeGap], error) {
		return listed(ctx, s, in, "programme gaps", s.Reader.ProgrammeGaps, func(g apitypes.ProgrammeGap) string { return g.Area })
	})
	get(api, "/v1/programme/certification", "show-certification", "Data of the yearly certification", func(ctx context.Context, _ *none) (*answer[apitypes.Certification], error) {
		c, err := s.Reader.Certification(ctx)
		if err != nil {
			return nil, s.failed(ctx, "certification", err)
		}
		return &answer[apitypes.Certification]{c}, nil
	})
}

func listed[T any](ctx context.Context, s *server, in *PageQuery, what string, read func(context.Context) ([]T, error), id func(T) string) (*list[T], error) {
	all, err := read(ctx)
	if err != nil {
		return nil, s.failed(ctx, what, err)
	}
	return page(all, *in, same, id)
}

func timed[T any](ctx context.Context, s *server, in *partyList, what string, read func(context.Context, desk.PartyQuery) ([]T, error), id func(T) string) (*list[T], error) {
	q, err := in.query()
	if err != nil {
		return nil, err
	}
	return listed(ctx, s, &in.PageQuery, what, func(ctx context.Context) ([]T, error) { return read(ctx, q) }, id)
}

func shown[T any](ctx context.Context, s *server, in *partyQuery, what string, read func(context.Context, string, desk.PartyQuery) (T, bool, error)) (*answer[T], error) {
	q, err := in.query()
	if err != nil {
		return nil, err
	}
	one, ok, err := read(ctx, in.ID, q)
	if err != nil {
		return nil, s.failed(ctx, what, err)
	}
	if !ok {
		return nil, apitypes.NewProblem(http.StatusNotFound, "there is no such "+what)
	}
	return &answer[T]{one}, nil
}

// kept answers with what an act of the keeper returns.
func kept[I, O any](s *server, what string, do func(context.Context, *I) (O, error)) func(context.Context, *I) (*answer[O], error) {
	return func(ctx context.Context, in *I) (*answer[O], error) {
		if s.Parties == nil {
			return nil, apitypes.NewProblem(http.StatusNotImplemented, "this collector keeps no parties")
		}
		out, err := do(ctx, in)
		if err == nil {
			return &answer[O]{out}, nil
		}
		return nil, s.partyFault(ctx, what, err)
	}
}

// partyFault tells a refusal or the faults of a file; everything else may hold a
// person's details, so it goes to nobody.
func (s *server) partyFault(ctx context.Context, what string, err error) error {
	var refusal *Refusal
	if errors.As(err, &refusal) {
		return apitypes.NewProblem(refusal.Status, refusal.Why)
	}
	if faults := importFaults(err); len(faults) > 0 {
		return apitypes.NewProblem(http.StatusUnprocessableEntity, "there are faults; nothing was changed", faults...)
	}
	s.Log.LogAttrs(ctx, slog.LevelError, "api: act on parties failed", slog.String("act", what))
	return apitypes.NewProblem(http.StatusInternalServerError, "it could not be done; nothing was changed")
}

func (s *server) importParties(ctx context.Context, in *partyImport) (*answer[apitypes.PartyDiff], error) {
	media, _, err := mime.ParseMediaType(in.ContentType)
	formats := map[string]string{"text/csv": "csv", "application/x-ndjson": "ndjson"}
	if err != nil || formats[media] == "" {
		return nil, apitypes.NewProblem(http.StatusUnsupportedMediaType, "parties come as text/csv or application/x-ndjson")
	}
	return kept(s, "import", func(ctx context.Context, in *partyImport) (apitypes.PartyDiff, error) {
		diff, err := s.Parties.ImportParties(ctx, in.Name, formats[media], in.RawBody, in.DryRun)
		for _, ids := range []*[]string{&diff.New, &diff.Changed, &diff.Unchanged} {
			if *ids == nil {
				*ids = []string{}
			}
		}
		return diff, err
	})(ctx, in)
}
