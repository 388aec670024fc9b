// Package webhook reads what vendors that verify identities send: signed,
// timestamped events in one generic schema. It is pure.
package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/collector/internal/party/control"
	"github.com/flopwatch/flopwatch/collector/internal/strictjson"
	"github.com/flopwatch/flopwatch/pkg/table"
)

// SignatureHeader carries "t=UNIX_SECONDS,v1=HEX": the HMAC-SHA256 of the
// seconds, a dot and the body. A vendor may send two v1 while it changes keys.
const SignatureHeader = "Flopwatch-Signature"

// Tolerance is how far the time of a signature may be from now.
const Tolerance = 5 * time.Minute

// MaxBody is the longest event in bytes.
const MaxBody = 64 << 10

// Errors of Verify and Read. They repeat nothing of what was sent.
var (
	ErrSignature = errors.New("the signature is missing or wrong")
	ErrTime      = errors.New("the signature is older or newer than 5 minutes")
	ErrEvent     = errors.New("the event is not as docs/customers.md describes it")
)

// Sign returns the header of a body signed at an instant.
func Sign(secret, body []byte, at time.Time) string {
	t := strconv.FormatInt(at.Unix(), 10)
	return "t=" + t + ",v1=" + hex.EncodeToString(mac(secret, t, body))
}

func mac(secret []byte, t string, body []byte) []byte {
	m := hmac.New(sha256.New, secret)
	m.Write([]byte(t + "."))
	m.Write(body)
	return m.Sum(nil)
}

// Verify holds a body against its header. It says nothing of replays within the
// tolerance: those the id of the event shows.
func Verify(secret []byte, header string, body []byte, now time.Time) error {
	var t string
	var given [][]byte
	for part := range strings.SplitSeq(header, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "t":
			t = value
		case "v1":
			if sum, err := hex.DecodeString(value); err == nil && len(given) < 4 {
				given = append(given, sum)
			}
		}
	}
	seconds, err := strconv.ParseInt(t, 10, 64)
	if err != nil || len(secret) == 0 || len(given) == 0 {
		return ErrSignature
	}
	want, good := mac(secret, t, body), false
	for _, sum := range given {
		good = hmac.Equal(sum, want) || good
	}
	if !good {
		return ErrSignature
	}
	if at := time.Unix(seconds, 0); now.Sub(at).Abs() > Tolerance {
		return ErrTime
	}
	return nil
}

// event is the generic schema. The party is our id, which the vendor was given
// as its reference.
type event struct {
	ID       string `json:"id"`
	Type     string `json:"type"`
	Party    string `json:"party"`
	Outcome  string `json:"outcome"`
	Method   string `json:"method"`
	USPerson string `json:"us_person"`
	At       string `json:"at"`
	Until    string `json:"valid_until"`
	Problem  string `json:"problem"`
	Document struct {
		Type    string `json:"type"`
		Issuer  string `json:"issuer"`
		Expires string `json:"expires"`
		Number  string `json:"number"`
		Place   string `json:"place"`
	} `json:"document"`
	Evidence []string `json:"evidence"`
}

// Read reads the verification that a vendor's event tells of. ID is the event's,
// under the vendor's name.
func Read(vendor string, body []byte) (id string, change party.Change, err error) {
	var e event
	if err := strictjson.Decode(body, &e); err != nil {
		return "", change, fmt.Errorf("%w: it is not JSON of the schema, or has keys twice or that are not in it", ErrEvent)
	}
	fault := func(key, rule string) error { return fmt.Errorf("%w: %s %s", ErrEvent, key, rule) }
	if !table.Identifier(e.ID) || len(e.ID) > 40 {
		return "", change, fault("id", "must be 1 to 40 letters, digits, '.', '_', ':' or '-'")
	}
	if !table.Identifier(e.Party) {
		return "", change, fault("party", "must be the id of a party")
	}
	if e.Type != "verification.completed" && e.Type != "verification.pending" {
		return "", change, fault("type", "must be verification.completed or verification.pending")
	}
	v := party.Verification{ID: "ver_" + vendor + "_" + e.ID, Party: e.Party, Method: party.Method(e.Method), Outcome: party.Outcome(e.Outcome), USPerson: control.Answer(e.USPerson),
		Verifier: "vendor:" + vendor, Problem: e.Problem, Document: e.Document.Type, Issuer: e.Document.Issuer, Evidence: e.Evidence}
	if e.Type == "verification.pending" {
		v.Outcome = party.Pending
	}
	switch {
	case v.Outcome != party.Verified && v.Outcome != party.Failed && v.Outcome != party.Pending:
		return "", change, fault("outcome", "must be verified, failed or pending")
	case v.Outcome == party.Verified && v.Method != party.Documentary && v.Method != party.NonDocumentary && v.Method != party.Reliance:
		return "", change, fault("method", "must be documentary, non_documentary or reliance")
	case v.USPerson != "" && v.USPerson != control.Yes && v.USPerson != control.No && v.USPerson != control.Unknown:
		return "", change, fault("us_person", "must be yes, no, unknown or empty")
	}
	for _, text := range []struct{ key, value string }{{"problem", v.Problem}, {"document.type", v.Document}, {"document.issuer", v.Issuer}, {"document.number", e.Document.Number}, {"document.place", e.Document.Place}} {
		if !table.Readable(text.value, 200) {
			return "", change, fault(text.key, "must be text of at most 200 bytes without control, direction or invisible characters")
		}
	}
	for _, ref := range v.Evidence {
		if !table.Readable(ref, 200) {
			return "", change, fault("evidence", "must be texts of at most 200 bytes")
		}
	}
	for _, t := range []struct {
		key, value string
		into       *time.Time
	}{{"at", e.At, &v.At}, {"valid_until", e.Until, &v.ValidUntil}, {"document.expires", e.Document.Expires, &v.Expires}} {
		if t.value == "" {
			continue
		}
		if *t.into, err = time.Parse(time.RFC3339, t.value); err != nil {
			return "", change, fault(t.key, "must be a time such as 2026-01-31T12:00:00Z")
		}
		*t.into = t.into.UTC()
	}
	if v.At.IsZero() {
		return "", change, fault("at", "is missing")
	}
	change = party.Change{Object: v, Source: "vendor:" + vendor}
	for name, value := range map[string]string{"document_number": e.Document.Number, "document_place": e.Document.Place} {
		if value != "" {
			if change.Personal == nil {
				change.Personal = map[string]string{}
			}
			change.Personal[name] = value
		}
	}
	return vendor + "/" + e.ID, change, nil
}
