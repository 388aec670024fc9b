package webui

import (
	"context"
	"errors"
	"net/http"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
)

// shared are the pages whose content depends on nothing but the ledger, the address
// and what the reader may do, by template: what was made for one reader is given to
// the next who has the same rights, until something is written. True is a page that
// says also what is the reader's own, and is kept for that reader alone.
var shared = map[string]bool{
	"today": false, "queue": true, "cases": false, "findings": false, "finding": false, "runs": false, "run": false, "customers": false, "customer": false,
	"coverage": false, "hosts": false, "fleet": false,
}

// keptPath is the longest address of which a page is kept.
const keptPath = 300

// keyOf names the content of a page for whom it may be given to, ok false for a page
// that is made anew each time.
func keyOf(p page, r *http.Request) (key string, ok bool) {
	own, ok := shared[p.template]
	if !ok || len(r.URL.Path)+len(r.URL.RawQuery) > keptPath {
		return "", false
	}
	who := permission.Of(r.Context())
	key = "page " + p.template + "\x00" + r.URL.Path + "?" + r.URL.RawQuery + "\x00" + who.Rights()
	if own {
		key += "\x00" + who.ID
	}
	return key, true
}

// content is what stands between the parts that all pages have.
type content struct {
	status desk.Status
	body   []byte
	again  int
	still  bool
}

// contentOf reads a view and makes the content of its page, or gives what was made
// of the same state of the ledger for somebody with the same rights.
func (s *site) contentOf(r *http.Request, p page) (content, error) {
	fresh := func(ctx context.Context) (content, error) {
		status, err := s.Reader.Status(ctx)
		if err != nil {
			return content{}, err
		}
		view, err := p.read(ctx, r)
		if err != nil {
			return content{}, err
		}
		return s.fill(p.template, layout{Title: p.title, Status: status, View: view})
	}
	keeper, keeps := s.Reader.(desk.Keeper)
	key, may := keyOf(p, r)
	if !keeps || !may {
		return fresh(r.Context())
	}
	kept, err := keeper.Keep(r.Context(), key, func() (any, int, error) {
		c, err := fresh(r.Context())
		return c, len(c.body), err
	})
	if err != nil {
		return content{}, err
	}
	c, ok := kept.(content)
	if !ok {
		return content{}, errors.New("what was kept of a page is none")
	}
	return c, nil
}
