package store

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flopwatch/flopwatch/collector/internal/permission"
)

// sessionAt is a session of a user, made and used at instants.
func sessionAt(user string, i int, made, used time.Time) permission.Session {
	return permission.Session{Hash: fmt.Sprintf("%064x", i), User: user, Door: "public", Made: made, Used: used, Proved: made, Strong: true, SignOut: "https://idp.example/end"}
}

// Sessions are what was kept, are bounded by person and in all, and end for good.
func TestSessions(t *testing.T) {
	s := open(t, t.TempDir())
	ctx := t.Context()
	for _, id := range []string{"usr_a", "usr_b"} {
		if err := s.AddUser(ctx, id, id[4:]+"na", []permission.Role{permission.Viewer}, "hash", noon); err != nil {
			t.Fatal(err)
		}
	}
	keep := func(n permission.Session) {
		t.Helper()
		if err := s.OpenSession(ctx, n, 3, 5, n.Made.Add(-30*time.Minute), n.Made.Add(-12*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	hashes := func(user string) (out []string) {
		t.Helper()
		all, err := s.SessionsOf(ctx, user)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range all {
			out = append(out, n.Hash[62:])
		}
		return out
	}
	want := func(when, user string, want ...string) {
		t.Helper()
		if got := hashes(user); !slices.Equal(got, want) {
			t.Errorf("%s: %v of %s, want %v", when, got, user, want)
		}
	}
	for i := range 4 {
		at := noon.Add(time.Duration(i) * time.Second)
		keep(sessionAt("usr_a", i, at, at))
	}
	want("the one used the longest ago went", "usr_a", "03", "02", "01")
	got, ok, err := s.Session(ctx, fmt.Sprintf("%064x", 3))
	if d := cmp.Diff(sessionAt("usr_a", 3, noon.Add(3*time.Second), noon.Add(3*time.Second)), got); !ok || err != nil || d != "" {
		t.Errorf("%v %v (-want +got):\n%s", ok, err, d)
	}
	if _, ok, err := s.Session(ctx, fmt.Sprintf("%064x", 0)); ok || err != nil {
		t.Errorf("one that went: %v, %v", ok, err)
	}
	if err := s.SessionUsed(ctx, fmt.Sprintf("%064x", 1), noon.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if err := s.SessionUsed(ctx, fmt.Sprintf("%064x", 1), noon); err != nil { // late, and earlier
		t.Fatal(err)
	}
	want("one was used", "usr_a", "01", "03", "02")
	for i := range 3 {
		at := noon.Add(2*time.Minute + time.Duration(i)*time.Second)
		keep(sessionAt("usr_b", 16+i, at, at))
	}
	want("in all there may be five", "usr_a", "01", "03")
	keep(sessionAt("usr_b", 32, noon.Add(30*time.Minute+30*time.Second), noon.Add(30*time.Minute+30*time.Second)))
	want("what is over goes when somebody signs in", "usr_a", "01")
	if n, err := s.EndSession(ctx, fmt.Sprintf("%064x", 1), fmt.Sprintf("%064x", 99)); n != 1 || err != nil {
		t.Errorf("%d ended, %v", n, err)
	}
	want("it was ended", "usr_a")
}

// A new password, a disabled account and a second factor that is taken away end the
// sessions of the person in the same commit, but for the one that does it.
func TestSessionsEndWithWhatTheyRestOn(t *testing.T) {
	s := open(t, t.TempDir())
	if err := s.AddUser(t.Context(), "usr_a", "ana", []permission.Role{permission.Viewer}, "hash", noon); err != nil {
		t.Fatal(err)
	}
	ctx := permission.With(t.Context(), permission.Principal{ID: "usr_a", Session: "ses_0000000000000000"})
	for name, c := range map[string]struct {
		do    func() error
		stays int
	}{
		"roles": {func() error { return s.ChangeUser(ctx, "usr_a", func(a *Account) error { a.Roles = nil; return nil }) }, 2},
		"password": {func() error {
			return s.ChangeUser(ctx, "usr_a", func(a *Account) error { a.Password += "x"; return nil })
		}, 1},
		"by another": {func() error {
			return s.ChangeUser(t.Context(), "usr_a", func(a *Account) error { a.Password += "x"; return nil })
		}, 0},
		"factor": {func() error {
			return s.ChangeUser(ctx, "usr_a", func(a *Account) error { a.DropFactor = true; return nil })
		}, 1},
		"restore": {func() error { return s.RecordRestore(ctx, "backup", "a disk broke") }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			for i, hash := range []string{fmt.Sprintf("%064x", 7), fmt.Sprintf("%064d", 0)[:16] + "f" + fmt.Sprintf("%047x", 1)} {
				n := sessionAt("usr_a", i, noon, noon)
				if n.Hash = hash; i == 0 {
					n.Hash = "abcdef0123456789" + hash[16:]
				}
				if err := s.OpenSession(t.Context(), n, 16, 100, noon.Add(-time.Hour), noon.Add(-time.Hour)); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.do(); err != nil {
				t.Fatal(err)
			}
			all, err := s.SessionsOf(t.Context(), "usr_a")
			if err != nil || len(all) != c.stays {
				t.Errorf("%d sessions are left, want %d; %v", len(all), c.stays, err)
			}
			for _, n := range all {
				if _, err := s.EndSession(t.Context(), n.Hash); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
