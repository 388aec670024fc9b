package collector

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	_ "time/tzdata" // the zones of the release, wherever the test runs

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/httpapi"
	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
	"github.com/flopwatch/flopwatch/collector/internal/screening"
	"github.com/flopwatch/flopwatch/collector/internal/store"
	"github.com/flopwatch/flopwatch/collector/internal/vault"
	"github.com/flopwatch/flopwatch/collector/internal/webhook"
	"github.com/flopwatch/flopwatch/pkg/audit"
)

// bureau is API, store and vault of a collector in one folder.
type bureau struct {
	testing.TB
	dir     string
	api     http.Handler
	parties parties
	now     time.Time
	logs    *syncBuffer
	who     permission.Principal
	calls   int // of changed
}

type syncBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *syncBuffer) text() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.String()
}

func openBureau(t testing.TB) *bureau {
	t.Helper()
	b := &bureau{TB: t, dir: t.TempDir(), now: time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC), logs: &syncBuffer{}}
	now := func() time.Time { return b.now }
	db, err := store.Open(t.Context(), filepath.Join(b.dir, "flopwatch.db"), store.Options{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	key, err := vault.LoadKey(filepath.Join(b.dir, "vault.key"), true)
	if err != nil {
		t.Fatal(err)
	}
	v, err := vault.Open(t.Context(), filepath.Join(b.dir, "vault.db"), key, now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = db.Close(), v.Close() })
	log := slog.New(slog.NewTextHandler(b.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	reader := store.NewReader(db, "test", false).WithAccesses(seen(v))
	b.parties = parties{store: db, reader: reader, vault: v, changed: func() { b.calls++ }, log: log, now: now}
	b.api = httpapi.New(httpapi.Deps{Reader: reader, Parties: b.parties, Log: log})
	b.as("usr_steward", permission.IdentitySteward)
	return b
}

// as makes the next requests those of a person who just signed in.
func (b *bureau) as(id string, roles ...permission.Role) {
	b.who = permission.Principal{ID: id, Roles: roles, SignedIn: b.now}
}

func (b *bureau) ask(method, path, media string, body []byte) (int, string) {
	b.Helper()
	r := httptest.NewRequest(method, path, bytes.NewReader(body))
	r.Header.Set("Content-Type", media)
	ctx := audit.With(permission.With(r.Context(), b.who), audit.Act{Actor: audit.Actor{Kind: audit.Person, ID: b.who.ID}})
	w := httptest.NewRecorder()
	b.api.ServeHTTP(w, r.WithContext(ctx))
	return w.Code, w.Body.String()
}

func (b *bureau) post(path string, body any) (int, string) {
	b.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		b.Fatal(err)
	}
	return b.ask(http.MethodPost, path, "application/json", text)
}

func (b *bureau) want(status int, got int, body string) string {
	b.Helper()
	if got != status {
		b.Fatalf("answered %d, want %d: %s", got, status, body)
	}
	return body
}

func recordedID(t *testing.T, body string) string {
	t.Helper()
	var r apitypes.Recorded
	if err := json.Unmarshal([]byte(body), &r); err != nil {
		t.Fatal(err)
	}
	return r.ID
}

// planted are personal data that must be nowhere but in the vault, sealed.
var planted = []string{"Violet Planted", "Виолетта", "1 Plant Street", "1980-02-29", "NID-7713", "violet@planted.example", "+12025550199", "5500000000005559", "203.0.113.77", "PASS-9917", "Paris Prefecture"}

const register = `{"kind":"party","party_id":"pty_v","form":"person","citizenship":["FR"],"permanent_residence":"FR","location":"FR","name":"Violet Planted","name_original":"Виолетта","address":"1 Plant Street","birth_date":"1980-02-29","national_id":"NID-7713"}
{"kind":"party","party_id":"pty_co","form":"organisation","incorporation":"US","principal_place":"US","headquarters":"US","name":"Planthouse"}
{"kind":"interest","interest_id":"int_1","subject":"pty_co","owner":"pty_v","what":"shares","share":40}
{"kind":"identifier","identifier_id":"idn_1","party_id":"pty_v","type":"email","value":"violet@planted.example"}
{"kind":"identifier","identifier_id":"idn_2","party_id":"pty_v","type":"phone","value":"+12025550199"}
{"kind":"identifier","identifier_id":"idn_3","party_id":"pty_co","type":"card","value":"5500000000005559"}
{"kind":"identifier","identifier_id":"idn_4","party_id":"pty_v","type":"ip","value":"203.0.113.77"}
{"kind":"verification","verification_id":"ver_1","party_id":"pty_v","outcome":"verified","method":"documentary","us_person":"no","verifier":"usr_steward","at":"2026-10-01","document":"passport","document_number":"PASS-9917","document_place":"Paris Prefecture"}
{"kind":"customer","customer_id":"cus_v","party_id":"pty_v"}
{"kind":"customer","customer_id":"cus_co","party_id":"pty_co","name":"Planthouse, Inc."}
{"kind":"account","account_id":"acc_1","customer_id":"cus_co","tenants":["ten-1"],"opened":"2020-01-01"}
{"kind":"account","account_id":"acc_2","customer_id":"cus_v","tenants":["ten-2"],"opened":"2010-01-01","closed":"2015-01-01"}
{"kind":"reseller","reseller_id":"rsl_1","party_id":"pty_co","programme":"own","disclosure":"none"}
`

func (b *bureau) load() {
	b.Helper()
	status, body := b.ask(http.MethodPost, "/v1/parties/import", "application/x-ndjson", []byte(register))
	b.want(http.StatusOK, status, body)
}

// Personal data that are put in by every way come out by none but a reveal.
func TestPersonalDataStayInTheVault(t *testing.T) {
	b := openBureau(t)
	b.load()
	access := `{"account":"acc_1","time":"2026-10-30T10:00:00Z","ip":"203.0.113.77","action":"sign-in"}` + "\n"
	status, body := b.ask(http.MethodPost, "/v1/accesses", "application/x-ndjson", []byte(access))
	b.want(http.StatusOK, status, body)
	// Faults of files that are full of personal data.
	for _, bad := range []string{strings.Replace(register, `"40"`, `"400"`, 1) + "{", strings.Replace(register, `"share":40`, `"share":400`, 1), strings.ReplaceAll(register, "person", "Violet Planted")} {
		status, body := b.ask(http.MethodPost, "/v1/parties/import", "application/x-ndjson", []byte(bad))
		b.hide("a fault", b.want(http.StatusUnprocessableEntity, status, body))
	}
	status, body = b.ask(http.MethodPost, "/v1/accesses", "application/x-ndjson", []byte(strings.Replace(access, "acc_1", "acc_9", 1)))
	b.hide("a fault", b.want(http.StatusUnprocessableEntity, status, body))

	b.as("usr_all", permission.People...)
	routes := 0
	for _, path := range []string{"/v1/parties", "/v1/parties/pty_v", "/v1/standings", "/v1/standings/cus_v", "/v1/reverifications?days=3660", "/v1/resellers", "/v1/exemptions", "/v1/programme/gaps", "/v1/programme/certification",
		"/v1/customers", "/v1/tenants", "/v1/runs", "/v1/findings", "/v1/cases", "/v1/audit/entries", "/v1/status", "/v1/parties?as_of=2026-01-01T00:00:00Z"} {
		status, body := b.ask(http.MethodGet, path, "", nil)
		b.hide(path, b.want(http.StatusOK, status, body))
		routes++
	}
	files := b.hideInFiles()
	b.hide("the log", b.logs.String())

	b.as("usr_steward", permission.IdentitySteward)
	status, body = b.post("/v1/parties/pty_v/reveals", apitypes.RevealRequest{Reason: "the customer asked what is held"})
	b.want(http.StatusOK, status, body)
	for _, value := range planted {
		if value != "5500000000005559" && !strings.Contains(body, value) { // the card is another party's
			t.Errorf("a reveal does not tell %q: %s", value, body)
		}
	}
	t.Logf("%d values looked for in %d routes, %d files and the log", len(planted), routes, files)
}

// hideInFiles looks for planted values in every file of the collector, and returns
// how many files there are.
func (b *bureau) hideInFiles() (files int) {
	b.Helper()
	err := filepath.WalkDir(b.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		data, err := os.ReadFile(path)
		b.hide(path, string(data))
		return err
	})
	if err != nil || files < 3 {
		b.Fatal(files, err)
	}
	return files
}

func (b *bureau) hide(where, text string) {
	b.Helper()
	for _, value := range planted {
		if strings.Contains(text, value) {
			b.Errorf("%s holds %q", where, value)
		}
	}
}

// Each read of personal data needs a right and a reason, and leaves an entry.
func TestReveal(t *testing.T) {
	b := openBureau(t)
	b.load()
	ask := apitypes.RevealRequest{Fields: []string{"name"}, Reason: "case 7"}
	for _, c := range []struct {
		role   permission.Role
		ask    apitypes.RevealRequest
		path   string
		status int
	}{
		{permission.Viewer, ask, "/v1/parties/pty_v/reveals", http.StatusForbidden},
		{permission.Admin, ask, "/v1/parties/pty_v/reveals", http.StatusForbidden},
		{permission.Machine, ask, "/v1/parties/pty_v/reveals", http.StatusForbidden},
		{permission.Analyst, ask, "/v1/parties/pty_v/reveals", http.StatusForbidden}, // it is not their case
		{permission.FilingOfficer, apitypes.RevealRequest{}, "/v1/parties/pty_v/reveals", http.StatusUnprocessableEntity},
		{permission.FilingOfficer, apitypes.RevealRequest{Reason: " "}, "/v1/parties/pty_v/reveals", http.StatusUnprocessableEntity},
		{permission.FilingOfficer, apitypes.RevealRequest{Reason: "x", Fields: []string{"favourite colour"}}, "/v1/parties/pty_v/reveals", http.StatusUnprocessableEntity},
		{permission.FilingOfficer, ask, "/v1/parties/nobody/reveals", http.StatusNotFound},
		{permission.FilingOfficer, ask, "/v1/parties/pty_v/reveals", http.StatusOK},
		{permission.FilingOfficer, ask, "/v1/accounts/acc_1/reveals", http.StatusOK},
		{permission.FilingOfficer, apitypes.RevealRequest{}, "/v1/accounts/acc_1/reveals", http.StatusUnprocessableEntity},
	} {
		b.as("usr_x", c.role)
		status, body := b.post(c.path, c.ask)
		b.want(c.status, status, body)
		if c.status != http.StatusOK {
			b.hide("a refusal", body)
		} else if strings.Contains(c.path, "pty_v") && (!strings.Contains(body, "Violet Planted") || strings.Contains(body, "1 Plant Street")) {
			t.Errorf("a reveal of the name tells %s", body)
		}
	}
	b.as("usr_auditor", permission.Auditor)
	status, body := b.ask(http.MethodGet, "/v1/audit/entries", "", nil)
	if b.want(http.StatusOK, status, body); strings.Count(body, "personal_data.reveal") != 2 || !strings.Contains(body, "case 7") {
		t.Errorf("the reads are not in the audit log: %s", body)
	}
}

// Accesses to an account of a customer without a party are read by the same rule
// as those of a party: by analysts of their own cases only, for a reason that
// can be read in the audit log.
func TestAccessesWithoutAPartyNeedACase(t *testing.T) {
	b := openBureau(t)
	if _, err := b.parties.store.PutCustomers(t.Context(), []party.Customer{{ID: "cus_n", Name: "Name only", Status: party.Undetermined}}, false); err != nil {
		t.Fatal(err)
	}
	status, body := b.ask(http.MethodPost, "/v1/parties/import", "application/x-ndjson", []byte(`{"kind":"account","account_id":"acc_n","customer_id":"cus_n","tenants":["ten-n"],"opened":"2020-01-01"}`+"\n"))
	b.want(http.StatusOK, status, body)
	status, body = b.ask(http.MethodPost, "/v1/accesses", "application/x-ndjson", []byte(`{"account":"acc_n","time":"2026-10-30T10:00:00Z","ip":"203.0.113.77","action":"sign-in"}`+"\n"))
	b.want(http.StatusOK, status, body)
	reveal := func(want int, reason string, role permission.Role) {
		t.Helper()
		b.as("usr_x", role)
		status, body := b.post("/v1/accounts/acc_n/reveals", apitypes.RevealRequest{Reason: reason})
		if b.want(want, status, body); strings.Contains(body, "203.0.113.77") != (want == http.StatusOK) {
			t.Errorf("%d tells %s", status, body)
		}
	}
	reveal(http.StatusForbidden, "case 7", permission.Analyst) // it is not their case
	for _, reason := range []string{"", " ", "case \u202e7", "case\n7", strings.Repeat("7", 1001)} {
		reveal(http.StatusUnprocessableEntity, reason, permission.FilingOfficer)
	}
	reveal(http.StatusOK, "case 7", permission.FilingOfficer)

	// A finding opens cases, and this bureau counts nothing from which one follows.
	db, err := sql.Open("sqlite3", filepath.Join(b.dir, "flopwatch.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for version, assignee := range []string{"usr_y", "usr_x"} {
		if _, err := db.ExecContext(t.Context(), `INSERT INTO case_change (id, version, at_ns, actor, act, note, subject, obligation, state, body) VALUES ('cas_n', ?, ?, 'usr_y', 'assign', '', 'cus_n', 'p', 'triage', ?)`,
			version+1, b.now.UnixNano(), fmt.Sprintf(`{"assignee":%q}`, assignee)); err != nil {
			t.Fatal(err)
		}
		// The reader keeps what it read until something is recorded.
		b.as("usr_steward", permission.IdentitySteward)
		status, body := b.ask(http.MethodPost, "/v1/parties/import", "text/csv", fmt.Appendf(nil, "account_id,customer_id,opened\nacc_new%d,cus_n,2020-01-01\n", version))
		b.want(http.StatusOK, status, body)
		reveal(map[string]int{"usr_x": http.StatusOK, "usr_y": http.StatusForbidden}[assignee], "case 7", permission.Analyst)
	}
}

// Erasing destroys the key once nothing keeps the data; the audit log stays whole.
func TestErasure(t *testing.T) {
	b := openBureau(t)
	b.load()
	b.as("usr_admin", permission.Admin)
	status, body := b.post("/v1/parties/pty_v/erasures", apitypes.Reasoned{Reason: "retention is over"})
	if !strings.Contains(b.want(http.StatusConflict, status, body), "an account is open") { // of the company that the person owns
		t.Error(body)
	}
	b.as("usr_steward", permission.IdentitySteward)
	status, body = b.ask(http.MethodPost, "/v1/parties/import", "text/csv", []byte("account_id,customer_id,opened,closed\nacc_1,cus_co,2010-01-01,2015-01-01\n"))
	b.want(http.StatusOK, status, body)
	b.as("usr_analyst", permission.Analyst)
	status, body = b.post("/v1/customers/cus_co/holds", apitypes.Reasoned{Reason: "litigation"})
	hold := recordedID(t, b.want(http.StatusOK, status, body))
	b.as("usr_admin", permission.Admin)
	status, body = b.post("/v1/parties/pty_v/erasures", apitypes.Reasoned{Reason: "retention is over"})
	if !strings.Contains(b.want(http.StatusConflict, status, body), "legal hold "+hold) {
		t.Error(body)
	}
	// Four eyes release a hold.
	for _, step := range []struct {
		who    string
		role   permission.Role
		status int
	}{{"usr_analyst", permission.Analyst, http.StatusOK}, {"usr_other", permission.Analyst, http.StatusForbidden}, {"usr_senior", permission.SeniorReviewer, http.StatusOK}} {
		b.as(step.who, step.role)
		status, body = b.post("/v1/holds/"+hold+"/releases", apitypes.Reasoned{Reason: "settled"})
		b.want(step.status, status, body)
	}
	b.as("usr_admin", permission.Admin)
	status, body = b.post("/v1/parties/pty_v/erasures", apitypes.Reasoned{Reason: "retention is over"})
	var e apitypes.ErasureCertificate
	if err := json.Unmarshal([]byte(b.want(http.StatusOK, status, body)), &e); err != nil || len(e.KeyDigest) != 64 || e.Sealed != 5 {
		t.Errorf("%s, %v", body, err)
	}
	status, again := b.post("/v1/parties/pty_v/erasures", apitypes.Reasoned{Reason: "once more"})
	if b.want(http.StatusOK, status, again) != body {
		t.Errorf("erased again it is %s", again)
	}
	b.as("usr_officer", permission.FilingOfficer)
	status, body = b.post("/v1/parties/pty_v/reveals", apitypes.RevealRequest{Reason: "case 7"})
	if !strings.Contains(b.want(http.StatusOK, status, body), `"erased":true`) {
		t.Error(body)
	}
	b.hide("a reveal", body)
	b.as("usr_steward", permission.IdentitySteward)
	status, body = b.ask(http.MethodPost, "/v1/parties/import", "application/x-ndjson", []byte(strings.SplitAfter(register, "\n")[3]))
	b.want(http.StatusOK, status, body) // it says what is recorded; nothing new
	status, body = b.ask(http.MethodPost, "/v1/parties/import", "text/csv", []byte("identifier_id,party_id,type,value\nidn_9,pty_v,email,new@example.org\n"))
	b.want(http.StatusUnprocessableEntity, status, body)
	check, err := b.parties.reader.CheckAudit(t.Context())
	if err != nil || len(check.Problems) > 0 {
		t.Errorf("the audit log does not hold: %+v, %v", check, err)
	}
	if err := b.parties.reapply(t.Context()); err != nil {
		t.Error(err)
	}
}

// A US company of which a foreign person owns 40 % counts as foreign, with reasons;
// once the person's share is known to be less, by what was known then it still does.
func TestStatusIsTold(t *testing.T) {
	b := openBureau(t)
	b.load()
	first := b.now
	show := func(query string) apitypes.Standing {
		b.as("usr_analyst", permission.Analyst)
		status, body := b.ask(http.MethodGet, "/v1/standings/cus_co"+query, "", nil)
		var s apitypes.Standing
		if err := json.Unmarshal([]byte(b.want(http.StatusOK, status, body)), &s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	if s := show(""); s.ForeignStatus != "foreign" || s.Name != "Planthouse, Inc." || len(s.Owners) != 1 || s.Missing == 0 {
		t.Errorf("%+v", s)
	}
	b.now = b.now.Add(24 * time.Hour)
	b.as("usr_steward", permission.IdentitySteward)
	status, body := b.ask(http.MethodPost, "/v1/parties/import", "text/csv", []byte("interest_id,subject,owner,what,share,valid_from\nint_1,pty_co,pty_v,shares,10,2020-01-01\n"))
	b.want(http.StatusOK, status, body)
	if s := show(""); s.ForeignStatus != "undetermined" {
		t.Errorf("%+v", s)
	}
	if s := show("?known_at=" + first.Format(time.RFC3339)); s.ForeignStatus != "foreign" {
		t.Errorf("as known then: %+v", s)
	}
	if b.calls < 2 {
		t.Error("nothing is derived anew")
	}
	b.as("usr_viewer", permission.Viewer)
	if status, body := b.ask(http.MethodGet, "/v1/standings/cus_co", "", nil); status != http.StatusNotFound {
		t.Errorf("a viewer is told: %d %s", status, body)
	}
}

func TestExemptionNeedsTwoApprovers(t *testing.T) {
	b := openBureau(t)
	b.load()
	b.as("usr_a", permission.Analyst, permission.SeniorReviewer)
	n := apitypes.NewExemption{Basis: "proposed 15 CFR 7.306", Scope: "customer", Of: "cus_co", IssuedBy: "Secretary", From: b.now.Add(-time.Hour), To: b.now.AddDate(1, 0, 0)}
	status, body := b.post("/v1/exemptions", n)
	id := recordedID(t, b.want(http.StatusOK, status, body))
	all, err := b.parties.reader.Exemptions(t.Context())
	if err != nil || all[0].State != "proposed" {
		t.Fatal(all, err)
	}
	approve := func(who string, role permission.Role, digest string, status int) {
		t.Helper()
		b.as(who, role)
		got, body := b.post("/v1/exemptions/"+id+"/approvals", apitypes.DigestApproval{Digest: digest})
		b.want(status, got, body)
	}
	approve("usr_a", permission.SeniorReviewer, all[0].Digest, http.StatusForbidden) // the author
	approve("usr_b", permission.Admin, all[0].Digest, http.StatusForbidden)
	approve("usr_b", permission.SeniorReviewer, strings.Repeat("0", 64), http.StatusConflict)
	approve("usr_b", permission.SeniorReviewer, all[0].Digest, http.StatusOK)
	approve("usr_b", permission.FilingOfficer, all[0].Digest, http.StatusForbidden) // the same human in another role
	approve("usr_c", permission.FilingOfficer, all[0].Digest, http.StatusOK)
	if all, err = b.parties.reader.Exemptions(t.Context()); err != nil || all[0].State != "in force" {
		t.Fatal(all, err)
	}
	b.as("usr_a", permission.Analyst)
	n.Of = "nobody"
	if status, body := b.post("/v1/exemptions", n); status != http.StatusUnprocessableEntity {
		t.Error(status, body)
	}
}

func TestResellerActs(t *testing.T) {
	b := openBureau(t)
	b.load()
	act := func(name string, days int, status int) {
		t.Helper()
		got, body := b.post("/v1/resellers/rsl_1/events", apitypes.ResellerAct{Act: name, At: b.now.AddDate(0, 0, -days), Reason: "letter"})
		b.want(status, got, body)
	}
	act("attest", 1, http.StatusOK)
	act("request_copy", 12, http.StatusOK)
	act("find_failing", 5, http.StatusOK)
	act("report", -1, http.StatusUnprocessableEntity)
	all, err := b.parties.reader.Resellers(t.Context())
	if err != nil || len(all[0].Timers) != 3 || all[0].Timers[0].State != "overdue" || all[0].Timers[1].DaysLeft != 25 || !all[0].Opaque {
		t.Errorf("%+v, %v", all, err)
	}
	act("produce_copy", 0, http.StatusOK)
	act("end", 0, http.StatusOK)
	act("attest", 0, http.StatusConflict)
}

func TestVendorWebhook(t *testing.T) {
	b := openBureau(t)
	b.load()
	b.as("usr_admin", permission.Admin)
	status, body := b.post("/v1/vendors/acme/secrets", struct{}{})
	var v apitypes.Vendor
	if err := json.Unmarshal([]byte(b.want(http.StatusOK, status, body)), &v); err != nil {
		t.Fatal(err)
	}
	secret := make([]byte, 32)
	if _, err := fmt.Sscanf(v.Secret, "%x", &secret); err != nil {
		t.Fatal(err)
	}
	event := `{"id":"e1","type":"verification.completed","party":"pty_co","outcome":"verified","method":"documentary","us_person":"yes","at":"2026-10-31T10:00:00Z","document":{"type":"articles","number":"PASS-9917"}}`
	send := func(vendor, body, header string) (int, string) {
		r := httptest.NewRequest(http.MethodPost, apitypes.WebhookPath+vendor, strings.NewReader(body))
		r.Header.Set(webhook.SignatureHeader, header)
		w := httptest.NewRecorder()
		vendorhook{b.parties}.ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	signed := webhook.Sign(secret, []byte(event), b.now)
	for name, c := range map[string]struct {
		vendor, body, header string
		status               int
	}{
		"unknown vendor":  {"other", event, signed, http.StatusUnauthorized},
		"path":            {"acme/../acme", event, signed, http.StatusUnauthorized},
		"wrong signature": {"acme", event + " ", signed, http.StatusUnauthorized},
		"old":             {"acme", event, webhook.Sign(secret, []byte(event), b.now.Add(-time.Hour)), http.StatusUnauthorized},
		"no schema":       {"acme", "{}", webhook.Sign(secret, []byte("{}"), b.now), http.StatusUnprocessableEntity},
		"nobody":          {"acme", strings.Replace(event, "pty_co", "pty_no", 1), webhook.Sign(secret, []byte(strings.Replace(event, "pty_co", "pty_no", 1)), b.now), http.StatusUnprocessableEntity},
		"too long":        {"acme", strings.Repeat(" ", webhook.MaxBody+1), signed, http.StatusRequestEntityTooLarge},
	} {
		status, body := send(c.vendor, c.body, c.header)
		if status != c.status {
			t.Errorf("%s: %d %s", name, status, body)
		}
		b.hide(name, body)
	}
	count := func() int {
		s, err := b.parties.store.Parties(t.Context(), b.now, b.now)
		if err != nil {
			t.Fatal(err)
		}
		return len(s.Verifications)
	}
	before := count()
	for range 2 { // a replay within the tolerance says the same and changes nothing
		if status, body := send("acme", event, signed); status != http.StatusNoContent {
			t.Fatal(status, body)
		}
	}
	if n := count(); n != before+1 {
		t.Errorf("%d verifications more", n-before)
	}
	other := strings.Replace(event, `"yes"`, `"no"`, 1)
	if status, body := send("acme", other, webhook.Sign(secret, []byte(other), b.now)); status != http.StatusUnprocessableEntity {
		t.Errorf("the same event says something else: %d %s", status, body)
	}
	b.hide("the log", b.logs.String())
}

func TestScreening(t *testing.T) {
	b := openBureau(t)
	b.load()
	status, body := b.post("/v1/screenings", apitypes.Screening{})
	b.want(http.StatusNotImplemented, status, body)
	var asked []string
	lists := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked = append(asked, string(body))
		_, _ = io.WriteString(w, `{"responses":{"q":{"status":200,"results":[{"id":"Q1","score":0.9,"datasets":["list"],"last_change":"2026","features":{"name":0.9}}]}}}`)
	}))
	defer lists.Close()
	var err error
	if b.parties.screen, err = screening.New(screening.Options{Kind: screening.Yente, URL: lists.URL}); err != nil {
		t.Fatal(err)
	}
	ctx := permission.With(context.WithoutCancel(t.Context()), b.who)
	for _, want := range []apitypes.Screened{{Parties: 2, Hits: 2}, {Parties: 2, Hits: 0}} {
		if got, err := b.parties.Screen(ctx, apitypes.Screening{}); err != nil || got != want {
			t.Errorf("%+v, %v, want %+v", got, err, want)
		}
	}
	if !strings.Contains(asked[1], "Violet Planted") {
		t.Errorf("asked %s", asked)
	}
	s, err := b.parties.store.Parties(ctx, b.now, b.now)
	if err != nil || len(s.ListHits) != 2 {
		t.Fatal(s.ListHits, err)
	}
	for id := range s.ListHits {
		b.as("usr_analyst", permission.Analyst)
		status, body := b.post("/v1/list-hits/"+id+"/decisions", apitypes.HitDecision{Disposition: "false_match", Reason: "other birth date"})
		b.want(http.StatusOK, status, body)
	}
	b.hide("the log", b.logs.String())
}
