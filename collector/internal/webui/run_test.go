package webui_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/desk/desktest"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
	"github.com/flopwatch/flopwatch/collector/internal/webui"
	"github.com/flopwatch/flopwatch/pkg/compute"
)

// joiner has two joins of every run and notes what is said of them.
type joiner struct {
	word   string // in every text from outside
	asked  []string
	refuse error
}

func (j *joiner) Joins(context.Context, string) ([]apitypes.Join, error) {
	noon := apitypes.Time(desktest.Noon.UnixNano())
	return []apitypes.Join{
		{ID: "jon_1", Run: "run_4kq2", Kind: "time", From: "88121" + j.word, To: "88140" + j.word, At: noon, GapS: 5400, Bits: 9, Weights: "joins 1 308306c6", Verdict: "open",
			Evidence: []apitypes.JoinEvidence{{Name: "image", Bits: 7, Detail: "the same image" + j.word}, {Name: "gap", Bits: 3, Detail: "1 h 30 min apart"}, {Name: "hosts", Bits: -1, Detail: "a tenth of the hosts differ"}}},
		{ID: "jon_2", Run: "run_4kq2", Kind: "space", From: "88121", To: "88122", At: noon, Bits: 12, Weights: "joins 1 308306c6", Verdict: "together", By: "usr_ana", Reason: "one training" + j.word,
			Evidence: []apitypes.JoinEvidence{{Name: "start", Bits: 12, Detail: "they began within 2 s"}}},
	}, nil
}

func (j *joiner) History(context.Context, string) ([]apitypes.RunChange, error) {
	return []apitypes.RunChange{{At: apitypes.Time(desktest.Noon.UnixNano()), Run: "run_8bb1", Act: "merged", Other: "run_4kq2", Operations: apitypes.Bounds{Low: "1", Best: "31000000000000000000000000", High: "1" + j.word}}}, nil
}

func (j *joiner) Decide(_ context.Context, join string, v apitypes.JoinVerdict) (apitypes.JoinDecision, error) {
	j.asked = append(j.asked, join+" "+v.Verdict+" "+v.Reason)
	return apitypes.JoinDecision{}, j.refuse
}

func (j *joiner) JoinRuns(_ context.Context, run string, with apitypes.RunJoin) (apitypes.JoinDecision, error) {
	j.asked = append(j.asked, run+" with "+with.With+" "+with.Reason)
	return apitypes.JoinDecision{}, j.refuse
}

func TestRunSaysWhatRanHowSureAndHowJoined(t *testing.T) {
	reader := desktest.New()
	reader.RunList = append(reader.RunList, desk.Run{ID: "run_2nd", Tenant: "ten-orion-17", Label: "second"})
	h := webui.New(webui.Deps{Reader: reader, Joiner: &joiner{}})
	for path, wants := range map[string][]string{
		"/runs/run_4kq2": {"</span> training</span>", `<span class="date">training 97 %</span>, <span class="date">inference 2 %</span>, <span class="date">other 1 %</span>`, "power repeats every 11.4 s", "&#43;2.61", "1 h 30 min", "the same image", "image, &#43;7", "hosts, -1",
			"usr_ana: one training", "merged</strong> run_4kq2", "3.10e25 operations after it", "T1 is 1.00e26 operations, us-iaas-2024-01, proposed", `class="threshold"`, "The same as a table",
			`<option value="run_2nd">second, run_2nd</option>`, `action="/joins/jon_1/decisions"`},
		"/runs/run_9zd7": {"</span> cannot tell", "nothing of how it computes was seen", "no host reports them"},
		"/runs/run_1aa0": {"</span> inference", "-2.20"},
		"/runs/run_2nd":  {"Nothing was done in the last 30 days"},
	} {
		html := ask(t, h, path).Body.String()
		for _, want := range wants {
			if !strings.Contains(html, want) {
				t.Errorf("%s lacks %q", path, want)
			}
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, as([]permission.Role{permission.Viewer}, httptest.NewRequest(http.MethodGet, "/runs/run_4kq2", nil)))
	if html := w.Body.String(); strings.Contains(html, "/decisions") || strings.Contains(html, "Findings on this run") || !strings.Contains(html, "the same image") {
		t.Error("a viewer sees forms or findings, or no joins")
	}
}

// A chart stays within its picture and ends at the total of the run.
func TestChart(t *testing.T) {
	html := ask(t, webui.New(webui.Deps{Reader: desktest.New()}), "/runs/run_4kq2").Body.String()
	if rows := strings.Count(html, `data-label="Day until"`); rows != 30 {
		t.Errorf("%d days, want 30", rows)
	}
	for _, want := range []string{`data-label="Low">8.40e25</td><td class="num" data-label="Best">9.10e25</td><td class="num" data-label="High">9.90e25</td>`, "[8.40e25, 9.90e25] at 2026-11-20 12:00:00 UTC"} {
		if !strings.Contains(html, want) {
			t.Errorf("the chart lacks %q", want)
		}
	}
	_, picture, _ := strings.Cut(html, `<svg class="lines"`)
	picture, _, _ = strings.Cut(picture, "</svg>")
	paths := regexp.MustCompile(` d="M([^"]*)"`).FindAllStringSubmatch(picture, -1)
	if len(paths) < 6 {
		t.Fatalf("%d paths", len(paths))
	}
	for _, p := range paths {
		if m := regexp.MustCompile(`-\d|NaN|Inf|\d{4}`).FindString(p[1]); m != "" {
			t.Errorf("the path %q has %q", p[1], m)
		}
	}
}

// Extremes of totals do not break the picture.
func TestChartOfExtremes(t *testing.T) {
	for name, b := range map[string]compute.Bounds{"largest": {Low: 1, Best: 1 << 62, High: 1<<63 - 1}, "least": {Low: 1, Best: 1, High: 1}, "nothing": {}} {
		r := desktest.New()
		r.RunList[0].Figure.Empirical = b
		w := ask(t, webui.New(webui.Deps{Reader: r}), "/runs/run_4kq2")
		if html := w.Body.String(); w.Code != 200 || strings.Contains(html, "NaN") || strings.Contains(html, "Inf") {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
}

func TestWhatIsSaidOfJoins(t *testing.T) {
	j := &joiner{}
	h := webui.New(webui.Deps{Reader: desktest.New(), Joiner: j})
	for _, c := range []act{
		{permission.Analyst, "/joins/jon_1/decisions", "run=run_4kq2&verdict=apart&reason=two+teams", 303, "/runs/run_4kq2", "jon_1 apart two teams"},
		{permission.SeniorReviewer, "/joins/jon_1/decisions", "run=//evil.example&verdict=together&reason=r", 303, "/runs", "jon_1 together r"},
		{permission.SeniorReviewer, "/joins/jon_1/decisions", "run=run_/../x&verdict=together&reason=r", 303, "/runs", "jon_1 together r"},
		{permission.Analyst, "/runs/run_4kq2/joins", "with=run_9zd7&reason=r", 303, "/runs/run_4kq2", "run_4kq2 with run_9zd7 r"},
		{permission.Auditor, "/runs/run_4kq2/joins", "with=run_9zd7&reason=r", 403, "", ""},
		{permission.Viewer, "/joins/jon_1/decisions", "verdict=apart&reason=r", 404, "", ""},
	} {
		c.check(t, h, &j.asked)
	}
	j.refuse = no{}
	if got := send(h, permission.Analyst, "/runs/run_4kq2/joins", "with=run_9zd7&reason=r"); got.Code != http.StatusConflict {
		t.Errorf("a refusal is answered with %d", got.Code)
	}
	j.refuse = errors.New("disk")
	if got := send(h, permission.Analyst, "/joins/jon_1/decisions", "verdict=apart&reason=r"); got.Code != http.StatusInternalServerError {
		t.Errorf("a failure is answered with %d", got.Code)
	}
	if got := send(webui.New(webui.Deps{Reader: desktest.New()}), permission.Analyst, "/joins/jon_1/decisions", "verdict=apart&reason=r"); got.Code != http.StatusForbidden {
		t.Errorf("without joins: %d", got.Code)
	}
}

// When a line will be crossed is told to whom may see that it was, and to nobody else.
func TestWhatIsForeseenIsForWhomMaySeeFindings(t *testing.T) {
	h := webui.New(webui.Deps{Reader: desktest.New(), Joiner: &joiner{}, Foreseer: foreseer{}})
	tells := map[string]string{"/": "About to cross", "/runs/run_4kq2": "When does it cross?"}
	for path, heading := range tells {
		for _, role := range permission.People {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, as([]permission.Role{role}, httptest.NewRequest(http.MethodGet, path, nil)))
			html, may := w.Body.String(), role.Allows(permission.ReadCases)
			for _, text := range []string{heading, "2026-11-25", "2026-11-27", "One run"} {
				if strings.Contains(html, text) != may {
					t.Errorf("%s as %s tells %q: %t", path, role, text, !may)
				}
			}
		}
	}
	html := ask(t, h, "/").Body.String()
	for _, want := range []string{`<a href="/customers/cus_orion">`, "9.10e25", `<span class="date">87 %</span> by <span class="date">2026-11-27</span>`} {
		if !strings.Contains(html, want) {
			t.Errorf("Today lacks %q", want)
		}
	}
}
