// Package httpd serves API and desk on one loopback address.
//
// New listens, so that the address is known and a second collector fails at
// start; Serve answers until its context ends and joins everything it started.
// The file api.json in the data directory tells flopwatchctl where the server is
// and holds the token.
package httpd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/access"
	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/httpapi"
	"github.com/flopwatch/flopwatch/collector/internal/webui"
)

// Options say what to serve and where. Reader, Listen and DataDir must be set.
type Options struct {
	QueryTime     time.Duration // how long what only reads may work for one answer, 30 s if 0
	Reader        desk.Reader
	Registrar     httpapi.Registrar   // nil: hosts cannot be invited
	Importer      httpapi.Importer    // nil: customers cannot be imported
	Allocator     httpapi.Allocator   // nil: allocations cannot be recorded
	Metering      httpapi.Metering    // nil: readings of meters cannot be imported
	Users         access.Users        // people with accounts; nil: nobody has one
	Factors       access.Factors      // second factors; nil: nobody is asked for one
	FactorKey     []byte              // seals their secrets, of access.FactorKeySize bytes
	Tokens        access.Tokens       // API tokens; nil: none are known
	Sessions      access.Sessions     // of people, for all collectors; nil: in memory
	TokenKeeper   httpapi.TokenKeeper // nil: none are made
	AccountKeeper webui.AccountKeeper // what people have of their own; nil: their page says nothing
	Provider      access.Provider     // identity provider; nil: people sign in with accounts alone
	Outsiders     access.Outsiders    // accounts of whom it knows
	UserAdmin     httpapi.UserAdmin   // nil: accounts cannot be made
	AuditLog      httpapi.AuditLog    // nil: the audit log is not handed on
	ExportLog     httpapi.ExportLog   // nil: nothing is exported
	Caseworker    httpapi.Caseworker  // nil: nobody works on cases
	Reporter      httpapi.Reporter    // nil: nobody writes reports
	Joiner        httpapi.Joiner      // nil: joins are not shown
	Linker        httpapi.Linker      // nil: nobody decides links
	Foreseer      httpapi.Foreseer    // nil: what lies ahead is not shown
	Storekeeper   httpapi.Storekeeper // nil: backups are not shown
	Policymaker   httpapi.Policymaker // nil: policies are not acted on
	Revenues      httpapi.Revenues    // nil: revenue cannot be imported
	Parties       httpapi.PartyKeeper // nil: nobody keeps who customers are
	Messenger     httpapi.Messenger   // nil: nobody is told outside the desk
	Calendar      http.Handler        // of deadlines, by secret links; nil: there is none
	Webhooks      http.Handler        // of vendors, who sign what they send; nil: none are taken
	Once          httpapi.Once        // requests that are done once; nil: their keys are not looked at
	Listen        string              // loopback host:port; port 0 takes a free one
	Public        Public              // where other machines reach it; nowhere if its Listen is empty
	DataDir       string              // exists; api.json is written there
	Version       string
	Demonstration bool             // pages say that organisations and runs are invented
	Now           func() time.Time // of sessions; the real clock if nil
	Log           *slog.Logger     // nil discards
}

// Server is API and desk, listening. Serve or Close must be called.
type Server struct {
	handler  http.Handler
	guard    *access.Guard
	listener net.Listener
	link     string
	public   *public       // nil without one
	stopping chan struct{} // closed to end event streams
	log      *slog.Logger
}

// Limits of every request. Imports set their own read deadline.
const (
	headerTimeout = 5 * time.Second
	readTimeout   = 10 * time.Second
	writeTimeout  = 60 * time.Second
	idleTimeout   = time.Minute
	headerBytes   = 16 << 10
	bodyBytes     = apitypes.MaxImportBytes + 1
	stopTimeout   = 5 * time.Second
	queryTimeout  = 30 * time.Second
)

// New listens on a loopback address and writes api.json. An address that other
// machines could reach is an error that wraps access.ErrNotLoopback.
func New(o Options) (*Server, error) {
	if err := access.CheckLoopback(o.Listen); err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.QueryTime <= 0 {
		o.QueryTime = queryTimeout
	}
	listener, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen for API and desk: %w", err)
	}
	credentials := access.Options{Users: o.Users, Factors: o.Factors, FactorKey: o.FactorKey, Tokens: o.Tokens, Sessions: o.Sessions, Provider: o.Provider, Outsiders: o.Outsiders, Now: o.Now, Log: o.Log}
	guard, err := access.New(listener.Addr(), credentials)
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	stopping := make(chan struct{})
	pages := webui.New(webui.Deps{Reader: o.Reader, Caseworker: given[webui.Caseworker](o.Caseworker), Joiner: given[webui.Joiner](o.Joiner), Foreseer: given[webui.Foreseer](o.Foreseer), Linker: given[webui.Linker](o.Linker), Reporter: given[webui.Reporter](o.Reporter),
		Parties: given[webui.PartyKeeper](o.Parties), Policymaker: given[webui.Policymaker](o.Policymaker), UserAdmin: given[webui.UserAdmin](o.UserAdmin), Registrar: given[webui.Registrar](o.Registrar), Messenger: given[webui.Messenger](o.Messenger), AccountKeeper: o.AccountKeeper, Version: o.Version, Demonstration: o.Demonstration, Log: o.Log})
	api := httpapi.New(httpapi.Deps{
		Registrar:     o.Registrar,
		Reader:        o.Reader,
		Importer:      o.Importer,
		Allocator:     o.Allocator,
		Metering:      o.Metering,
		UserAdmin:     o.UserAdmin,
		TokenKeeper:   o.TokenKeeper,
		AuditLog:      o.AuditLog,
		Caseworker:    o.Caseworker,
		Joiner:        o.Joiner,
		Reporter:      o.Reporter,
		Parties:       o.Parties,
		Linker:        o.Linker,
		Storekeeper:   o.Storekeeper,
		Foreseer:      o.Foreseer,
		Policymaker:   o.Policymaker,
		Revenues:      o.Revenues,
		NewLink:       guard.NewLink,
		Stopping:      stopping,
		Version:       o.Version,
		Demonstration: o.Demonstration,
		Log:           o.Log,
		Messenger:     o.Messenger,
		Once:          o.Once,
		ExportLog:     o.ExportLog,
		Now:           o.Now,
	})
	mux := http.NewServeMux()
	mux.Handle("/v1/", api)
	if o.Webhooks != nil {
		mux.Handle(apitypes.WebhookPath, o.Webhooks)
	}
	if o.Calendar != nil {
		mux.Handle(apitypes.CalendarPath, o.Calendar)
	}
	mux.Handle("/", pages)
	endpoint := apitypes.Endpoint{URL: guard.URL(), Token: guard.Token()}
	if err := endpoint.Write(filepath.Join(o.DataDir, apitypes.EndpointFile)); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	link, _ := guard.NewLink()
	s := &Server{handler: guard.Wrap(pack(limit(mux, o.QueryTime))), guard: guard, listener: listener, link: link, stopping: stopping, log: o.Log}
	if o.Public.Listen != "" {
		if s.public, err = listenPublic(o.Public, credentials, pack(limit(mux, o.QueryTime))); err != nil {
			return nil, errors.Join(err, listener.Close())
		}
	}
	return s, nil
}

// given keeps what is not there from being something that is nil: an interface of
// the API that is nil is none of the desk either.
func given[To, From any](from From) (to To) {
	to, _ = any(from).(To)
	return to
}

// limit bounds every body, also of routes that read none, and how long a question
// may be worked on; streams of events go on, and exports bound each of their pages. What changes something is not broken
// off half-way.
func limit(next http.Handler, query time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, bodyBytes)
		reads := r.Method == http.MethodGet || r.Method == http.MethodHead
		if reads && !strings.HasSuffix(r.URL.Path, "/events") && !strings.HasPrefix(r.URL.Path, "/v1/exports/") {
			ctx, cancel := context.WithTimeout(r.Context(), query)
			defer cancel()
			r = r.WithContext(ctx)
		}
		next.ServeHTTP(w, r)
	})
}

// Handler is everything that is served, behind the guard.
func (s *Server) Handler() http.Handler { return s.handler }

// URL is where the server listens, without a path.
func (s *Server) URL() string { return s.guard.URL() }

// EndSessions ends the sessions of a person but the named one, and returns how many
// that were.
func (s *Server) EndSessions(ctx context.Context, user, but string) (int, error) {
	n, err := s.guard.EndSessions(ctx, user, but)
	if s.public != nil {
		more, failed := s.public.guard.EndSessions(ctx, user, but)
		n, err = n+more, errors.Join(err, failed)
	}
	return n, err
}

// RenewRecovery gives a person new recovery codes.
func (s *Server) RenewRecovery(ctx context.Context, account string) ([]string, error) {
	return s.guard.RenewRecovery(ctx, account)
}

// Sessions returns the sessions of a person.
func (s *Server) Sessions(ctx context.Context, user string) ([]access.Session, error) {
	all, err := s.guard.Sessions(ctx, user)
	if s.public != nil {
		more, failed := s.public.guard.Sessions(ctx, user)
		all, err = append(all, more...), errors.Join(err, failed)
	}
	return all, err
}

// LoginLink is the one-time link to print at start.
func (s *Server) LoginLink() string { return s.link }

// Close gives the address back when Serve is never called.
func (s *Server) Close() error {
	if s.public != nil {
		return errors.Join(s.listener.Close(), s.public.listener.Close())
	}
	return s.listener.Close()
}

// Serve answers until ctx ends, then ends event streams, lets other requests
// finish for five seconds and returns when no goroutine is left. It returns nil
// after an orderly end. It can be called once.
func (s *Server) Serve(ctx context.Context) error {
	all := []serving{{s.newServer(ctx, s.handler), s.listener}}
	if s.public != nil {
		all = append(all, serving{s.newServer(ctx, s.public.handler), s.public.listener})
	}
	served := make(chan error, len(all))
	for _, v := range all {
		go func() { served <- v.server.Serve(v.listener) }()
	}
	var err error
	ended := 0
	select {
	case failed := <-served:
		ended, err = 1, fmt.Errorf("serve API and desk: %w", failed)
	case <-ctx.Done():
	}
	close(s.stopping)
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	for _, v := range all {
		stopped := v.server.Shutdown(grace)
		if errors.Is(stopped, context.DeadlineExceeded) {
			stopped = v.server.Close() // a client that does not read its answer cannot hold up the stop
		}
		err = errors.Join(err, stopped)
	}
	for ; ended < len(all); ended++ {
		if last := <-served; !errors.Is(last, http.ErrServerClosed) {
			err = errors.Join(err, last)
		}
	}
	if err != nil {
		return fmt.Errorf("stop API and desk: %w", err)
	}
	return nil
}

type serving struct {
	server   *http.Server
	listener net.Listener
}

func (s *Server) newServer(ctx context.Context, handler http.Handler) *http.Server {
	return &http.Server{
		Handler: handler, ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: headerBytes,
		// Requests outlive ctx, so that an import under way is not torn.
		BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
		ErrorLog:    slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
}

var _ io.Closer = (*Server)(nil)
