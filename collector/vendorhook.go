package collector

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"

	"crypto/sha256"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/httpapi"
	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/collector/internal/webhook"
	"github.com/flopwatch/flopwatch/pkg/audit"
	"github.com/flopwatch/flopwatch/pkg/table"
)

// vendorhook takes what vendors that verify identities send. Who sends is known by
// the signature alone, so an unknown vendor and a wrong signature look the same.
type vendorhook struct{ parties }

// ServeHTTP takes one event at /v1/webhooks/{vendor}.
func (h vendorhook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	problem := h.take(w, r)
	if problem != nil {
		httpapi.WriteProblem(w, problem)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (h vendorhook) take(w http.ResponseWriter, r *http.Request) *apitypes.Problem {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return apitypes.NewProblem(http.StatusMethodNotAllowed, "events are posted")
	}
	vendor := strings.TrimPrefix(r.URL.Path, apitypes.WebhookPath)
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, webhook.MaxBody))
	if err != nil {
		return apitypes.NewProblem(http.StatusRequestEntityTooLarge, "an event has at most 64 KiB")
	}
	unknown := apitypes.NewProblem(http.StatusUnauthorized, webhook.ErrSignature.Error())
	if !table.Identifier(vendor) {
		return unknown
	}
	secret, err := h.vault.Secret(r.Context(), "vendor/"+vendor)
	if err != nil {
		return unknown
	}
	if err := webhook.Verify(secret, r.Header.Get(webhook.SignatureHeader), body, h.now()); err != nil {
		return apitypes.NewProblem(http.StatusUnauthorized, err.Error())
	}
	id, change, err := webhook.Read(vendor, body)
	if err != nil {
		return apitypes.NewProblem(http.StatusUnprocessableEntity, err.Error())
	}
	return h.record(r.Context(), vendor, id, change, body)
}

// record takes an event once: what comes again says the same and changes nothing.
func (h vendorhook) record(ctx context.Context, vendor, id string, change party.Change, body []byte) *apitypes.Problem {
	ctx = audit.With(ctx, audit.Act{Actor: audit.Actor{Kind: audit.Service, ID: "vendor:" + vendor}, Action: "verification.webhook"})
	changes := []party.Change{change}
	err := h.prepare(changes)
	if err == nil {
		_, err = h.parties.record(ctx, changes, false)
	}
	if err == nil {
		sum := sha256.Sum256(body)
		_, err = h.store.LogFeed(ctx, id, 1, hex.EncodeToString(sum[:]))
	}
	var refusal *httpapi.Refusal
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refusal):
		return apitypes.NewProblem(refusal.Status, refusal.Why)
	case strings.HasPrefix(err.Error(), "vendor:"): // a fault of the change
		_, rule, _ := strings.Cut(err.Error(), ": ")
		return apitypes.NewProblem(http.StatusUnprocessableEntity, "nothing was changed", rule)
	}
	h.log.LogAttrs(ctx, slog.LevelError, "event of a vendor could not be recorded", slog.String("vendor", vendor))
	return apitypes.NewProblem(http.StatusInternalServerError, "the event could not be recorded; send it again")
}
