// Package totp computes and checks one-time codes of authenticator apps, as
// RFC 6238 has them: HMAC over the number of the time step. It reads no clock;
// which codes were used before is for the caller to remember, by their step.
package totp

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // what every authenticator app computes; an HMAC does not need collision resistance
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"hash"
	"net/url"
	"strings"
	"time"
)

// Period is the length of a time step, Digits of a code, SecretSize of a new
// secret in bytes (the length of SHA-1, as RFC 4226 recommends).
const (
	Period     = 30 * time.Second
	Digits     = 6
	SecretSize = 20
)

// Drift is how many steps a code may lie before or after the clock.
const Drift = 1

// Step is the number of the time step at t.
func Step(t time.Time) int64 { return t.Unix() / int64(Period/time.Second) }

// Code returns the code of a step.
func Code(secret []byte, step int64) string { return code(sha1.New, secret, step, Digits) }

func code(h func() hash.Hash, secret []byte, step int64, digits int) string {
	mac := hmac.New(h, secret)
	var counter [8]byte
	binary.BigEndian.PutUint64(counter[:], uint64(step))
	mac.Write(counter[:])
	sum := mac.Sum(nil)
	at := sum[len(sum)-1] & 0xf
	n := binary.BigEndian.Uint32(sum[at:at+4]) & 0x7fffffff
	limit := uint32(1)
	for range digits {
		limit *= 10
	}
	return fmt.Sprintf("%0*d", digits, n%limit)
}

// Check returns the step that a code is of: a step within Drift of t and after the
// last one that was used, so that no code is good twice. It compares every
// candidate, whatever matches, so the time taken tells nothing.
func Check(secret []byte, text string, t time.Time, used int64) (step int64, ok bool) {
	now := Step(t)
	for s := now - Drift; s <= now+Drift; s++ {
		same := subtle.ConstantTimeCompare([]byte(Code(secret, s)), []byte(text)) == 1
		if same && s > used && !ok {
			step, ok = s, true
		}
	}
	return step, ok
}

var encoding = base32.StdEncoding.WithPadding(base32.NoPadding)

// Text is a secret as people type it into an app, in groups of four.
func Text(secret []byte) string {
	all := encoding.EncodeToString(secret)
	var groups []string
	for len(all) > 4 {
		groups, all = append(groups, all[:4]), all[4:]
	}
	return strings.Join(append(groups, all), " ")
}

// URI is what an app reads from a QR code. Issuer and account name the entry in
// the app; neither should tell more than a login does.
func URI(issuer, account string, secret []byte) string {
	q := url.Values{"secret": {encoding.EncodeToString(secret)}, "issuer": {issuer}}
	return "otpauth://totp/" + url.PathEscape(issuer+":"+account) + "?" + q.Encode()
}
