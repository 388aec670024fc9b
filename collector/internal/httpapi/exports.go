package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
	"github.com/flopwatch/flopwatch/collector/internal/sheet"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// ExportLog notes in the audit log that somebody exports a list. What is not noted
// is not exported.
type ExportLog interface {
	// NoteExport notes an export of a kind; how says the form and what was asked for.
	NoteExport(ctx context.Context, kind, how string) error
}

// Limits of exports. A person has so many an hour, with all sessions and tokens;
// each collector of several counts its own.
const (
	exportsPerHour = 10
	maxExports     = 8
	maxExportsEach = 2
	exportPage     = 500              // items that are read at a time
	exportPageTime = 30 * time.Second // in which they are read
	exportTime     = time.Hour        // in which a reader, however slow, has taken all
)

// ExportQuery is exported because the router fills embedded structs only then. It
// holds the parameters of every export.
type ExportQuery struct {
	Format string `query:"format" enum:"csv,ndjson" doc:"Form of the export, before what Accept says"`
	Accept string `header:"Accept" doc:"text/csv or application/x-ndjson, which is also what comes without it"`
}

// format is the form that was asked for.
func (q ExportQuery) format() (string, error) {
	if q.Format != "" || q.Accept == "" {
		return orNDJSON(q.Format), nil
	}
	for part := range strings.SplitSeq(q.Accept, ",") {
		media, weight, _ := strings.Cut(part, ";")
		if strings.Contains(strings.ReplaceAll(weight, " ", "")+";", "q=0;") {
			continue
		}
		switch strings.ToLower(strings.TrimSpace(media)) {
		case apitypes.ExportCSVMedia, "text/*":
			return apitypes.ExportCSV, nil
		case apitypes.ExportNDJSONMedia, "application/*", "*/*":
			return apitypes.ExportNDJSON, nil
		}
	}
	return "", apitypes.NewProblem(http.StatusNotAcceptable, "an export is text/csv or application/x-ndjson")
}

func orNDJSON(format string) string {
	if format == "" {
		return apitypes.ExportNDJSON
	}
	return format
}

type findingsExport struct {
	ExportQuery
	State string `query:"state" enum:"open,triaged,attached,dismissed,suppressed" doc:"Only findings on which the work stands so"`
}

type runsExport struct {
	ExportQuery
	Tenant string `query:"tenant" maxLength:"200" doc:"Only runs of this tenant"`
}

// piece are items that were read, and after which one the reading goes on, "" at the end.
type piece[T any] struct {
	items []T
	next  string
}

// export is what the exports of one kind need.
type export[T any] struct {
	kind    string
	asked   string // the filters, for the audit log
	columns []sheet.Column[T]
	id      func(T) string
	// moves says that items change their places while they are read. Then each is
	// written once, and passes over the list go on until one finds no other.
	moves bool
	read  func(ctx context.Context, after string) (piece[T], error)
}

func (s *server) registerExports(api huma.API) {
	registerExport(s, api, "findings", "Findings with the work on them, newest first, as one stream", func(q *findingsExport) (ExportQuery, export[apitypes.Finding]) {
		return q.ExportQuery, export[apitypes.Finding]{asked: filter("state", q.State), columns: sheet.Findings(), id: func(f apitypes.Finding) string { return f.ID },
			read: func(ctx context.Context, after string) (piece[apitypes.Finding], error) {
				all, work, err := s.findingsAfter(ctx, q.State, after, exportPage)
				return pieceOf(all, func(f desk.Finding) apitypes.Finding { return apitypes.FromFinding(f, work[f.ID]) }, func(f desk.Finding) string { return f.ID }), err
			}}
	})
	registerExport(s, api, "runs", "Training runs as one stream", func(q *runsExport) (ExportQuery, export[apitypes.Run]) {
		return q.ExportQuery, export[apitypes.Run]{asked: filter("tenant", q.Tenant), columns: sheet.Runs(), moves: true, id: func(r apitypes.Run) string { return r.ID },
			read: func(ctx context.Context, after string) (piece[apitypes.Run], error) {
				all, err := s.Reader.Runs(ctx, desk.RunQuery{Tenant: measure.TenantID(q.Tenant), After: after, Limit: exportPage})
				if err != nil {
					err = s.listFailed(ctx, "runs", err)
				}
				return pieceOf(all, apitypes.FromRun, func(r desk.Run) string { return r.ID }), err
			}}
	})
	registerExport(s, api, "customers", "Customers with their tenants, as one stream", func(q *ExportQuery) (ExportQuery, export[apitypes.Customer]) {
		return *q, export[apitypes.Customer]{columns: sheet.Customers(), read: func(ctx context.Context, _ string) (piece[apitypes.Customer], error) {
			all, err := s.Reader.Customers(ctx)
			if err != nil {
				err = s.failed(ctx, "customers", err)
			}
			return piece[apitypes.Customer]{items: apitypes.Each(all, apitypes.FromCustomer)}, err
		}}
	})
	registerExport(s, api, "tenants", "Tenants with their totals, most operations first, as one stream", func(q *ExportQuery) (ExportQuery, export[apitypes.Tenant]) {
		return *q, export[apitypes.Tenant]{columns: sheet.Tenants(), read: func(ctx context.Context, _ string) (piece[apitypes.Tenant], error) {
			all, err := s.Reader.Tenants(ctx)
			if err != nil {
				err = s.failed(ctx, "tenants", err)
			}
			return piece[apitypes.Tenant]{items: apitypes.Each(all, apitypes.FromTenant)}, err
		}}
	})
	registerExport(s, api, "audit", "The audit log, last made first, as one stream", func(q *ExportQuery) (ExportQuery, export[apitypes.AuditEntry]) {
		return *q, export[apitypes.AuditEntry]{columns: sheet.AuditEntries(), read: func(ctx context.Context, after string) (piece[apitypes.AuditEntry], error) {
			var before desk.AuditID
			if after != "" {
				var err error
				if before, err = desk.ParseAuditID(after); err != nil {
					return piece[apitypes.AuditEntry]{}, s.failed(ctx, "audit log", err)
				}
			}
			all, err := s.Reader.AuditEntries(ctx, before, exportPage)
			if err != nil {
				err = s.failed(ctx, "audit log", err)
			}
			return pieceOf(all, apitypes.FromAuditEntry, func(e desk.AuditEntry) string { return e.ID.String() }), err
		}}
	})
}

// pieceOf is a piece of which as many items were asked for as exportPage says.
func pieceOf[D, T any](all []D, convert func(D) T, id func(D) string) piece[T] {
	p := piece[T]{items: apitypes.Each(all, convert)}
	if len(all) == exportPage {
		p.next = id(all[len(all)-1])
	}
	return p
}

// filter says for the audit log what was asked for.
func filter(name, value string) string {
	if value == "" {
		return ""
	}
	return ", " + name + " " + strconv.Quote(value)
}

func registerExport[Q, T any](s *server, api huma.API, kind, summary string, open func(*Q) (ExportQuery, export[T])) {
	text := &huma.Schema{Type: "string"}
	op := huma.Operation{
		OperationID: "export-" + kind, Method: http.MethodGet, Path: "/v1/exports/" + kind, Summary: summary,
		Description: "The last line says how many rows were written; an export without it was cut and is not whole. In CSV that is a row whose first cell is #end and whose second is the count, in NDJSON an object with the only key end.",
		Errors:      []int{http.StatusUnauthorized, http.StatusNotAcceptable, http.StatusTooManyRequests, http.StatusServiceUnavailable},
		Responses: map[string]*huma.Response{"200": {
			Description: "A stream of rows",
			Content:     map[string]*huma.MediaType{apitypes.ExportCSVMedia: {Schema: text}, apitypes.ExportNDJSONMedia: {Schema: text}},
		}},
	}
	huma.Register(api, op, func(ctx context.Context, q *Q) (*huma.StreamResponse, error) {
		asked, e := open(q)
		e.kind = kind
		format, err := asked.format()
		if err != nil {
			return nil, err
		}
		if s.ExportLog == nil {
			return nil, apitypes.NewProblem(http.StatusNotImplemented, "this collector keeps no audit log of exports, and makes none without")
		}
		leave, err := s.exports.take(ctx)
		if err != nil {
			return nil, err
		}
		first, err := begin(ctx, s, e, format)
		if err != nil {
			leave()
			return nil, err
		}
		return &huma.StreamResponse{Body: func(hc huma.Context) {
			defer leave()
			r, w := humago.Unwrap(hc)
			ctx, cancel := context.WithTimeout(ctx, exportTime)
			defer cancel()
			out := newExportWriter(w, format, kind, sheet.Names(e.columns))
			if r.Method == http.MethodHead {
				return // the header is all that was asked for
			}
			if err := e.write(ctx, s, out, first); err != nil {
				// Nothing else tells a client that reads a stream that it is not whole
				// where it does not look at the last line.
				panic(http.ErrAbortHandler)
			}
		}}, nil
	})
}

// begin takes an export from the budget of who asks, notes it and reads its first
// piece: what fails until then is answered as a problem.
func begin[T any](ctx context.Context, s *server, e export[T], format string) (piece[T], error) {
	if wait, ok := s.budget.take(permission.Of(ctx).ID, s.Now()); !ok {
		seconds := strconv.Itoa(int(wait/time.Second) + 1)
		return piece[T]{}, huma.ErrorWithHeaders(apitypes.NewProblem(http.StatusTooManyRequests, "you made 10 exports within the hour: wait "+seconds+" s"),
			http.Header{"Retry-After": {seconds}})
	}
	if err := s.ExportLog.NoteExport(ctx, e.kind, format+e.asked); err != nil {
		return piece[T]{}, s.failed(ctx, "audit log", err)
	}
	return e.next(ctx, "")
}

// next reads a piece, in the time that one question has.
func (e export[T]) next(ctx context.Context, after string) (piece[T], error) {
	ctx, cancel := context.WithTimeout(ctx, exportPageTime)
	defer cancel()
	return e.read(ctx, after)
}

// mostPasses is how often a list is read whose items change their places.
const mostPasses = 8

var errMoves = errors.New("the list did not keep still")

// write writes everything from the first piece on, and the last line. An error is
// logged where somebody can do something about it.
func (e export[T]) write(ctx context.Context, s *server, out *exportWriter, p piece[T]) error {
	written := map[string]bool{} // of what moves alone
	for pass := 1; ; pass++ {
		found := 0
		for more := true; more; {
			for _, item := range p.items {
				if e.moves {
					if written[e.id(item)] {
						continue
					}
					written[e.id(item)] = true
				}
				found++
				if err := writeRow(out, e.columns, item); err != nil {
					return err
				}
			}
			if err := out.flush(); err != nil {
				return err
			}
			select {
			case <-s.Stopping:
				return http.ErrServerClosed
			default:
			}
			if more = p.next != ""; more {
				var err error
				if p, err = e.next(ctx, p.next); isGone(err) && e.moves {
					found++ // what stood behind it is looked for in another pass
					break
				} else if err != nil {
					return err
				}
			}
		}
		// What has one piece was read at one moment.
		if !e.moves || pass == 1 && found < exportPage || pass > 1 && found == 0 {
			return out.end()
		}
		if pass == mostPasses {
			s.Log.LogAttrs(ctx, slog.LevelWarn, "api: an export did not become whole", slog.String("error", errMoves.Error()))
			return errMoves
		}
		var err error
		if p, err = e.next(ctx, ""); err != nil {
			return err
		}
	}
}

func isGone(err error) bool {
	var p *apitypes.Problem
	return errors.As(err, &p) && p.Status == http.StatusGone
}
