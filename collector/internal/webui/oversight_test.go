package webui_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/desk/desktest"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
	"github.com/flopwatch/flopwatch/collector/internal/webui"
)

// foreseer foresees something of a run and of a customer.
type foreseer struct{ none bool }

func (foreseer) Forecast(_ context.Context, subject string) (apitypes.Forecast, bool, error) {
	lines := []apitypes.ForecastLine{
		{Pack: "us-iaas-2024-01", Rule: "run-operations", Title: "One run", Threshold: "100000000000000000000000000", Earliest: desktest.Noon.AddDate(0, 0, 5), Likely: desktest.Noon.AddDate(0, 0, 6), Latest: desktest.Noon.AddDate(0, 0, 8), Could: desktest.Noon.AddDate(0, 0, 2), Chances: []apitypes.ForecastChance{{By: desktest.Noon.AddDate(0, 0, 7), Probability: 0.87}}},
		{Pack: "internal-early-warning", Rule: "early-warning", Title: "Early warning", Threshold: "10000000000000000000000", Crossed: true},
		{Pack: "far", Rule: "far", Title: "Far away", Threshold: "x"},
	}
	rate := apitypes.ForecastRate{P10: "1400000000000000000000000", Median: "1500000000000000000000000", P90: "1600000000000000000000000"}
	switch subject {
	case "run_4kq2":
		return apitypes.Forecast{Subject: subject, PerDay: rate, Days: 14, Active: true, Method: "forecast 1", Thresholds: lines}, true, nil
	case "cus_orion":
		return apitypes.Forecast{Subject: subject, PerDay: rate, Days: 3, Young: true, Active: true, Method: "forecast 1", Thresholds: lines[:1]}, true, nil
	}
	return apitypes.Forecast{}, false, nil
}

func (f foreseer) Crossings(ctx context.Context, most int) (out []apitypes.Forecast, err error) {
	if f.none {
		return nil, nil
	}
	for _, id := range []string{"cus_orion", "run_4kq2"} {
		one, _, err := f.Forecast(ctx, id)
		if err != nil {
			return nil, err
		}
		one.Thresholds, one.Done = one.Thresholds[:1], apitypes.Bounds{Low: "84000000000000000000000000", Best: "91000000000000000000000000", High: "99000000000000000000000000"}
		out = append(out, one)
	}
	return out[:min(most, len(out))], nil
}

// linker notes what is said of links.
type linker struct {
	asked  []string
	refuse error
}

func (l *linker) DecideLinks(_ context.Context, v apitypes.LinkVerdict) ([]apitypes.Link, error) {
	l.asked = append(l.asked, strings.Join(v.Links, ",")+" "+v.Verdict+" "+v.Reason)
	return nil, l.refuse
}

func (l *linker) ApproveLink(_ context.Context, id string, a apitypes.LinkApproval) (apitypes.Link, error) {
	l.asked = append(l.asked, id+" approve "+a.Digest+" "+a.Reason)
	return apitypes.Link{}, l.refuse
}

// Every page says what it is for.
func TestPagesSayWhatTheyAreFor(t *testing.T) {
	h := webui.New(webui.Deps{Reader: desktest.New(), Joiner: &joiner{}, Foreseer: foreseer{}, Linker: &linker{}})
	for path, wants := range map[string][]string{
		"/runs/run_4kq2":       {"1.50e24 operations a day [1.40e24, 1.60e24]", "2026-11-25", `87 % by <span class="date">2026-11-27</span>`, "2026-11-22", "</span> crossed", "not foreseen"},
		"/runs/run_9zd7":       {"No forecast: nothing was counted"},
		"/customers/cus_orion": {"expiring", "2026-12-02", "too few days", "with all under the same control", "without lnk_0001: 9.10e25 is left", "pty_boss", "51 % to 68 %", "not named", "hld_2", "e-mail address of pty_orion", "run_4kq2"},
		"/customers/cus_delta": {"restricted", "30 %", "telephone number", "Somebody who is not named may be an owner", "No account is recorded for it"},
		"/customers/clu_0001":  {"<h1>Orion Labs (demonstration) and Shell Eleven (demonstration)</h1>", "</span> foreign</span></dd>"},
		"/cases/cas_0000":      {`<a href="/customers/cus_orion">Orion Labs (demonstration)</a> (cus_orion)`},
		"/cases":               {"every clock is met"},
		"/links":               {"pty_orion and pty_shell", "the same card, held by 2", "a bridge", "usr_ana: one director signs for both", `value="split"`, `href="/customers/clu_0001"`},
		"/resellers":           {"rsl_nord", "refuses to show its records", "counts as one customer", "overdue", "15 days late", "9 days left"},
		"/exemptions":          {"exm_1", "1 of 2 approved", "Secretary of Commerce"},
		"/programme":           {"e-mail address not held", "verification failed", "<strong>not given</strong>", `href="/customers/cus_delta"`},
		"/coverage":            {"97.4 %", "3.10e24", "gpu-0002", "3.40e20", "ten-delta-4"},
		"/audit":               {"aud_3", "customer.change", "usr_second", "ses_0011223344556677", "Check it now"},
		"/audit?check=now":     {"</span> intact", "3 entries"},
		"/policies":            {"site.yaml:12", "a second person", "held against the fleet", "1e26 operations", "50 %, 80 %, 95 %", `href="/policies/pol_lower"`},
		"/policies/pol_lower":  {"1 late already", "moves level", "warning at 80 %", "0.04 → 0.06", "twice as large", "2026-11-17", "version: 2"},
		"/fleet":               {"sample twice a second", "10 %", "behind", "gpu-0002", "converged"},
		"/reports":             {"2 fields", `href="/reports/rep_0001"`, "acknowledged", "usr_sam"},
		"/reports/rep_0001":    {"▲</span> missing", "Not held: the customer gave none", "9.10e25", "from customer cus_orion"},
		"/reports/rep_0003":    {"BIS-2026-118", "accepted", `data-label="Best" class="num">9.10e25</td>`},
	} {
		html := ask(t, h, path).Body.String()
		for _, want := range wants {
			if !strings.Contains(html, want) {
				t.Errorf("%s lacks %q", path, want)
			}
		}
		if strings.Contains(html, "0001-01-01") {
			t.Errorf("%s shows a time that is not known", path)
		}
	}
}

func TestCoverageNamesTheBlindestFirst(t *testing.T) {
	html := ask(t, webui.New(webui.Deps{Reader: desktest.New()}), "/coverage").Body.String()
	if strings.Index(html, "gpu-0002") > strings.Index(html, "gpu-0001") {
		t.Error("a host that hides nothing stands before one that could")
	}
}

func TestAuditLogIsPaged(t *testing.T) {
	r := desktest.New()
	one := r.AuditList[0]
	r.AuditList = nil
	for id := desk.AuditID(150); id > 0; id-- {
		one.ID = id
		r.AuditList = append(r.AuditList, one)
	}
	h := webui.New(webui.Deps{Reader: r})
	first := ask(t, h, "/audit").Body.String()
	if !strings.Contains(first, `href="/audit?before=aud_51"`) || strings.Contains(first, ">aud_50<") {
		t.Error("the first page does not end at aud_51")
	}
	second := ask(t, h, "/audit?before=aud_51").Body.String()
	if !strings.Contains(second, ">aud_50<") || !strings.Contains(second, ">aud_1<") || strings.Contains(second, "Older entries") || strings.Contains(second, "http-equiv") {
		t.Error("the second page is not the rest, or renews itself")
	}
	if w := ask(t, h, "/audit?before=x"); w.Code != http.StatusNotFound {
		t.Errorf("an id that is none: %d", w.Code)
	}
	r.AuditView = desk.AuditCheck{Problems: []string{"finding fnd_1 is not as it was"}}
	if html := ask(t, h, "/audit?check=now").Body.String(); !strings.Contains(html, "not intact") || !strings.Contains(html, "is not as it was") {
		t.Error("a log that was changed is not called so")
	}
}

func TestWhatIsSaidOfLinks(t *testing.T) {
	l := &linker{}
	h := webui.New(webui.Deps{Reader: desktest.New(), Linker: l})
	for _, c := range []struct {
		role       permission.Role
		path, form string
		code       int
		asked      string
	}{
		{permission.IdentitySteward, "/links/lnk_0001/decide", "verdict=accept&reason=r", 303, "lnk_0001 accept r"},
		{permission.SeniorReviewer, "/links/lnk_0002/approve", "digest=d&reason=r", 303, "lnk_0002 approve d r"},
		{permission.IdentitySteward, "/links/lnk_0002/approve", "digest=d&reason=r", 403, ""},
		{permission.SeniorReviewer, "/links/lnk_0001/decide", "verdict=accept&reason=r", 403, ""},
		{permission.Viewer, "/links/lnk_0001/decide", "verdict=accept&reason=r", 404, ""},
		{permission.IdentitySteward, "/links/lnk_0001/erase", "", 400, ""},
	} {
		l.asked = nil
		if got := send(h, c.role, c.path, c.form); got.Code != c.code || strings.Join(l.asked, ";") != c.asked {
			t.Errorf("%s as %s: %d, asked %q", c.path, c.role, got.Code, l.asked)
		}
	}
	l.refuse = errors.New("disk")
	if got := send(h, permission.IdentitySteward, "/links/lnk_0001/decide", "verdict=accept&reason=r"); got.Code != http.StatusInternalServerError {
		t.Errorf("a failure is answered with %d", got.Code)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, as([]permission.Role{permission.Auditor}, httptest.NewRequest(http.MethodGet, "/links", nil)))
	if strings.Contains(w.Body.String(), `<form method="post" action="/links`) {
		t.Error("an auditor is shown forms of links")
	}
}

// An impact names customers, so it is not told to everybody who may read policies.
func TestImpactIsToldToWhoMaySeeCustomers(t *testing.T) {
	h := webui.New(webui.Deps{Reader: desktest.New()})
	for _, role := range permission.People {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, as([]permission.Role{role}, httptest.NewRequest(http.MethodGet, "/policies/pol_lower", nil)))
		want := role.Allows(permission.ReadCases) || role.Allows(permission.DraftPolicy) || role.Allows(permission.ApprovePolicy)
		if got := strings.Contains(w.Body.String(), "cus_orion"); got != want {
			t.Errorf("%s is told: %t", role, got)
		}
	}
}
