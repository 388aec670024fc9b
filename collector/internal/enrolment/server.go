package enrolment

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/allowance"
	"github.com/flopwatch/flopwatch/collector/internal/inventory"
	"github.com/flopwatch/flopwatch/collector/internal/strictjson"
	"github.com/flopwatch/flopwatch/pkg/enrol"
)

// Roster binds keys. *roster.Roster is one.
type Roster interface {
	Enrol(ctx context.Context, token enrol.Token, k enrol.Keys, from netip.Addr) (enrol.Welcome, error)
	Rotate(ctx context.Context, in enrol.Rotation, from netip.Addr) (until time.Time, err error)
}

// Options of a Server. All but Log and Now must be set.
type Options struct {
	Listen    string // host:port; port 0 takes a free one
	Authority *Authority
	Roster    Roster
	Broker    string // host:port for enrolled hosts, of several servers with commas between; without a host it is where they enrolled
	Refused   error  // what Roster.Enrol's error wraps for a token that is not valid
	Now       func() time.Time
	Log       *slog.Logger
}

// Server is the agents' listener. Serve or Close must be called.
type Server struct {
	opt      Options
	listener net.Listener
	handler  http.Handler
	nonceKey [32]byte
	limit    limiter
}

// Limits of a request, beside enrol.MaxBodyBytes.
const (
	headerTimeout  = 5 * time.Second
	requestTimeout = 10 * time.Second
	headerBytes    = 8 << 10
	maxConnections = 256
	nonceLife      = time.Minute
	stopTimeout    = 5 * time.Second
)

// New listens.
func New(o Options) (*Server, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	inner, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen for agents: %w", err)
	}
	s := &Server{opt: o, listener: tls.NewListener(newBounded(inner, maxConnections), o.Authority.TLS())}
	s.limit.left = map[netip.Addr]allowance.Left{}
	rand.Read(s.nonceKey[:]) // never fails: the runtime stops the program instead
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+enrol.PathNonce, s.nonce)
	mux.HandleFunc("POST "+enrol.PathEnrol, s.enrol)
	mux.HandleFunc("POST "+enrol.PathRotate, s.rotate)
	s.handler = s.guard(mux)
	return s, nil
}

// Addr is where the server listens.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Close gives the address back when Serve is never called.
func (s *Server) Close() error { return s.listener.Close() }

// Serve answers until ctx ends, and returns when no goroutine is left.
func (s *Server) Serve(ctx context.Context) error {
	server := &http.Server{
		Handler: s.handler, ReadHeaderTimeout: headerTimeout, ReadTimeout: requestTimeout, WriteTimeout: requestTimeout,
		IdleTimeout: requestTimeout, MaxHeaderBytes: headerBytes,
		BaseContext:  func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
		ErrorLog:     slog.NewLogLogger(s.opt.Log.Handler(), slog.LevelDebug),
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){}, // HTTP/1.1 only
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(s.listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve agents: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	err := server.Shutdown(grace)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close()
	}
	if ended := <-served; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, ended)
	}
	if err != nil {
		return fmt.Errorf("stop serving agents: %w", err)
	}
	return nil
}

type addressKey struct{}

// guard bounds what anybody on the network can make the collector do.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		at, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil {
			refuse(w, http.StatusBadRequest, "no address")
			return
		}
		if !s.limit.allows(at.Addr(), s.opt.Now()) {
			w.Header().Set("Retry-After", "60")
			refuse(w, http.StatusTooManyRequests, "too many requests from this address; wait a minute")
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, enrol.MaxBodyBytes)
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), addressKey{}, at.Addr().Unmap())))
	})
}

func from(r *http.Request) netip.Addr {
	a, _ := r.Context().Value(addressKey{}).(netip.Addr)
	return a
}

// Fault is what is answered instead.
type fault struct {
	Error string `json:"error"`
}

func refuse(w http.ResponseWriter, status int, why string) { answer(w, status, fault{why}) }

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the status is sent; a client that left cannot be told more
}

// read decodes a body that holds one value and nothing else.
func read(w http.ResponseWriter, r *http.Request, into any) bool {
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = strictjson.Decode(body, into)
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, "the request cannot be read (is the agent newer than the collector?)")
		return false
	}
	return true
}

// nonce answers something that must be signed within a minute. It holds its own
// time and proof, so that nothing is remembered of who asked. That it can be used
// twice does no harm: a token is burnt, and a key is bound once.
func (s *Server) nonce(w http.ResponseWriter, _ *http.Request) {
	n := make([]byte, 24, 24+sha256.Size)
	binary.BigEndian.PutUint64(n, uint64(s.opt.Now().UnixNano()))
	rand.Read(n[8:]) // never fails: the runtime stops the program instead
	answer(w, http.StatusOK, enrol.Nonce{Nonce: append(n, s.proof(n)...)})
}

func (s *Server) proof(n []byte) []byte {
	h := hmac.New(sha256.New, s.nonceKey[:])
	h.Write(n)
	return h.Sum(nil)
}

func (s *Server) fresh(nonce []byte) bool {
	if len(nonce) != 24+sha256.Size || !hmac.Equal(nonce[24:], s.proof(nonce[:24])) {
		return false
	}
	age := s.opt.Now().Sub(time.Unix(0, int64(binary.BigEndian.Uint64(nonce))))
	return age >= 0 && age < nonceLife
}

func (s *Server) enrol(w http.ResponseWriter, r *http.Request) {
	var in enrol.Request
	if !read(w, r, &in) {
		return
	}
	token, err := enrol.ParseToken(in.Token)
	switch {
	case err != nil:
		refuse(w, http.StatusBadRequest, enrol.ErrToken.Error())
		return
	case !s.fresh(in.Nonce):
		refuse(w, http.StatusConflict, "the nonce is not this collector's, or too old; ask again")
		return
	}
	in.Token = token.Secret()
	if err := in.Verify(); err != nil {
		refuse(w, http.StatusForbidden, err.Error())
		return
	}
	welcome, err := s.opt.Roster.Enrol(r.Context(), token, in.Keys, from(r))
	if err != nil {
		s.refused(w, r, "enrol", token.Host, err)
		return
	}
	welcome.Broker, welcome.Authority = s.opt.Broker, s.opt.Authority.Certificate().Raw
	s.opt.Log.InfoContext(r.Context(), "host enrolled", slog.String("host", welcome.Host), slog.String("from", from(r).String()))
	answer(w, http.StatusOK, welcome)
}

func (s *Server) rotate(w http.ResponseWriter, r *http.Request) {
	var in enrol.Rotation
	if !read(w, r, &in) {
		return
	}
	if !s.fresh(in.Nonce) {
		refuse(w, http.StatusConflict, "the nonce is not this collector's, or too old; ask again")
		return
	}
	if err := in.Verify(); err != nil {
		refuse(w, http.StatusForbidden, err.Error())
		return
	}
	until, err := s.opt.Roster.Rotate(r.Context(), in, from(r))
	if err != nil {
		s.refused(w, r, "rotate", in.Host, err)
		return
	}
	s.opt.Log.InfoContext(r.Context(), "host changed its keys", slog.String("host", in.Host))
	answer(w, http.StatusOK, enrol.Rotated{OldUntil: until.UTC().Format(time.RFC3339)})
}

// refused answers an error of the roster. What a person on the host can do
// something about is said; the rest is in the log.
func (s *Server) refused(w http.ResponseWriter, r *http.Request, what, host string, err error) {
	s.opt.Log.WarnContext(r.Context(), "agent refused", slog.String("what", what), slog.String("host", fmt.Sprintf("%.26s", host)), slog.String("from", from(r).String()), slog.Any("error", err))
	switch {
	case s.opt.Refused != nil && errors.Is(err, s.opt.Refused):
		refuse(w, http.StatusForbidden, s.opt.Refused.Error())
	case errors.Is(err, inventory.ErrRefused):
		refuse(w, http.StatusForbidden, "the inventory does not allow it; the collector's log says why")
	default:
		refuse(w, http.StatusInternalServerError, "it could not be done; the collector's log says why")
	}
}
