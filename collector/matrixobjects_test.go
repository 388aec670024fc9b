package collector

import (
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/store/storetest"
)

// ownRegister is a customer of the analyst's own case, three shells with one card, of
// which two links come, and the resellers of both customers. The customer of the
// demonstration is foreign to every case.
const ownRegister = `{"kind":"party","party_id":"pty_own","form":"organisation","incorporation":"HK","name":"Own Works Ltd"}
{"kind":"party","party_id":"pty_b","form":"organisation","incorporation":"SG","name":"Basalt Holdings"}
{"kind":"party","party_id":"pty_c","form":"organisation","incorporation":"AE","name":"Cobalt Trading FZE"}
{"kind":"customer","customer_id":"cus_000000","party_id":"pty_own","name":"Own Works Ltd"}
{"kind":"customer","customer_id":"cus_b","party_id":"pty_b","name":"Basalt Holdings"}
{"kind":"customer","customer_id":"cus_c","party_id":"pty_c","name":"Cobalt Trading FZE"}
{"kind":"account","account_id":"acc_own","customer_id":"cus_000000","tenants":["ten-own"],"opened":"2020-01-01"}
{"kind":"identifier","identifier_id":"idn_own","party_id":"pty_own","type":"card","value":"4000 1111 2222 3339"}
{"kind":"identifier","identifier_id":"idn_b","party_id":"pty_b","type":"card","value":"4000111122223339"}
{"kind":"identifier","identifier_id":"idn_c","party_id":"pty_c","type":"card","value":"4000-1111-2222-3339"}
{"kind":"reseller","reseller_id":"rsl_own","party_id":"pty_own","programme":"own","disclosure":"none"}
{"kind":"reseller","reseller_id":"rsl_foreign","party_id":"pty_b","programme":"own","disclosure":"none"}
`

// register imports parties and what is around them.
func (o *office) register(ndjson string) {
	o.Helper()
	if status, text := o.send("", http.MethodPost, "/v1/parties/import?name=r.ndjson", "application/x-ndjson", []byte(ndjson)); status/100 != 2 {
		o.Fatalf("%d %s", status, text)
	}
}

// watchLists is a server of watch lists on which everybody is.
func watchLists(t *testing.T) *httptest.Server {
	t.Helper()
	lists := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"responses":{"q":{"status":200,"results":[{"id":"Q1","score":0.9,"datasets":["list"],"last_change":"2026","features":{"name":0.9}}]}}}`)
	}))
	t.Cleanup(lists.Close)
	return lists
}

// hits holds parties against the lists and returns the hit of each.
func (o *office) hits(parties ...string) (ids []string) {
	o.Helper()
	done[apitypes.Screened](o, "identity-steward", http.MethodPost, "/v1/screenings", "", apitypes.Screening{Parties: parties})
	for _, id := range parties {
		p := done[apitypes.Party](o, "analyst", http.MethodGet, "/v1/parties/"+id, "", nil)
		if len(p.Hits) != 1 {
			o.Fatalf("%s has %d hits", id, len(p.Hits))
		}
		ids = append(ids, p.Hits[0].ID)
	}
	return ids
}

// linked waits for links that the collector finds between parties.
func (o *office) linked(atLeast int) (ids []string) {
	o.Helper()
	o.eventually("the links", func() bool {
		ids = nil
		for _, l := range done[apitypes.List[apitypes.Link]](o, "analyst", http.MethodGet, "/v1/links", "", nil).Items {
			ids = append(ids, l.ID)
		}
		return len(ids) >= atLeast
	})
	return ids
}

// joined puts joins where the collector would have found them itself, each of
// another tenant: what is said of one has the runs of its tenant made anew.
func (o *office) joined(ids ...string) {
	o.Helper()
	var rows [][]any
	for _, id := range ids {
		rows = append(rows, []any{id, strings.Replace(id, "jon", "ten", 1)})
	}
	storetest.Edit(o, filepath.Join(o.data, "flopwatch.db"), `INSERT INTO run_join (id, tenant, run, kind, from_part, to_part, from_label, to_label, at_ns, gap_ns, bits, evidence, weights, confirmed)
		VALUES (?, ?, 'run_joined', 'time', 'a', 'b', 'a', 'b', 1, 1, 9, '[]', 'w', 0)`, rows...)
}

// bodyField is where a body names an object of a kind.
func bodyField(kind, id string) (field string, value any) {
	switch kind {
	case "lnk":
		return "links", []any{id}
	case "of":
		return "of", id
	}
	return "with", id
}

// threeWays are an object of nobody, one's own and others'.
func threeWays(kind string, there map[string][]string) []target {
	out := []target{{id: absentID(kind), whose: "of nobody"}}
	for i, id := range there[kind] {
		out = append(out, target{id: id, there: true, whose: []string{"own", "foreign"}[min(i, 1)]})
	}
	return out
}

// naming asks about each of the targets with each object that the body may name.
func naming(kind string, targets []target, there map[string][]string) (out []target) {
	for _, x := range targets {
		for _, named := range threeWays(kind, there) {
			field, value := bodyField(kind, named.id)
			y := x
			y.say = maps.Clone(x.say)
			y.say[field] = value
			y.there, y.whose = x.there && named.there, strings.TrimPrefix(x.whose+", the body names one ", ", ")+named.whose
			out = append(out, y)
		}
	}
	return out
}
