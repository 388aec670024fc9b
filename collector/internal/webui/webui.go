// Package webui renders the desk: pages for people, made on the server, that
// work without script.
//
// Each page is one view struct (view.go) and one template. Style sheet and
// script are embedded and come from this origin only. The script listens to
// /v1/events and swaps <main> when the ledger has grown; without it the page
// reloads itself. Who may look is decided before a request comes here.
package webui

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
)

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed assets
var assetFiles embed.FS

// Deps are what the pages need. Reader must be set.
type Deps struct {
	Reader        desk.Reader
	Caseworker    Caseworker    // nil: nobody works on cases here
	Joiner        Joiner        // nil: joins are not shown
	Foreseer      Foreseer      // nil: forecasts are not shown
	Linker        Linker        // nil: nobody decides links here
	Reporter      Reporter      // nil: nobody writes reports here
	Parties       PartyKeeper   // nil: nobody acts on resellers and exemptions here
	Policymaker   Policymaker   // nil: nobody acts on policies here
	UserAdmin     UserAdmin     // nil: this desk keeps no accounts
	Registrar     Registrar     // nil: this desk takes no hosts from elsewhere
	Messenger     Messenger     // nil: this desk tells nobody outside it
	AccountKeeper AccountKeeper // nil: people see nothing of their own accounts
	Version       string
	Demonstration bool         // the banner is shown also when the reader does not say so
	Log           *slog.Logger // nil discards
}

type site struct {
	Deps
	pages         map[string]*template.Template
	frame         *template.Template // what is around the content of every page
	all           []page
	customerTexts folded[desk.Customer]
	tenantTexts   folded[desk.Tenant]
	hostTexts     folded[desk.Host]

	asset string // what tells one build's assets from another's
}

// New returns the handler of every page and asset. It starts no goroutine.
func New(deps Deps) http.Handler {
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	s := &site{Deps: deps, pages: map[string]*template.Template{}, asset: assetDigest()}
	s.all = s.allPages()
	s.frame = template.Must(template.New("layout.html").Funcs(functions).ParseFS(templateFiles, "templates/layout.html", "templates/parts.html"))
	mux := http.NewServeMux()
	for _, name := range []string{"problem", "done", "faults", "invited"} {
		s.pages[name] = parse(name)
	}
	for _, p := range s.all {
		s.pages[p.template] = parse(p.template)
		mux.HandleFunc("GET "+p.path, s.show(p))
	}
	mux.HandleFunc("POST /cases/{id}/{act}", s.actOnCase)
	mux.HandleFunc("POST /reports", s.openReport)
	mux.HandleFunc("POST /reports/{id}/{act}", s.actOnReport)
	mux.HandleFunc("POST /findings/{id}/work", s.actOnFinding)
	mux.HandleFunc("POST /joins/{id}/decisions", s.decideJoin)
	mux.HandleFunc("POST /runs/{id}/joins", s.joinRuns)
	mux.HandleFunc("POST /links/{id}/{act}", s.actOnLink)
	mux.HandleFunc("POST /queue", s.actOnQueue)
	mux.HandleFunc("POST /search", s.search)
	mux.HandleFunc("POST /resellers/{id}/events", s.actOnReseller)
	mux.HandleFunc("POST /exemptions", s.proposeExemption)
	mux.HandleFunc("POST /exemptions/{id}/{act}", s.actOnExemption)
	mux.HandleFunc("POST /policies", s.draftPolicy)
	mux.HandleFunc("POST /policies/{id}/{act}", s.actOnPolicy)
	mux.HandleFunc("POST /admin/users", s.addUser)
	mux.HandleFunc("POST /admin/users/{id}/changes", s.changeUser)
	mux.HandleFunc("POST /admin/grants/{id}/{act}", s.actOnGrant)
	mux.HandleFunc("POST /admin/hosts", s.invite)
	mux.HandleFunc("POST /admin/hosts/{id}/decisions", s.decideHost)
	mux.HandleFunc("POST /account/tokens", s.makeToken)
	mux.HandleFunc("POST /account/tokens/{id}/revoke", s.revokeToken)
	mux.HandleFunc("POST /account/recovery", s.renewRecovery)
	mux.HandleFunc("POST /account/sessions", s.endSessions)
	mux.HandleFunc("GET /assets/{file}", s.serveAsset)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.problem(w, r, http.StatusNotFound, noPage)
	})
	return mux
}

func parse(name string) *template.Template {
	return template.Must(template.New("layout.html").Funcs(functions).
		ParseFS(templateFiles, "templates/layout.html", "templates/parts.html", "templates/"+name+".html"))
}

const noPage = "There is no such page, or your roles do not allow you to see it."

// show reads a view and renders it whole before the first byte is sent, so that
// a fault is a page with a status and not half a table. Who may not see the page
// is answered as if there were none.
func (s *site) show(p page) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !permission.Of(r.Context()).May(p.need) {
			s.problem(w, r, http.StatusNotFound, noPage)
			return
		}
		c, err := s.contentOf(r, p)
		if missing, ok := err.(notFound); ok {
			s.problem(w, r, http.StatusNotFound, missing.Error())
			return
		}
		if err != nil && errors.Is(r.Context().Err(), context.DeadlineExceeded) {
			s.Log.LogAttrs(r.Context(), slog.LevelWarn, "desk: page took too long", slog.String("page", p.template))
			s.problem(w, r, http.StatusServiceUnavailable, "This took too long to read. Ask for less at once: a shorter time, or one customer.")
			return
		}
		if err != nil {
			if r.Context().Err() == nil {
				s.Log.LogAttrs(r.Context(), slog.LevelError, "desk: page failed", slog.String("page", p.template), slog.String("error", err.Error()))
			}
			s.problem(w, r, http.StatusInternalServerError, "The ledger could not be read. The collector's log says why.")
			return
		}
		s.send(w, r, http.StatusOK, layout{Title: p.title, Status: c.status, Again: c.again}, c)
	}
}

func (s *site) problem(w http.ResponseWriter, r *http.Request, code int, why string) {
	s.render(w, r, code, "problem", layout{Title: titleOf(code), View: problemView{why, backOf(r)}})
}

// problemView is what went wrong, and the page that a form was on.
type problemView struct{ Why, Back string }

// backOf is the page of the form that a request sent, "" for none.
func backOf(r *http.Request) string {
	if r.Method != http.MethodPost {
		return ""
	}
	at := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch at[0] {
	case "cases", "reports", "findings", "runs", "policies":
		if len(at) > 1 {
			return "/" + at[0] + "/" + at[1]
		}
	case "joins":
		return "/runs"
	case "queue", "links", "resellers", "exemptions", "admin", "account", "search":
	default:
		return ""
	}
	return "/" + at[0]
}

// titleOf names what is wrong, for people.
func titleOf(code int) string {
	switch code {
	case http.StatusNotFound:
		return "Not found"
	case http.StatusBadRequest:
		return "Not understood"
	case http.StatusConflict, http.StatusPreconditionFailed:
		return "Changed meanwhile"
	case http.StatusUnprocessableEntity:
		return "Not done"
	case http.StatusForbidden:
		return "Not allowed"
	case http.StatusServiceUnavailable:
		return "Took too long"
	case http.StatusInternalServerError:
		return "Something broke"
	}
	return http.StatusText(code)
}

// layout is what every page has.
type layout struct {
	Title         string
	Here          string // path of the page's entry in the navigation
	Status        desk.Status
	Demonstration bool
	Version       string
	Asset         string
	Live          bool // the page renews itself
	Navigation    []section
	Who           string
	Search        bool // the reader may look for something
	Again         int  // seconds after which the page is asked for again, 0 for not
	View          any
	Content       template.HTML // of the page, made before what is around it

	still bool // it is of one moment, though its address is that of a page
}

// again is a view that follows something that goes on.
type again interface{ again() int }

// fill makes the content of a page.
func (s *site) fill(name string, l layout) (content, error) {
	c := content{status: l.Status, still: l.still}
	if v, ok := l.View.(again); ok {
		c.again = v.again()
	}
	var body bytes.Buffer
	if err := s.pages[name].ExecuteTemplate(&body, "content", l); err != nil {
		return content{}, fmt.Errorf("make page %s: %w", name, err)
	}
	c.body = seen(body.Bytes())
	return c, nil
}

func (s *site) render(w http.ResponseWriter, r *http.Request, code int, name string, l layout) {
	c, err := s.fill(name, l)
	if err != nil {
		s.unmade(w, r, err)
		return
	}
	s.send(w, r, code, l, c)
}

// send puts what all pages have around a content.
func (s *site) send(w http.ResponseWriter, r *http.Request, code int, l layout, c content) {
	l.Demonstration = s.Demonstration || l.Status.Demonstration
	who := permission.Of(r.Context())
	l.Navigation, l.Who = s.navigation(who), who.ID
	// A page that was asked for with more than its path is of one moment.
	l.Asset, l.Live, l.Here = s.asset, code == http.StatusOK && r.URL.RawQuery == "" && !c.still, r.URL.Path
	l.Search, l.Again = who.May(permission.ReadAggregates), c.again
	if l.Version = s.Version; l.Version == "" {
		l.Version = l.Status.Version
	}
	l.Content = template.HTML(c.body) //nolint:gosec // the template of the content made it
	var body bytes.Buffer
	body.Grow(len(c.body) + layoutBytes)
	if err := s.frame.Execute(&body, l); err != nil {
		s.unmade(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(code)
	// The status is sent; a client that left cannot be told more.
	_, _ = w.Write(body.Bytes())
}

// layoutBytes is about what all pages have.
const layoutBytes = 8 << 10

func (s *site) unmade(w http.ResponseWriter, r *http.Request, err error) {
	s.Log.LogAttrs(r.Context(), slog.LevelError, "desk: template failed", slog.String("error", err.Error()))
	http.Error(w, "the page could not be made; the collector's log says why", http.StatusInternalServerError)
}

// seen is bytes.Map(visible), by stretches of which nearly all of a page is made.
func seen(page []byte) []byte {
	out := make([]byte, 0, len(page))
	for from := 0; from < len(page); {
		at := from
		for at < len(page) && (page[at] >= ' ' && page[at] < 0x7f || page[at] == '\n' || page[at] == '\t') {
			at++
		}
		out = append(out, page[from:at]...)
		if at == len(page) {
			break
		}
		r, size := utf8.DecodeRune(page[at:])
		out = utf8.AppendRune(out, visible(r))
		from = at + size
	}
	return out
}

// visible shows a replacement character for what could reorder or hide text: a
// name from outside must not make a row read otherwise than it is.
func visible(r rune) rune {
	switch {
	case r >= ' ' && r < 0x7f || r == '\n' || r == '\t':
		return r // nearly all of a page
	case unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Bidi_Control, r):
		return unicode.ReplacementChar
	}
	return r
}

func (s *site) serveAsset(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("file")
	data, err := fs.ReadFile(assetFiles, "assets/"+name)
	if err != nil {
		http.Error(w, "no such asset", http.StatusNotFound)
		return
	}
	kinds := map[string]string{"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
	w.Header().Set("Content-Type", kinds[name[strings.LastIndexByte(name, '.')+1:]])
	if r.URL.RawQuery == "v="+s.asset {
		w.Header().Set("Cache-Control", "private, max-age=31536000, immutable")
	}
	_, _ = w.Write(data) // a client that left cannot be told more
}

func assetDigest() string {
	h := sha256.New()
	entries, err := fs.ReadDir(assetFiles, "assets")
	if err != nil {
		panic(err) // the folder is part of the program
	}
	for _, e := range entries {
		data, err := fs.ReadFile(assetFiles, "assets/"+e.Name())
		if err != nil {
			panic(err)
		}
		h.Write(data)
	}
	return hex.EncodeToString(h.Sum(nil)[:6])
}
