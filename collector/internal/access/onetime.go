package access

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// OneTimeLife is how long a password holds that somebody else set.
const OneTimeLife = 24 * time.Hour

// oneTimeMark begins what is kept of a one-time password, in the place of a hash.
const oneTimeMark = "once"

// OneTime is a password that somebody else set: it opens one sign-in, until it
// expires, in which its owner sets their own.
type OneTime struct {
	By      string // account of who set it
	Expires time.Time
	hash    string
}

// HashOneTime returns what is kept of a one-time password.
func HashOneTime(password, by string, expires time.Time) (string, error) {
	hash, err := HashPassword(password)
	if err != nil {
		return "", err
	}
	if strings.Contains(by, "$") {
		return "", errors.New("one-time password: who sets it has no id of an account")
	}
	return strings.Join([]string{oneTimeMark, strconv.FormatInt(expires.UnixNano(), 10), by}, "$") + hash, nil
}

// OneTimeOf reads what is kept of a password; ok is false if it is its owner's own.
func OneTimeOf(kept string) (o OneTime, ok bool) {
	parts := strings.SplitN(kept, "$", 4)
	if len(parts) != 4 || parts[0] != oneTimeMark {
		return OneTime{}, false
	}
	ns, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil {
		ns = 0 // it is over
	}
	return OneTime{By: parts[2], Expires: time.Unix(0, ns), hash: "$" + parts[3]}, true
}

// Errors of a password that is set in the place of a one-time password.
var (
	errOwnPassword  = errors.New("new_password: the password that was given to you is good for this once: set one of your own, 12 to 200 characters")
	errSamePassword = errors.New("new_password: it is the one that was given to you: set one of your own")
	errNoOneTime    = errors.New("new_password: is taken in the place of a one-time password alone")
)

// ownPassword hashes what a person sets in the place of a one-time password.
func ownPassword(kept, text string) (hash string, err error) {
	if hash, err = HashPassword(text); err != nil {
		return "", errOwnPassword
	}
	o, _ := OneTimeOf(kept)
	same, err := checkPassword(o.hash, text)
	if err == nil && same {
		err = errSamePassword
	}
	return hash, err
}

// setOwn sets it. The one-time password is used up: nobody else sets another with it.
func (g *Guard) setOwn(r *http.Request, account, kept, hash string) error {
	ok, err := g.users.SetPassword(signingIn(r.Context(), account, "user.own_password"), account, kept, hash)
	if err == nil && !ok {
		err = errRefused
	}
	return err
}

// newPasswordStep takes a person's own password, the last step of a sign-in with a
// one-time password.
func (g *Guard) newPasswordStep(w http.ResponseWriter, r *http.Request, post bool) {
	s, ok := g.at(w, r, wantsPassword)
	if !ok {
		return
	}
	if !post {
		showStep(w, http.StatusOK, "new-password", signInView{})
		return
	}
	hash, err := ownPassword(s.once, r.PostForm.Get("password"))
	if err == nil {
		err = g.setOwn(r, s.user, s.once, hash)
	}
	if err != nil {
		g.refuseStep(w, r, "new-password", signInView{}, err)
		return
	}
	next := s.next
	s.once = ""
	if _, err := g.complete(w, r, s, s.strong); err != nil {
		g.refuseSignIn(w, r, err)
		return
	}
	showOpen(w, "Signed in", "The desk opens by itself.", next)
}
