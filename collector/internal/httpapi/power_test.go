package httpapi_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/desk/desktest"
	"github.com/flopwatch/flopwatch/collector/internal/httpapi"
)

type meters func(name, format string, data []byte, dryRun bool) (apitypes.PowerDiff, error)

func (f meters) ImportPower(_ context.Context, name, format string, data []byte, dryRun bool) (apitypes.PowerDiff, error) {
	return f(name, format, data, dryRun)
}

func TestPower(t *testing.T) {
	var got []string
	fail := error(nil)
	r := desktest.New()
	h := httpapi.New(httpapi.Deps{Reader: r, Metering: meters(func(name, format string, data []byte, dryRun bool) (apitypes.PowerDiff, error) {
		got = append(got, fmt.Sprint(name, " ", format, " ", string(data), " ", dryRun))
		return apitypes.PowerDiff{New: 3, Unchanged: 1}, fail
	})})
	if w := call(t, h, "PUT", "/v1/power?name=p.csv&dry_run=true", "text/csv; charset=utf-8", "x,y"); w.Code != 200 || decode[apitypes.PowerDiff](t, w) != (apitypes.PowerDiff{DryRun: true, New: 3, Unchanged: 1}) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := call(t, h, "PUT", "/v1/power", "application/x-ndjson", "{}"); w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if d := cmp.Diff([]string{"p.csv csv x,y true", "power ndjson {} false"}, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	fail = errors.New("f:2: host: must be the id of a host, 26 characters")
	if w := call(t, h, "PUT", "/v1/power", "text/csv", "x"); w.Code != 422 || !strings.Contains(w.Body.String(), "f:2: host") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	fail = errors.New("disk of secret")
	if w := call(t, h, "PUT", "/v1/power", "text/csv", "x"); w.Code != 500 || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := call(t, h, "PUT", "/v1/power", "application/json", "{}"); w.Code != 415 {
		t.Errorf("%d", w.Code)
	}
	if w := call(t, httpapi.New(httpapi.Deps{Reader: r}), "PUT", "/v1/power", "text/csv", "x"); w.Code != 501 {
		t.Errorf("%d", w.Code)
	}
	if d := cmp.Diff(apitypes.Each(r.PowerList, apitypes.FromPower), decode[apitypes.List[apitypes.PowerSlot]](t, call(t, h, "GET", "/v1/power", "", "")).Items); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if d := cmp.Diff(apitypes.FromEvidence(r.EvidenceView), decode[apitypes.Evidence](t, call(t, h, "GET", "/v1/evidence?tenant=t", "", ""))); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	for _, q := range []string{"", "?tenant=t&from=0900-01-02T00:00:00Z", "?tenant="} {
		if w := call(t, h, "GET", "/v1/evidence"+q, "", ""); w.Code != 422 {
			t.Errorf("%s: %d", q, w.Code)
		}
	}
}
