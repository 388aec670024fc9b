package access

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/permission"
	"github.com/flopwatch/flopwatch/collector/internal/sealing"
	"github.com/flopwatch/flopwatch/collector/internal/totp"
	"github.com/flopwatch/flopwatch/pkg/audit"
)

// Factors keeps second factors. What it writes is audited as the act of the context.
type Factors interface {
	// SecondFactor returns that of an account; ok is false if it has none.
	SecondFactor(ctx context.Context, account string) (f permission.SecondFactor, ok bool, err error)
	PutSecondFactor(ctx context.Context, account string, f permission.SecondFactor) error
	// AddSecondFactor is PutSecondFactor for an account that has none; ok is false if it has one.
	AddSecondFactor(ctx context.Context, account string, f permission.SecondFactor) (ok bool, err error)
	// NoteEnrolment tells in the audit log that an enrolment was begun.
	NoteEnrolment(ctx context.Context, account string) error
	// UseStep uses up the code of a step; ok is false if it or a later one was used before.
	UseStep(ctx context.Context, account string, step int64) (ok bool, err error)
	// UseRecovery uses up a recovery code by its hash; ok is false if none such is left.
	UseRecovery(ctx context.Context, account, hash string) (ok bool, err error)
}

// FactorKeySize is the length of the key that seals secrets of second factors, in bytes.
const FactorKeySize = 32

// recoveryCodes is how many an enrolment gives.
const recoveryCodes = 10

// factors knows second factors, sealed. A nil one asks nobody for one.
type factors struct {
	keep Factors
	key  []byte
}

func newFactors(keep Factors, key []byte) (*factors, error) {
	if keep == nil {
		return nil, nil
	}
	if len(key) != FactorKeySize {
		return nil, fmt.Errorf("key of second factors: %d bytes, not %d", len(key), FactorKeySize)
	}
	return &factors{keep, key}, nil
}

// wants returns what is left to do for a person whose password was right.
func (f *factors) wants(ctx context.Context, u permission.User) (stage, error) {
	if f == nil {
		return complete, nil
	}
	_, has, err := f.keep.SecondFactor(ctx, u.ID)
	switch {
	case err != nil:
		return wantsCode, err
	case has:
		return wantsCode, nil
	case permission.NeedSecondFactor(u.Roles):
		return wantsEnrolment, nil
	}
	return complete, nil
}

// check reports whether a code is the person's, and uses it up.
func (f *factors) check(ctx context.Context, account, code string, now time.Time) (bool, error) {
	have, ok, err := f.keep.SecondFactor(ctx, account)
	if err != nil || !ok {
		return false, err
	}
	ctx = signingIn(ctx, account, "user.sign_in")
	code = strings.ToLower(strings.NewReplacer(" ", "", "-", "").Replace(code))
	if len(code) != totp.Digits {
		return f.keep.UseRecovery(ctx, account, f.hash(account, code))
	}
	secret, err := f.open(have.Sealed, account)
	if err != nil {
		return false, fmt.Errorf("second factor of %s: %w", account, err)
	}
	step, ok := totp.Check(secret, code, now, have.Step)
	if !ok {
		return false, nil
	}
	return f.keep.UseStep(ctx, account, step)
}

// Why an enrolment is in the audit log, which is where its owner sees that somebody
// else who has the password began one.
const (
	begunFirst = "a secret was offered"
	begunAnew  = "a secret was offered; the one that was offered before and not confirmed is void"
)

// begun tells that an enrolment was begun, and whether it voids another one.
func (f *factors) begun(ctx context.Context, account string, voids bool) error {
	why := begunFirst
	if voids {
		why = begunAnew
	}
	return f.keep.NoteEnrolment(audit.Because(signingIn(ctx, account, "user.enrol_begin"), "user.enrol_begin", why), account)
}

// enrol keeps a secret once its first code was right, and returns new recovery codes.
// An account that has a second factor keeps that one.
func (f *factors) enrol(ctx context.Context, account string, secret []byte, code string, now time.Time) (recovery []string, ok bool, err error) {
	step, ok := totp.Check(secret, strings.ReplaceAll(code, " ", ""), now, -1)
	if !ok {
		return nil, false, nil
	}
	sealed, err := f.seal(secret, account)
	if err != nil {
		return nil, false, fmt.Errorf("seal second factor of %s: %w", account, err)
	}
	recovery, hashes := f.newRecovery(account)
	next := permission.SecondFactor{Sealed: sealed, Step: step, Recovery: hashes, Made: now}
	ok, err = f.keep.AddSecondFactor(signingIn(ctx, account, "user.enrol"), account, next)
	return recovery, ok, err
}

// renew gives a person new recovery codes; those before are worth nothing.
func (f *factors) renew(ctx context.Context, account string) (recovery []string, err error) {
	have, ok, err := f.keep.SecondFactor(ctx, account)
	if err != nil || !ok {
		return nil, errors.Join(errors.New("there is no second factor"), err)
	}
	recovery, have.Recovery = f.newRecovery(account)
	return recovery, f.keep.PutSecondFactor(audit.Because(ctx, "user.recovery_codes", ""), account, have)
}

func (f *factors) newRecovery(account string) (codes, hashes []string) {
	for range recoveryCodes {
		var b [10]byte
		rand.Read(b[:]) // never fails
		text := strings.ToLower(base32.StdEncoding.EncodeToString(b[:]))[:12]
		codes, hashes = append(codes, text[:4]+"-"+text[4:8]+"-"+text[8:]), append(hashes, f.hash(account, text))
	}
	return codes, hashes
}

// hash is of a recovery code, under the key, so that the database alone does not tell
// which codes there are.
func (f *factors) hash(account, code string) string {
	mac := hmac.New(sha256.New, f.key)
	mac.Write([]byte("recovery\x00" + account + "\x00" + code))
	return hex.EncodeToString(mac.Sum(nil))
}

// seal seals a secret to its account: in another one's row it does not open.
func (f *factors) seal(secret []byte, account string) ([]byte, error) {
	return sealing.Seal(f.key, secret, "totp", account)
}

func (f *factors) open(sealed []byte, account string) ([]byte, error) {
	secret, err := sealing.Open(f.key, sealed, "totp", account)
	if errors.Is(err, sealing.ErrShut) {
		return nil, errors.New("it does not open: it was changed, belongs elsewhere, or the master key of the vault is another one")
	}
	return secret, err
}

// signingIn is the context of what a person does who is not signed in yet.
func signingIn(ctx context.Context, account, action string) context.Context {
	return audit.With(ctx, audit.Act{Actor: audit.Actor{Kind: audit.Person, ID: account}, Action: action, Request: "req_" + rand.Text()})
}
