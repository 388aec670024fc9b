// Package registertest makes up registers of parties whose truth is known, for
// tests and measurements of entity resolution. The same profile always gives the
// same register. All names are invented.
package registertest

import (
	"fmt"
	"strings"

	"github.com/flopwatch/flopwatch/collector/internal/party/resolve"
)

// Value is an identifier as somebody typed it.
type Value struct {
	Kind     resolve.Kind
	Scheme   string
	Text     string
	Verified bool
}

// Party is a record as it would be imported, with the truth beside it.
type Party struct {
	ID       resolve.ID
	Customer string
	Person   bool
	Name     string
	Country  string
	Values   []Value

	Entity int // who it really is
	Owner  int // who really controls that one; -1: nobody else
}

// Profile says what register to make up.
type Profile struct {
	Name    string
	Seed    uint64
	Parties int

	// Of a thousand.
	Duplicated  int // entities that have more than one record
	Typo        int // records with a typing error in the name
	Missing     int // identifiers that a record lacks
	WrongNumber int // strong numbers that are those of somebody else
	Placeholder int // strong numbers that are none, such as 000000000
	Renamed     int // further records under an entirely other name
	AtAgent     int // organisations at a registered agent's address and phone
	Grouped     int // organisations that belong to a group of shells
	Sibling     int // organisations called as the one before, with a place behind it
	Lent        int // such a sibling's records under the number of the other one

	syllables []string
	given     []string
	family    []string
	trades    []string
	countries []string
}

// Tuning is the profile by which weights and lines are chosen. Nothing that is
// reported is measured on it.
func Tuning(parties int) Profile {
	return Profile{Name: "tuning", Seed: 1001, Parties: parties, Duplicated: 250, Typo: 250, Missing: 350, WrongNumber: 4, Placeholder: 10, Renamed: 20, AtAgent: 200, Grouped: 60, Sibling: 40, Lent: 40,
		syllables: strings.Fields("or li on del ta com pu nor va cy ber ka zen tri mar lu so ber vi ra quan tel mo ne ax pri ful gen hel ios jin"),
		given:     strings.Fields("Ana Ivan Maria John Wei Olga Peter Sara Ali Chen Laura Tom Eva Omar Lena Paul Mia Igor Nina Max"),
		family:    strings.Fields("Smith Ivanov Garcia Chen Müller Kim Silva Novak Rossi Khan Petrov Sato Lee Brown Meyer Costa Popov Wang Jones Dubois"),
		trades:    strings.Fields("Labs Compute Systems Trading Cloud Research Technologies Data Analytics Solutions"),
		countries: strings.Fields("US US US DE GB SG HK AE NL RU KR FR IN")}
}

// Reporting is the profile on which figures are measured: other words, other
// countries, other rates of error, another seed.
func Reporting(parties int) Profile {
	return Profile{Name: "reporting", Seed: 777_001, Parties: parties, Duplicated: 300, Typo: 300, Missing: 400, WrongNumber: 6, Placeholder: 15, Renamed: 30, AtAgent: 250, Grouped: 80, Sibling: 60, Lent: 50,
		syllables: strings.Fields("bre xan ti go ral pe du sha wo kel min fa ro sti ya gur ba lon che ir mu pa ze dro ni ulf est ho gra vel ost im ag"),
		given:     strings.Fields("Noor Emil Jana Luca Yuki Tariq Greta Hugo Aisha Bruno Carla Dmitri Elif Farah Gustav Hana Ines Jorge Katya Leo Minh Nadia Oscar Priya"),
		family:    strings.Fields("Nguyen Andersson Haddad Kowalski Tanaka Moreau Sokolov Park Osei Fischer Ramos Lindqvist Iyer Castro Demir Berg Volkov Mbeki Tran Horvat Egorov Walsh Ito Santos"),
		trades:    strings.Fields("Ventures Industries Networks Digital Intelligence Robotics Computing Energy Media Logistics Partners Services"),
		countries: strings.Fields("US US CA BR MX JP KR RU UA KZ PL ES IT SE AU MY VN TR ZA GR")}
}

var forms = map[string][]string{
	"US": {"Inc.", "LLC", "Corp."}, "CA": {"Inc.", "Ltd."}, "DE": {"GmbH", "AG"}, "GB": {"Ltd", "Limited", "PLC"}, "SG": {"Pte. Ltd."}, "HK": {"Limited", "Ltd"}, "AE": {"FZE", "LLC"}, "NL": {"B.V."},
	"RU": {"OOO", "AO"}, "UA": {"TOV"}, "KZ": {"TOO"}, "KR": {"Co., Ltd."}, "FR": {"SARL", "SAS"}, "IN": {"Pvt. Ltd."}, "BR": {"Ltda."}, "MX": {"S.A. de C.V."}, "JP": {"K.K.", "Co., Ltd."},
	"PL": {"Sp. z o.o.", "S.A."}, "ES": {"S.L.", "S.A."}, "IT": {"S.p.A.", "S.r.l."}, "SE": {"AB"}, "AU": {"Pty Ltd"}, "MY": {"Sdn. Bhd."}, "VN": {"JSC"}, "TR": {"A.S."}, "ZA": {"(Pty) Ltd"}, "GR": {"A.E."},
}

// random is SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
type random uint64

func (r *random) next() uint64 {
	*r += 0x9e3779b97f4a7c15
	z := uint64(*r)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func (r *random) below(n int) int { return int(r.next() % uint64(n)) }

func (r *random) permille(n int) bool { return r.below(1000) < n }

func (r *random) of(words []string) string { return words[r.below(len(words))] }

func (r *random) digits(n int) string {
	var b strings.Builder
	for range n {
		b.WriteByte(byte('0' + r.below(10)))
	}
	return b.String()
}

// Register makes the register up.
func (p Profile) Register() []Party {
	m := maker{Profile: p, random: random(p.Seed)}
	for len(m.out) < p.Parties {
		m.entity()
	}
	return m.out[:p.Parties]
}

// Records hashes a register as an import would.
func Records(all []Party, h *resolve.Hasher) []resolve.Record {
	out := make([]resolve.Record, len(all))
	for i, p := range all {
		rec := resolve.Record{Party: p.ID, Customer: p.Customer, Person: p.Person, Names: h.Names(p.Name, p.Person), Countries: []string{p.Country}}
		for _, v := range p.Values {
			if id, ok := h.Identifier(v.Kind, v.Scheme, v.Text, p.Country); ok {
				id.Verified, id.Source = v.Verified, fmt.Sprintf("register:%d", i+1)
				rec.Identifiers = append(rec.Identifiers, id)
			}
		}
		out[i] = rec
	}
	return out
}
