// Package httpapi answers programs under /v1.
//
// It reads through desk.Reader and writes nothing but imports of customers and
// allocations, which an Importer and an Allocator do. Errors are RFC 9457 problems that repeat nothing of what was
// submitted. The OpenAPI document is generated from this code, served at
// /v1/openapi.json and kept in openapi.json, so that a change shows in review.
// Who may ask is decided before a request comes here, by package access.
package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/desk"
)

// Deps are what the API needs. Reader must be set.
type Deps struct {
	Registrar Registrar // nil answers with 501
	Reader    desk.Reader
	Importer  Importer // nil answers imports with 501
	// Allocator takes allocations; nil answers with 501.
	Allocator Allocator
	// Metering takes readings of meters; nil answers with 501.
	Metering  Metering
	UserAdmin UserAdmin // nil answers with 501
	// TokenKeeper keeps API tokens; nil answers with 501.
	TokenKeeper TokenKeeper
	AuditLog    AuditLog // nil answers with 501
	// Messenger tells people outside the desk; nil has no channels and answers with 501.
	Messenger Messenger
	// Caseworker acts on findings and cases; nil answers with 501.
	Caseworker Caseworker
	Joiner     Joiner   // nil answers with 501
	Reporter   Reporter // nil answers with 501
	// Storekeeper tells of backups; nil answers with 501.
	Storekeeper Storekeeper
	// Parties keeps who customers are; nil answers with 501.
	Parties  PartyKeeper
	Linker   Linker   // nil answers with 501
	Foreseer Foreseer // nil answers with 501
	// Policymaker acts on policies; nil answers with 501.
	Policymaker Policymaker
	// Revenues takes what customers pay; nil answers with 501.
	Revenues Revenues
	// ExportLog notes exports; nil answers with 501, because no export goes unnoted.
	ExportLog ExportLog
	// NewLink makes a one-time link to the desk; nil answers with 501.
	NewLink func() (url string, expires time.Time)
	// Stopping ends the event streams when it is closed; nil never does.
	Stopping <-chan struct{}
	// Once keeps requests that are done once; nil does not look at their keys.
	Once    Once
	Version string
	// Demonstration is said in the status also when the reader does not say so.
	Demonstration bool
	Log           *slog.Logger     // nil discards
	Poll          time.Duration    // how often the events route looks for a new revision; 0 is one second
	Now           func() time.Time // of the budget of exports; the real clock if nil
}

// New returns the handler of everything under /v1/. It starts no goroutine; a
// stream of events ends with its request's context or with Stopping.
func New(deps Deps) http.Handler {
	s, mux, _ := build(deps)
	return keep(deps.Reader, s.once(mux))
}

type server struct {
	Deps
	streams, exports *seats
	budget           *budget // of exports
}

func build(deps Deps) (*server, *http.ServeMux, huma.API) {
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	if deps.Poll <= 0 {
		deps.Poll = time.Second
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	s := &server{Deps: deps, streams: newSeats("event streams", maxStreams, maxStreamsEach), exports: newSeats("exports", maxExports, maxExportsEach), budget: newBudget(exportsPerHour, time.Hour)}
	config := huma.DefaultConfig("flopwatch", "v1")
	config.Info.Description = "The operations ledger. Operations are decimal strings of single operations, times RFC 3339 in UTC, durations numbers of seconds with up to nine decimals."
	config.DocsPath, config.SchemasPath = "", "" // its page loads scripts from elsewhere
	config.CreateHooks = nil                     // they add $schema to every body
	config.Formats = strictJSON()
	config.OpenAPIPath = "/v1/openapi"
	config.RejectUnknownQueryParameters = true
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"token": {Type: "http", Scheme: "bearer", Description: "From api.json in the collector's data directory"},
	}
	config.Security = []map[string][]string{{"token": {}}}
	aliasQuantities(config.Components.Schemas)
	mux := http.NewServeMux()
	config.Transformers = append(config.Transformers, tagged)
	api := humago.New(mux, config)
	api.UseMiddleware(permit(api))
	s.registerLists(api)
	s.registerDays(api)
	s.registerHostEvents(api)
	s.registerLedger(api)
	s.registerImport(api)
	s.registerAllocations(api)
	s.registerAudit(api)
	s.registerUsers(api)
	s.registerTokens(api)
	s.registerCases(api)
	s.registerReports(api)
	s.registerJoins(api)
	s.registerStorage(api)
	s.registerParties(api)
	s.registerLinks(api)
	s.registerForesight(api)
	s.registerPolicies(api)
	s.registerSettings(api)
	s.registerRevenue(api)
	s.registerPower(api)
	s.registerInventory(api)
	s.registerNotify(api)
	s.registerEvents(api)
	s.registerExports(api)
	describeOnce(api)
	mux.HandleFunc("/v1/", unmatched(mux))
	return s, mux, api
}

// get registers a route that reads.
func get[I, O any](api huma.API, path, id, summary string, handler func(context.Context, *I) (*O, error)) {
	huma.Register(api, huma.Operation{
		OperationID: id, Method: http.MethodGet, Path: path, Summary: summary,
		Errors: []int{http.StatusBadRequest, http.StatusUnauthorized},
	}, handler)
}

// unmatched answers what no route takes: 405 where another method would do,
// else 404.
func unmatched(mux *http.ServeMux) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete} {
			other := r.Clone(r.Context())
			other.Method = method
			if _, pattern := mux.Handler(other); pattern != "/v1/" && pattern != "" {
				w.Header().Set("Allow", method)
				WriteProblem(w, apitypes.NewProblem(http.StatusMethodNotAllowed, "this route takes "+method))
				return
			}
		}
		WriteProblem(w, apitypes.NewProblem(http.StatusNotFound, "no such route; see /v1/openapi.json"))
	}
}
