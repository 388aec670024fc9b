package webui

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
)

// hit is something that was found, with where it is shown. Path is "" for what has
// no page that the reader may see.
type hit struct{ Kind, ID, Path, Text string }

type searchView struct {
	Asked string
	Hits  []hit
	More  bool
	Short bool // too short to look for
}

// Most hits of each kind, and the shortest text that is looked for.
const (
	searchRows  = 10
	searchLeast = 2
	searchMost  = 100
)

// askSearch is the page before anything was asked. What people look for stands in
// no address: it may be a name.
func (s *site) askSearch(context.Context, *http.Request) (any, error) { return searchView{}, nil }

// search answers what was asked: with the page of an exact id, or with what begins
// so. Nobody is told of what they may not see.
func (s *site) search(w http.ResponseWriter, r *http.Request) {
	form, ok := s.formOf(w, r, permission.ReadAggregates, permission.ReadAggregates, true)
	if !ok {
		return
	}
	asked := strings.TrimSpace(form("q"))
	if !utf8.ValidString(asked) || len(asked) > searchMost {
		s.problem(w, r, http.StatusUnprocessableEntity, "That is too long to look for.")
		return
	}
	v := searchView{Asked: asked, Short: utf8.RuneCountInString(asked) < searchLeast}
	status, err := s.Reader.Status(r.Context())
	if err == nil && !v.Short {
		v.Hits, v.More, err = s.find(r.Context(), asked)
	}
	if err != nil {
		s.acted(w, r, "", err)
		return
	}
	for _, h := range v.Hits {
		if h.ID == asked && h.Path != "" {
			http.Redirect(w, r, h.Path, http.StatusSeeOther)
			return
		}
	}
	s.render(w, r, http.StatusOK, "search", layout{Title: "Search", Status: status, View: v, still: true})
}

// find looks in everything that the reader may see, an exact id first.
func (s *site) find(ctx context.Context, asked string) (hits []hit, more bool, err error) {
	who := permission.Of(ctx)
	low := strings.ToLower(asked)
	add := func(all []hit) {
		all, cut := cut(all, searchRows)
		hits, more = append(hits, all...), more || cut
	}
	for _, look := range []struct {
		need permission.Action
		find func(context.Context, string, permission.Principal) ([]hit, error)
	}{
		{permission.ReadAggregates, s.findCustomers}, {permission.ReadAggregates, s.findTenants}, {permission.ReadAggregates, s.findRuns}, {permission.ReadAggregates, s.findHosts},
		{permission.ReadCases, s.findFindings}, {permission.ReadCases, s.findCases}, {permission.ReadCases, s.findAccounts}, {permission.ReadReports, s.findReports}, {permission.ReadPolicy, s.findPolicies},
	} {
		if !who.May(look.need) {
			continue
		}
		found, err := look.find(ctx, low, who)
		if err != nil {
			return nil, false, err
		}
		add(found)
	}
	slices.SortStableFunc(hits, func(a, b hit) int {
		return cmp.Compare(b2i(b.ID == asked), b2i(a.ID == asked))
	})
	return hits, more, nil
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// pathOf is the page of something; its id may be what somebody else chose.
func pathOf(kind, id string) string { return "/" + kind + "/" + url.PathEscape(id) }

// matches says whether one of the texts begins with what was asked, or holds it as
// the beginning of a word.
func matches(low string, texts ...string) bool {
	return slices.ContainsFunc(texts, func(t string) bool {
		t = strings.ToLower(t)
		return strings.HasPrefix(t, low) || strings.Contains(t, " "+low)
	})
}

// few returns what of a list matches, one more than is shown.
func few[T any](all []T, low string, texts func(T) []string, as func(T) hit) (out []hit) {
	for _, t := range all {
		if matches(low, texts(t)...) {
			if out = append(out, as(t)); len(out) > searchRows {
				break
			}
		}
	}
	return out
}

// folded is a long list as it is searched: all texts of its items in small letters,
// one a line, and behind which byte those of which item begin. It is made once of a
// list that the reader gives again.
type folded[T any] struct {
	mu     sync.Mutex
	of     *T // first item of the list
	length int
	text   string
	starts []int
}

// few is few of a list that was folded.
func (f *folded[T]) few(all []T, low string, texts func(T) []string, as func(T) hit) (out []hit) {
	if len(all) == 0 {
		return nil
	}
	text, starts := f.fold(all, texts)
	last := -1
	for from := 0; len(out) <= searchRows; {
		at := first(text[from:], "\n"+low, " "+low)
		if at < 0 {
			break
		}
		from += at + 1
		item, found := slices.BinarySearch(starts, from)
		if !found {
			item--
		}
		if item != last {
			out, last = append(out, as(all[item])), item
		}
	}
	return out
}

func (f *folded[T]) fold(all []T, texts func(T) []string) (string, []int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.of == &all[0] && f.length == len(all) {
		return f.text, f.starts
	}
	var b strings.Builder
	starts := make([]int, len(all))
	for i := range all {
		starts[i] = b.Len() + 1
		for _, t := range texts(all[i]) {
			b.WriteByte('\n')
			b.WriteString(strings.ToLower(strings.ReplaceAll(t, "\n", " ")))
		}
	}
	f.of, f.length, f.text, f.starts = &all[0], len(all), b.String(), starts
	return f.text, f.starts
}

// first is where the first of two words begins, -1 where neither is.
func first(text, a, b string) int {
	at := strings.Index(text, a)
	if at >= 0 {
		text = text[:at]
	}
	if other := strings.Index(text, b); other >= 0 {
		return other
	}
	return at
}

func (s *site) findCustomers(ctx context.Context, low string, who permission.Principal) ([]hit, error) {
	all, err := s.Reader.Customers(ctx)
	return s.customerTexts.few(all, low, func(c desk.Customer) []string { return []string{c.ID, c.Name} }, func(c desk.Customer) hit {
		h := hit{Kind: "customer", ID: c.ID, Text: c.Name}
		if who.May(permission.ReadCases) {
			h.Path = pathOf("customers", c.ID)
		}
		return h
	}), err
}

func (s *site) findTenants(ctx context.Context, low string, who permission.Principal) ([]hit, error) {
	all, err := s.Reader.Tenants(ctx)
	return s.tenantTexts.few(all, low, func(t desk.Tenant) []string { return []string{string(t.ID)} }, func(t desk.Tenant) hit {
		h := hit{Kind: "tenant", ID: string(t.ID), Text: t.CustomerName}
		if t.CustomerID != "" && who.May(permission.ReadCases) {
			h.Path = pathOf("customers", t.CustomerID)
		}
		return h
	}), err
}

func (s *site) findRuns(ctx context.Context, low string, _ permission.Principal) ([]hit, error) {
	if !strings.HasPrefix(low, "run_") {
		return nil, nil
	}
	all, err := s.Reader.Runs(ctx, desk.RunQuery{Prefix: low, Limit: searchRows + 1})
	return few(all, "", func(r desk.Run) []string { return []string{r.ID} }, func(r desk.Run) hit {
		return hit{"run", r.ID, pathOf("runs", r.ID), r.Label}
	}), err
}

func (s *site) findHosts(ctx context.Context, low string, _ permission.Principal) ([]hit, error) {
	all, err := s.Reader.Hosts(ctx)
	return s.hostTexts.few(all, low, func(h desk.Host) []string { return []string{h.ID, h.Name} }, func(h desk.Host) hit {
		return hit{"host", h.ID, "/hosts", h.Name}
	}), err
}

func (s *site) findFindings(ctx context.Context, low string, _ permission.Principal) ([]hit, error) {
	if !strings.HasPrefix(low, "fnd_") {
		return nil, nil
	}
	all, err := s.Reader.Findings(ctx, desk.FindingQuery{Prefix: low, Limit: searchRows + 1})
	return few(all, "", func(f desk.Finding) []string { return []string{f.ID} }, func(f desk.Finding) hit {
		return hit{"finding", f.ID, pathOf("findings", f.ID), f.Level}
	}), err
}

func (s *site) findCases(ctx context.Context, low string, _ permission.Principal) ([]hit, error) {
	all, err := s.Reader.Cases(ctx)
	return few(all, low, func(c desk.Case) []string { return []string{c.ID, c.Subject, c.CustomerName} }, func(c desk.Case) hit {
		return hit{"case", c.ID, pathOf("cases", c.ID), cmp.Or(c.CustomerName, c.Subject) + ", " + c.State}
	}), err
}

// findAccounts finds an account or a cluster by its whole id.
func (s *site) findAccounts(ctx context.Context, low string, _ permission.Principal) ([]hit, error) {
	if !strings.HasPrefix(low, "acc") && !strings.HasPrefix(low, "clu_") {
		return nil, nil
	}
	_, ok, err := s.Reader.UltimateCustomer(ctx, low, zeroTime, zeroTime)
	if !ok || err != nil {
		return nil, err
	}
	return []hit{{"account or cluster", low, pathOf("customers", low), "ultimate customer"}}, nil
}

func (s *site) findReports(ctx context.Context, low string, _ permission.Principal) ([]hit, error) {
	if !strings.HasPrefix(low, "rep_") {
		return nil, nil
	}
	all, err := s.Reader.Reports(ctx)
	return few(all, low, func(r desk.Report) []string { return []string{r.ID} }, func(r desk.Report) hit {
		return hit{"report", r.ID, pathOf("reports", r.ID), r.Title + ", " + r.State}
	}), err
}

func (s *site) findPolicies(ctx context.Context, low string, _ permission.Principal) ([]hit, error) {
	if !strings.HasPrefix(low, "pol_") {
		return nil, nil
	}
	all, err := s.Reader.Policies(ctx)
	return few(all, low, func(p desk.Policy) []string { return []string{p.ID} }, func(p desk.Policy) hit {
		return hit{"policy", p.ID, pathOf("policies", p.ID), p.Name + ", " + p.State}
	}), err
}
