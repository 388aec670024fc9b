package store

import (
	"crypto/sha256"
	"slices"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/collector/internal/party/resolve"
)

// linkKinds are the types of identifiers by which parties are compared.
var linkKinds = map[party.IdentifierType]resolve.Kind{party.TaxID: resolve.TaxID, party.Registration: resolve.Registration, party.LEI: resolve.LEI, party.Document: resolve.Document,
	party.Email: resolve.Email, party.Phone: resolve.Phone, party.Card: resolve.Card, party.Bank: resolve.Bank, party.Wallet: resolve.Bank, party.Address: resolve.Address,
	party.IP: resolve.IP, party.Key: resolve.SSHKey, party.Domain: resolve.Domain, party.Device: resolve.Device}

// partyOf names the party that contracts as a customer. One of whom no party is
// recorded is a party of its own.
func partyOf(c party.Contract) resolve.ID {
	if c.Party != "" {
		return resolve.ID(c.Party)
	}
	return resolve.ID("customer:" + c.ID)
}

// linkRecords returns what is known of every party as it is compared. names are
// those of customers in lists, by id; blinded is what is sealed, by its id. Names
// are hashed with a key of this process alone and kept nowhere; identifiers are
// keyed hashes already.
func linkRecords(s party.Snapshot, names map[string]string, blinded map[string]Blinded, h *resolve.Hasher) map[resolve.ID]resolve.Record {
	out := map[resolve.ID]resolve.Record{}
	verified := verifiedParties(s)
	value := func(k resolve.Kind, scheme, hash, who, source string, seen time.Time) resolve.Identifier {
		sum := sha256.Sum256([]byte(string(k) + "\x00" + hash))
		return resolve.Identifier{Kind: k, Scheme: scheme, Key: resolve.Key(sum[:16]), Verified: verified[who], Source: source, SinceNS: nanos(seen)}
	}
	for id, p := range s.Parties {
		rec := resolve.Record{Party: resolve.ID(id), Person: p.Form == party.Person}
		for _, c := range append([]party.Stated{p.Incorporation, p.Headquarters, p.PrincipalPlace, p.PermanentResidence, p.Location}, p.Citizenship...) {
			if len(c.Value) == 2 && !slices.Contains(rec.Countries, c.Value) {
				rec.Countries = append(rec.Countries, c.Value)
			}
		}
		slices.Sort(rec.Countries)
		b := blinded[p.Sealed]
		rec.Names = append(rec.Names, b.Names...)
		for _, t := range ordered(b.Hashes) {
			rec.Identifiers = append(rec.Identifiers, value(linkKinds[t], "", b.Hashes[t], id, id, time.Time{}))
		}
		if b.Birth != "" {
			rec.Identifiers = append(rec.Identifiers, value(resolve.Birth, "", b.Birth, id, id, time.Time{}))
		}
		out[rec.Party] = rec
	}
	for _, id := range ordered(s.Contracts) {
		c := s.Contracts[id]
		rec, known := out[partyOf(c)]
		if !known {
			rec = resolve.Record{Party: partyOf(c)}
		}
		if rec.Customer == "" {
			rec.Customer = id
		}
		if name := names[id]; name != "" && name != id {
			rec.Names = append(rec.Names, h.Names(name, rec.Person)...)
		}
		out[rec.Party] = rec
	}
	for _, id := range ordered(s.Identifiers) {
		n := s.Identifiers[id]
		rec, known := out[resolve.ID(n.Party)]
		if !known || n.Hub {
			continue // a value that is known to be of many says nothing
		}
		add := func(k resolve.Kind, hash string) {
			rec.Identifiers = append(rec.Identifiers, value(k, n.Country, hash, n.Party, n.ID, n.FirstSeen))
		}
		switch kind := linkKinds[n.Type]; {
		case kind == resolve.IP && n.Coarse != "":
			add(kind, n.Coarse) // the network, not the one address
		case kind != "" && n.Hash != "":
			add(kind, n.Hash)
			if kind == resolve.Email && n.Coarse != "" {
				add(resolve.Domain, n.Coarse)
			}
		}
		out[rec.Party] = rec
	}
	return out
}

// verifiedParties are those of whom a verification stands.
func verifiedParties(s party.Snapshot) map[string]bool {
	verified := map[string]bool{}
	for _, v := range s.Verifications {
		if v.Outcome == party.Verified && (v.ValidUntil.IsZero() || v.ValidUntil.After(s.Valid)) {
			verified[v.Party] = true
		}
	}
	return verified
}

func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// stakes returns the ownership interests. What is known of a subject that was
// verified counts as verified.
func stakes(s party.Snapshot) []resolve.Stake {
	verified := verifiedParties(s)
	var out []resolve.Stake
	for _, id := range ordered(s.Interests) {
		i := s.Interests[id]
		out = append(out, resolve.Stake{Interest: i.Control(), Verified: verified[i.Subject]})
	}
	return out
}

// linkOwners says whose each account is. Tenants that no account holds are
// accounts of their own.
func linkOwners(s party.Snapshot, customers map[string]party.Customer) (owners []resolve.Owner, accountOf map[string]string) {
	accountOf = map[string]string{}
	of := func(customer string) resolve.ID { return resolve.ID("customer:" + customer) }
	parties := map[string]resolve.ID{}
	for id, c := range s.Contracts {
		parties[id] = partyOf(c)
	}
	party := func(customer string) resolve.ID {
		if p, known := parties[customer]; known {
			return p
		}
		return of(customer)
	}
	for _, id := range ordered(s.Accounts) {
		a := s.Accounts[id]
		for _, t := range a.Tenants {
			accountOf[string(t)] = id
		}
		owners = append(owners, resolve.Owner{Account: id, Customer: a.Customer, Party: party(a.Customer), Reseller: strings.Join(a.Reseller[:min(1, len(a.Reseller))], "")})
	}
	for _, id := range ordered(customers) {
		for _, t := range customers[id].Tenants {
			if accountOf[string(t)] == "" {
				accountOf[string(t)] = string(t)
				owners = append(owners, resolve.Owner{Account: string(t), Customer: id, Party: party(id)})
			}
		}
	}
	return owners, accountOf
}
