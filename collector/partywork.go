package collector

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/httpapi"
	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/collector/internal/party/foreign"
	"github.com/flopwatch/flopwatch/collector/internal/party/intake"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
	"github.com/flopwatch/flopwatch/collector/internal/screening"
	"github.com/flopwatch/flopwatch/collector/internal/store"
	"github.com/flopwatch/flopwatch/collector/internal/vault"
	"github.com/flopwatch/flopwatch/pkg/audit"
	"github.com/flopwatch/flopwatch/pkg/table"
)

// refreshEvery is how often foreign statuses are worked out anew: with time alone
// verifications expire.
const refreshEvery = 10 * time.Minute

// parties does what people and programs do about who customers are, for the API.
// Personal data go between here and the vault, and nowhere else.
type parties struct {
	store   *store.Store
	reader  *store.Reader
	vault   *vault.Vault
	changed func()            // what is derived from customers is to be derived anew
	screen  *screening.Client // nil if no server is named
	log     *slog.Logger
	now     func() time.Time
}

// sealer lets the store seal in the vault.
type sealer struct{ *vault.Vault }

// Seal seals personal data.
func (s sealer) Seal(ctx context.Context, all []store.Personal) error {
	items := make([]vault.Item, len(all))
	for i, p := range all {
		items[i] = vault.Item{ID: p.ID, Party: p.Party, Fields: p.Fields}
	}
	return s.Vault.Seal(ctx, items)
}

// run keeps statuses up to date until its context ends.
func (p parties) run(ctx context.Context) error {
	tick := time.NewTicker(refreshEvery)
	defer tick.Stop()
	for {
		changed, err := p.store.RefreshStatuses(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			p.log.LogAttrs(ctx, slog.LevelError, "foreign statuses could not be refreshed", slog.String("error", err.Error()))
		case changed:
			p.changed()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// reapply erases again what was erased: a vault restored from a backup may still
// have the keys.
func (p parties) reapply(ctx context.Context) error {
	now := p.now()
	s, err := p.store.Parties(ctx, now, now)
	if err != nil {
		return err
	}
	for _, id := range party.Ordered(s.Erasures) {
		if _, err := p.vault.Erase(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// seen says when each account was accessed last.
func seen(v *vault.Vault) store.Seen {
	return func(ctx context.Context) (map[string]time.Time, error) {
		all, err := v.Seen(ctx)
		out := make(map[string]time.Time, len(all))
		for id, s := range all {
			out[id] = s.Last
		}
		return out, err
	}
}

// prepare puts keyed hashes and digests of what is personal into the changes.
func (p parties) prepare(changes []party.Change) error {
	for i := range changes {
		var err error
		switch o := changes[i].Object.(type) {
		case party.Party:
			if len(changes[i].Personal) > 0 {
				o.Digest, err = p.vault.Digest(o.ID, changes[i].Personal)
			}
			changes[i].Object = o
		case party.Verification:
			if len(changes[i].Personal) > 0 {
				o.Digest, err = p.vault.Digest(o.Party, changes[i].Personal)
			}
			changes[i].Object = o
		case party.Identifier:
			normal, coarse, fault := party.Normal(o.Type, changes[i].Personal["value"])
			if err = fault; err == nil {
				o.Hash = p.vault.Hash(string(o.Type), normal)
				if coarse != "" {
					o.Coarse = p.vault.Hash(string(o.Type)+"_net", coarse)
				}
			}
			changes[i].Object = o
		}
		if err != nil {
			return fmt.Errorf("%s: value: %w", changes[i].Source, err)
		}
	}
	return nil
}

// record records changes and has derived anew what rests on them.
func (p parties) record(ctx context.Context, changes []party.Change, dryRun bool) (party.Diff, error) {
	return p.decide(ctx, func(party.Snapshot) ([]party.Change, error) { return changes, nil }, dryRun)
}

func (p parties) decide(ctx context.Context, f func(party.Snapshot) ([]party.Change, error), dryRun bool) (party.Diff, error) {
	diff, err := p.store.DecideParties(ctx, f, sealer{p.vault}, dryRun)
	if err == nil && !dryRun && len(diff.New)+len(diff.Changed) > 0 {
		p.changed()
	}
	if errors.Is(err, vault.ErrErased) {
		return diff, refused(http.StatusConflict, "the personal data of one of the parties were erased; new ones are not sealed for it")
	}
	return diff, err
}

func refused(status int, why string) error { return &httpapi.Refusal{Status: status, Why: why} }

// ImportParties reads a file and records it whole or not at all.
func (p parties) ImportParties(ctx context.Context, name, format string, data []byte, dryRun bool) (apitypes.PartyDiff, error) {
	read := intake.ReadCSV
	if format == "ndjson" {
		read = intake.ReadNDJSON
	}
	changes, err := read(name, data)
	if err == nil {
		err = p.prepare(changes)
	}
	if err != nil {
		return apitypes.PartyDiff{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, importTimeout)
	defer cancel()
	diff, err := p.record(audit.Because(ctx, "party.import", ""), changes, dryRun)
	return apitypes.PartyDiff{DryRun: dryRun, New: diff.New, Changed: diff.Changed, Unchanged: diff.Unchanged}, err
}

// AddAccesses adds rows of the access log.
func (p parties) AddAccesses(ctx context.Context, name string, data []byte) (apitypes.AccessFeed, error) {
	rows, err := intake.ReadAccesses(name, data)
	if err != nil {
		return apitypes.AccessFeed{}, err
	}
	now := p.now()
	s, err := p.store.Parties(ctx, now, now)
	if err != nil {
		return apitypes.AccessFeed{}, err
	}
	entries := make([]vault.Access, len(rows))
	var faults []error
	for i, row := range rows {
		account, known := s.Accounts[row.Account]
		if !known && len(faults) < 100 {
			faults = append(faults, fmt.Errorf("%s:%d: account: is not known", name, row.Line))
		}
		who := s.Contracts[account.Customer].Party
		if who == "" {
			who = account.Customer
		}
		entries[i] = vault.Access{Account: row.Account, Party: who, At: row.At, IP: row.IP, Action: row.Action}
	}
	if len(faults) > 0 {
		return apitypes.AccessFeed{}, errors.Join(faults...)
	}
	added, err := p.vault.AddAccess(ctx, entries)
	if err != nil {
		return apitypes.AccessFeed{}, err
	}
	sum := sha256.Sum256(data)
	digest := hex.EncodeToString(sum[:])
	_, err = p.store.LogFeed(audit.Because(ctx, "access_log.append", ""), "access/"+digest[:32], len(rows), digest)
	return apitypes.AccessFeed{Rows: len(rows), Added: added}, err
}

// Reveal unseals personal data of a party, after it logged who reads them and why.
func (p parties) Reveal(ctx context.Context, id string, ask apitypes.RevealRequest) (apitypes.Revealed, error) {
	s, err := p.mayReveal(ctx, id, ask.Reason)
	if err != nil {
		return apitypes.Revealed{}, err
	}
	out := apitypes.Revealed{Party: id, Fields: map[string]string{}, Identifiers: []apitypes.RevealedIdentifier{}, Documents: []apitypes.RevealedDocument{}}
	fields := ask.Fields
	if len(fields) == 0 {
		fields = []string{"all"}
	}
	for _, f := range fields {
		if f != "all" && f != "identifiers" && f != "documents" && !slices.Contains(intake.Personal, f) {
			return out, refused(http.StatusUnprocessableEntity, "fields: each must be identifiers, documents or one of "+strings.Join(intake.Personal, ", "))
		}
	}
	if err := p.store.LogReveal(ctx, id, fields, ask.Reason); err != nil {
		return out, err
	}
	wants := func(f string) bool { return slices.Contains(fields, "all") || slices.Contains(fields, f) }
	sealed := s.Parties[id].Sealed
	ids := []string{}
	if sealed != "" {
		ids = append(ids, sealed)
	}
	for _, d := range s.Identifiers {
		if d.Party == id && d.Sealed != "" && wants("identifiers") {
			ids = append(ids, d.Sealed)
		}
	}
	for _, v := range s.Verifications {
		if v.Party == id && v.Sealed != "" && wants("documents") {
			ids = append(ids, v.Sealed)
		}
	}
	items, missing, err := p.vault.Unseal(ctx, ids)
	if err != nil {
		return out, err
	}
	for _, why := range missing {
		out.Erased = out.Erased || errors.Is(why, vault.ErrErased)
	}
	for f, value := range items[sealed] {
		if wants(f) {
			out.Fields[f] = value
		}
	}
	for _, at := range party.Ordered(s.Identifiers) {
		if item, ok := items[s.Identifiers[at].Sealed]; ok && s.Identifiers[at].Party == id {
			out.Identifiers = append(out.Identifiers, apitypes.RevealedIdentifier{ID: at, Type: string(s.Identifiers[at].Type), Value: item["value"]})
		}
	}
	for _, at := range party.Ordered(s.Verifications) {
		if item, ok := items[s.Verifications[at].Sealed]; ok && s.Verifications[at].Party == id {
			out.Documents = append(out.Documents, apitypes.RevealedDocument{Verification: at, Number: item["document_number"], Place: item["document_place"]})
		}
	}
	return out, nil
}

// RevealAccesses unseals the newest accesses to an account, after it logged who
// reads them and why.
func (p parties) RevealAccesses(ctx context.Context, account, reason string) ([]apitypes.RevealedAccess, error) {
	now := p.now()
	s, err := p.store.Parties(ctx, now, now)
	if err != nil {
		return nil, err
	}
	a, known := s.Accounts[account]
	if !known {
		return nil, refused(http.StatusNotFound, "there is no such account")
	}
	who := s.Contracts[a.Customer].Party
	if who != "" {
		_, err = p.mayReveal(ctx, who, reason)
	} else {
		// Of a customer without a party the accesses are sealed under the customer's own id.
		who = a.Customer
		err = p.mayRevealCustomer(ctx, who, reason)
	}
	if err != nil {
		return nil, err
	}
	if err := p.store.LogReveal(ctx, who, []string{"accesses:" + account}, reason); err != nil {
		return nil, err
	}
	all, err := p.vault.Accesses(ctx, account, 1000)
	if errors.Is(err, vault.ErrErased) {
		return nil, refused(http.StatusGone, "the personal data were erased")
	}
	out := make([]apitypes.RevealedAccess, len(all))
	for i, e := range all {
		out[i] = apitypes.RevealedAccess{At: e.At, IP: e.IP.String(), Action: e.Action}
	}
	return out, err
}

var errNoReason = refused(http.StatusUnprocessableEntity, "reason: is empty; personal data are read for a reason, which goes into the audit log")

// saidWhy refuses what is no reason to read personal data.
func saidWhy(reason string) error {
	switch {
	case strings.TrimSpace(reason) == "":
		return errNoReason
	case !table.Readable(reason, 1000):
		return refused(http.StatusUnprocessableEntity, "reason: must be text of at most 1000 bytes without control, direction or invisible characters")
	}
	return nil
}

// mayReveal refuses without a reason, and to those who may read of their own
// cases only, of others.
func (p parties) mayReveal(ctx context.Context, id, reason string) (party.Snapshot, error) {
	book, s, err := p.reader.Programme(ctx, desk.PartyQuery{})
	if err != nil {
		return s, err
	}
	if err := saidWhy(reason); err != nil {
		return s, err
	}
	if _, known := s.Parties[id]; !known {
		return s, refused(http.StatusNotFound, "there is no such party")
	}
	mine, every, err := p.own(ctx)
	if err != nil || every {
		return s, err
	}
	for _, c := range book.Customers() {
		if mine[c.ID] && (c.Party == id || slices.ContainsFunc(c.Determination.Owners, func(o foreign.Owner) bool { return o.Party == id })) {
			return s, nil
		}
	}
	return s, errNotTheirs
}

// mayRevealCustomer is mayReveal for a customer who has no party.
func (p parties) mayRevealCustomer(ctx context.Context, customer, reason string) error {
	if err := saidWhy(reason); err != nil {
		return err
	}
	mine, every, err := p.own(ctx)
	if err != nil || every || mine[customer] {
		return err
	}
	return errNotTheirs
}

var errNotTheirs = refused(http.StatusForbidden, "analysts read personal data of customers of their own cases only")

// own returns the subjects of the cases of who asks, or that they may read
// personal data of every customer.
func (p parties) own(ctx context.Context) (mine map[string]bool, every bool, err error) {
	who := permission.Of(ctx)
	if slices.ContainsFunc(who.Roles, func(r permission.Role) bool { return r != permission.Analyst && r.Allows(permission.Reveal) }) {
		return nil, true, nil
	}
	cases, err := p.reader.Cases(ctx)
	if err != nil {
		return nil, false, err
	}
	mine = map[string]bool{}
	for _, c := range cases {
		if c.Assignee == who.ID {
			mine[c.Subject] = true
		}
	}
	return mine, false, nil
}

// AddVendor makes a new secret of a vendor.
func (p parties) AddVendor(ctx context.Context, name string) (apitypes.Vendor, error) {
	if len(name) > 30 {
		return apitypes.Vendor{}, refused(http.StatusUnprocessableEntity, "the name of a vendor has at most 30 characters")
	}
	secret := make([]byte, 32)
	rand.Read(secret) // never fails
	if err := p.vault.PutSecret(ctx, "vendor/"+name, secret); err != nil {
		return apitypes.Vendor{}, err
	}
	sum := sha256.Sum256(secret)
	_, err := p.store.LogFeed(audit.Because(ctx, "vendor.secret", ""), "vendor/"+name+"/"+hex.EncodeToString(sum[:8]), 0, hex.EncodeToString(sum[:]))
	return apitypes.Vendor{Name: name, Secret: hex.EncodeToString(secret)}, err
}
