package webhook_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/collector/internal/party/control"
	"github.com/flopwatch/flopwatch/collector/internal/webhook"
)

var (
	now    = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	secret = []byte("0123456789abcdef")
)

const good = `{"id":"e1","type":"verification.completed","party":"p1","outcome":"verified","method":"documentary","us_person":"no","at":"2026-10-31T10:00:00+01:00","valid_until":"2027-10-31T00:00:00Z","document":{"type":"passport","issuer":"DE","number":"VIOLET-1"},"evidence":["file 7"]}`

func TestVerify(t *testing.T) {
	body := []byte(good)
	signed := webhook.Sign(secret, body, now)
	if err := webhook.Verify(secret, signed, body, now.Add(4*time.Minute)); err != nil {
		t.Error(err)
	}
	if err := webhook.Verify(secret, strings.Replace(signed, "v1=", "v1=00,v1=", 1), body, now); err != nil {
		t.Errorf("while keys change: %v", err)
	}
	for name, c := range map[string]struct {
		secret []byte
		header string
		body   string
		at     time.Time
		want   error
	}{
		"other body":     {secret, signed, good + " ", now, webhook.ErrSignature},
		"other key":      {[]byte("x"), signed, good, now, webhook.ErrSignature},
		"no key":         {nil, signed, good, now, webhook.ErrSignature},
		"nothing":        {secret, "", good, now, webhook.ErrSignature},
		"no time":        {secret, signed[strings.Index(signed, "v1="):], good, now, webhook.ErrSignature},
		"time rewritten": {secret, strings.Replace(signed, "t=1", "t=2", 1), good, now, webhook.ErrSignature},
		"old":            {secret, signed, good, now.Add(6 * time.Minute), webhook.ErrTime},
		"of tomorrow":    {secret, signed, good, now.Add(-6 * time.Minute), webhook.ErrTime},
	} {
		if err := webhook.Verify(c.secret, c.header, []byte(c.body), c.at); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestRead(t *testing.T) {
	id, c, err := webhook.Read("acme", []byte(good))
	v, _ := c.Object.(party.Verification)
	if err != nil || id != "acme/e1" || v.ID != "ver_acme_e1" || v.USPerson != control.No || v.Verifier != "vendor:acme" || !v.At.Equal(time.Date(2026, 10, 31, 9, 0, 0, 0, time.UTC)) || c.Personal["document_number"] != "VIOLET-1" {
		t.Errorf("%s %+v %v", id, c, err)
	}
	for name, body := range map[string]string{
		"not JSON":     `{`,
		"other key":    strings.Replace(good, `"id"`, `"violet":1,"id"`, 1),
		"more":         good + "{}",
		"a key twice":  strings.Replace(good, `"id"`, `"id":"e2","id"`, 1),
		"id":           strings.Replace(good, `"e1"`, `"violet/1"`, 1),
		"type":         strings.Replace(good, "verification.completed", "violet", 1),
		"outcome":      strings.Replace(good, `"verified"`, `"violet"`, 1),
		"method":       strings.Replace(good, `"documentary"`, `"violet"`, 1),
		"us_person":    strings.Replace(good, `"no"`, `"violet"`, 1),
		"time":         strings.Replace(good, "2026-10-31T10", "violet", 1),
		"no time":      strings.Replace(good, `"at":"2026-10-31T10:00:00+01:00",`, "", 1),
		"hostile text": strings.Replace(good, "passport", `violet\u202e`, 1),
	} {
		if _, _, err := webhook.Read("acme", []byte(body)); !errors.Is(err, webhook.ErrEvent) || strings.Contains(err.Error(), "violet") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(good))
	f.Fuzz(func(t *testing.T, body []byte) {
		id, c, err := webhook.Read("acme", body)
		if err == nil && (!strings.HasPrefix(id, "acme/") || c.Object == nil) {
			t.Errorf("%q, %+v", id, c)
		}
	})
}
