package collector

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/party/resolve"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
	"github.com/flopwatch/flopwatch/collector/internal/store"
)

// Owners whose names lie sealed: two records of one person, one in Cyrillic, and
// somebody else of the same name born on another day.
const sealedOwners = `{"kind":"party","party_id":"pty_1","form":"person","citizenship":["FR"],"name":"Violet Planted","birth_date":"1980-02-29","national_id":"NID-7713"}
{"kind":"party","party_id":"pty_2","form":"person","citizenship":["FR"],"name":"PLANTED, Violet","name_original":"Виолетта","birth_date":"1980-02-29","national_id":"nid 7713"}
{"kind":"party","party_id":"pty_3","form":"person","citizenship":["FR"],"name":"Violet Planted","birth_date":"1991-05-05","national_id":"NID-0042"}
{"kind":"party","party_id":"pty_4","form":"organisation","incorporation":"FR","name":"Unrelated Holding SAS"}
{"kind":"customer","customer_id":"cus_2","party_id":"pty_2"}
{"kind":"account","account_id":"acc_2","customer_id":"cus_2","tenants":["ten-2"],"opened":"2010-01-01","closed":"2015-01-01"}
`

func (b *bureau) links(d *store.Deriver) map[string]desk.Link {
	b.Helper()
	if err := d.Derive(b.Context()); err != nil {
		b.Fatal(err)
	}
	all, err := b.parties.reader.Links(b.Context(), time.Time{}, time.Time{})
	if err != nil {
		b.Fatal(err)
	}
	out := map[string]desk.Link{}
	for _, l := range all {
		out[string(l.A)+" "+string(l.B)+" "+string(l.Class)] = l
	}
	return out
}

// Names that lie sealed are compared, by hashes: one entry in the audit log says
// so for all of them, and of what is personal nothing is in links, files or logs.
func TestSealedNamesAreCompared(t *testing.T) {
	b := openBureau(t)
	status, body := b.ask(http.MethodPost, "/v1/parties/import", "application/x-ndjson", []byte(sealedOwners))
	b.want(http.StatusOK, status, body)
	deriver := func() *store.Deriver {
		return store.NewDeriver(b.parties.store, nil, b.parties.now).Blinds(blinder{b.parties.vault})
	}
	d := deriver()
	links := b.links(d)
	if l, ok := links["pty_1 pty_2 identity"]; !ok || l.State != resolve.Automatic {
		t.Errorf("the two records of one person: %+v", links)
	}
	for _, other := range []string{"pty_1 pty_3 identity", "pty_2 pty_3 identity"} {
		if l, ok := links[other]; ok && l.State.Counts() {
			t.Errorf("people of one name born on different days are one: %+v", l)
		}
	}
	// Looked at again, nothing is opened again.
	b.links(d)
	b.as("usr_auditor", permission.Auditor)
	status, body = b.ask(http.MethodGet, "/v1/audit/entries", "", nil)
	if b.want(http.StatusOK, status, body); strings.Count(body, "personal_data.blind") != 1 {
		t.Errorf("the audit log does not tell once that names were compared: %s", body)
	}
	b.hide("the audit log", body)
	for _, l := range links {
		for _, e := range l.Evidence {
			b.hide("evidence", e.Detail+e.Key+strings.Join(e.Sources, " "))
		}
	}
	b.hideInFiles()
	b.hide("the log", b.logs.String())

	// Of one who was erased nothing is compared any more, also after a restart.
	b.as("usr_admin", permission.Admin)
	status, body = b.post("/v1/parties/pty_2/erasures", map[string]string{"reason": "retention is over"})
	b.want(http.StatusOK, status, body)
	for name, d := range map[string]*store.Deriver{"running": d, "restarted": deriver()} {
		if l, ok := b.links(d)["pty_1 pty_2 identity"]; ok && l.State.Counts() {
			t.Errorf("%s: one who was erased is still linked by the name: %+v", name, l)
		}
	}
}
