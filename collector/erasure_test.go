package collector

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/httpapi"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
	"github.com/flopwatch/flopwatch/collector/internal/store"
)

// A company between the customer and its owner is kept as long as the customer.
// Before that time two people may erase, never one, a program, or anybody while a
// hold, an open account or a case needs the data.
func TestEarlyErasure(t *testing.T) {
	b := openBureau(t)
	b.load()
	b.as("usr_steward", permission.IdentitySteward)
	status, body := b.ask(http.MethodPost, "/v1/parties/import", "application/x-ndjson", []byte(`{"kind":"party","party_id":"pty_hold","form":"organisation","incorporation":"LU","name":"Violet Planted Holding"}
{"kind":"interest","interest_id":"int_2","subject":"pty_co","owner":"pty_hold","what":"shares","share":60}
{"kind":"party","party_id":"pty_stray","form":"organisation","name":"Violet Planted Stray"}
`))
	b.want(http.StatusOK, status, body)
	erase := func(who string, role permission.Role, id string, early bool, want int, says string) {
		t.Helper()
		b.as(who, role)
		status, body := b.post("/v1/parties/"+id+"/erasures", apitypes.EraseRequest{Reason: "asked for", Early: early})
		if b.want(want, status, body); !strings.Contains(body, says) {
			t.Errorf("erase %s as %s: %s", id, who, body)
		}
	}
	erase("usr_admin", permission.Admin, "pty_hold", false, http.StatusConflict, "an account is open")
	erase("usr_admin", permission.Admin, "pty_hold", true, http.StatusConflict, "an account is open")
	b.as("usr_steward", permission.IdentitySteward)
	status, body = b.ask(http.MethodPost, "/v1/parties/import", "text/csv", []byte("account_id,customer_id,opened,closed\nacc_1,cus_co,2010-01-01,2026-01-01\n"))
	b.want(http.StatusOK, status, body)

	erase("usr_admin", permission.Admin, "pty_hold", false, http.StatusConflict, "two people may erase them early")
	erase("usr_admin", permission.Admin, "pty_stray", false, http.StatusConflict, "belongs to no customer")
	for _, id := range []string{"pty_hold", "pty_stray"} {
		erase("usr_admin", permission.Admin, id, true, http.StatusOK, `"proposed":true`)
		erase("usr_admin", permission.Admin, id, true, http.StatusOK, `"proposed":true`) // the same person again
	}
	b.who = permission.Principal{ID: "api-token", Roles: []permission.Role{permission.Machine}}
	status, body = b.post("/v1/parties/pty_hold/erasures", apitypes.EraseRequest{Reason: "x", Early: true})
	b.want(http.StatusForbidden, status, body)
	b.as("usr_other", permission.Admin)
	b.who.SignedIn = b.now.Add(-time.Hour)
	status, body = b.post("/v1/parties/pty_hold/erasures", apitypes.EraseRequest{Reason: "x", Early: true})
	b.want(http.StatusForbidden, status, body)
	erase("usr_other", permission.Admin, "pty_hold", true, http.StatusOK, `"sealed":1`)
	b.now = b.now.Add(8 * 24 * time.Hour)
	erase("usr_other", permission.Admin, "pty_stray", true, http.StatusOK, `"proposed":true`) // the first proposal has lapsed
	erase("usr_admin", permission.Admin, "pty_stray", true, http.StatusOK, `"sealed":1`)

	b.as("usr_analyst", permission.Analyst)
	status, body = b.post("/v1/customers/cus_co/holds", apitypes.Reasoned{Reason: "litigation"})
	b.want(http.StatusOK, status, body)
	erase("usr_admin", permission.Admin, "pty_v", true, http.StatusConflict, "legal hold")
	b.as("usr_auditor", permission.Auditor)
	status, body = b.ask(http.MethodGet, "/v1/audit/entries", "", nil)
	if b.want(http.StatusOK, status, body); strings.Count(body, "party.erase_early") != 5 || strings.Count(body, `"party.erase"`) != 2 {
		t.Errorf("the audit log does not tell who proposed and who erased: %d, %d", strings.Count(body, "party.erase_early"), strings.Count(body, `"party.erase"`))
	}
}

// A legal hold that is placed after an erasure was judged and before it is done
// keeps the data: it is judged again where the key is destroyed.
func TestHoldPlacedWhileErasing(t *testing.T) {
	b := openBureau(t)
	b.load()
	b.as("usr_steward", permission.IdentitySteward)
	status, body := b.ask(http.MethodPost, "/v1/parties/import", "text/csv", []byte("account_id,customer_id,opened,closed\nacc_1,cus_co,2010-01-01,2012-01-01\n"))
	b.want(http.StatusOK, status, body)
	// The reader asks for accesses after it took the records it judges by.
	placed := false
	look := func(ctx context.Context) (map[string]time.Time, error) {
		if !placed {
			placed = true
			if _, err := b.parties.HoldCustomer(ctx, "cus_co", "litigation"); err != nil {
				t.Errorf("place the hold: %v", err)
			}
		}
		return seen(b.parties.vault)(ctx)
	}
	b.parties.reader = store.NewReader(b.parties.store, "test", false).WithAccesses(look)
	b.api = httpapi.New(httpapi.Deps{Reader: b.parties.reader, Parties: b.parties, Log: b.parties.log})
	b.as("usr_admin", permission.Admin)
	status, body = b.post("/v1/parties/pty_v/erasures", apitypes.EraseRequest{Reason: "asked for"})
	if b.want(http.StatusConflict, status, body); !strings.Contains(body, "legal hold") || !placed {
		t.Errorf("it was not refused for the hold: %s", body)
	}
	b.as("usr_steward", permission.IdentitySteward)
	status, body = b.post("/v1/parties/pty_v/reveals", apitypes.RevealRequest{Reason: "to see that they are there"})
	if b.want(http.StatusOK, status, body); strings.Contains(body, `"erased":true`) {
		t.Errorf("the key was destroyed: %s", body)
	}
}
