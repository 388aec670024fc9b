package collector

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/draft"
	"github.com/flopwatch/flopwatch/collector/internal/httpapi"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
	"github.com/flopwatch/flopwatch/collector/internal/store"
	"github.com/flopwatch/flopwatch/pkg/audit"
)

// A proposal that waited while a newer version was approved does not bring an older
// text back: that would be a roll-back under the guise of an approval.
func TestAnOlderProposalIsNotApprovedAfterANewerOne(t *testing.T) {
	st, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "flopwatch.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	p := policies{store: st, reader: store.NewReader(st, "test", false)}
	as := func(id string) context.Context {
		ctx := permission.With(t.Context(), permission.Principal{ID: id, Roles: permission.People, SignedIn: time.Now()})
		return audit.With(ctx, audit.Act{Actor: audit.Actor{Kind: audit.Person, ID: id}})
	}
	propose := func(version int, from time.Time) apitypes.Policy {
		text := fmt.Sprintf("version: %d\ntitle: Settings %d\nlayers: [{sample_period: 2s}]\nrollout: {steps: [1, 10, 100], hold: 10m}\n", version, version)
		made, err := p.DraftPolicy(as("usr_ana"), apitypes.PolicyText{Kind: string(draft.Settings), File: "s.yaml", Text: text})
		if err == nil {
			made, err = p.ActOnPolicy(as("usr_ana"), made.ID, 0, apitypes.PolicyAct{Act: "propose", Reason: "because", From: from})
		}
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	approve := func(made apitypes.Policy) error {
		var digest string
		all, err := st.Policies(t.Context())
		for _, x := range all {
			if x.ID == made.ID {
				digest = hex.EncodeToString(x.Proposal.Digest[:])
			}
		}
		if err == nil {
			_, err = p.ActOnPolicy(as("usr_ben"), made.ID, 0, apitypes.PolicyAct{Act: "approve", Digest: digest})
		}
		return err
	}
	refused := func(what string, err error) {
		var no *httpapi.Refusal
		if !errors.As(err, &no) || no.Status != http.StatusConflict {
			t.Errorf("%s: %v", what, err)
		}
	}
	now := time.Now()
	old, same, newer := propose(2, now), propose(3, now), propose(3, now)
	scheduled, later := propose(5, now.Add(time.Hour)), propose(4, now.Add(2*time.Hour))
	for _, made := range []apitypes.Policy{newer, scheduled} {
		if err := approve(made); err != nil {
			t.Fatal(err)
		}
	}
	refused("an older version than that in force", approve(old))
	refused("another text of the version in force", approve(same))
	refused("an older version than that which comes before it", approve(later))
	all, err := st.Policies(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []struct {
		when time.Time
		want int
	}{{time.Now(), 3}, {now.Add(3 * time.Hour), 5}} {
		if in := draft.Current(all, draft.Settings, at.when); len(in) != 1 || in[0].Number != at.want {
			t.Errorf("in force at %s: %+v, want version %d", at.when, in, at.want)
		}
	}
	// What is approved over one that is scheduled stays when that one's time has come.
	if err := approve(propose(6, now)); err != nil {
		t.Fatal(err)
	}
	if all, err = st.Policies(t.Context()); err != nil {
		t.Fatal(err)
	}
	if in := draft.Current(all, draft.Settings, now.Add(3*time.Hour)); len(in) != 1 || in[0].Number != 6 {
		t.Errorf("in force after the scheduled one was overtaken: %+v", in)
	}
	if v, _, err := p.reader.Policy(t.Context(), scheduled.ID); err != nil || v.State != string(draft.Superseded) {
		t.Errorf("the overtaken one is %s: %v", v.State, err)
	}
}
