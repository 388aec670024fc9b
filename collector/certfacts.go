package collector

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/report"
)

// statements are the facts of the certification that people stated, with the
// statements of the programme from which each is put together.
var statements = map[string][]string{
	"programme.procedures": {"verification_procedures"},
	"programme.detection":  {"detection_tools"},
	"programme.resellers":  {"reseller_procedure"},
	"attest.reviewed":      {"reviewed"},
	"attest.updated":       {"updated_services", "updated_threats"},
	"attest.compliant":     {"compliant"},
}

// certified returns what the programme says for its yearly certification. What
// nobody stated stays open.
func certified(c desk.Certification) map[string]report.Value {
	out := map[string]report.Value{}
	said := map[string]desk.ProgrammeStatement{}
	for _, s := range c.Statements {
		said[s.ID] = s
	}
	for fact, ids := range statements {
		var texts, sources []string
		at, whole := time.Time{}, true
		for _, id := range ids {
			s := said[id]
			whole = whole && !s.At.IsZero()
			texts, sources = append(texts, strings.TrimSuffix(s.Title+": "+s.Note, ": ")), append(sources, "statement "+id+" by "+s.By)
			if s.At.After(at) {
				at = s.At
			}
		}
		if whole {
			out[fact] = report.FromRecord(report.Value{Text: strings.Join(texts, "\n")}, strings.Join(sources, ", "), at)
		}
	}
	say := func(fact, none string, columns []string, rows [][]string) {
		v := report.Value{Text: none}
		if len(rows) > 0 {
			v = report.Value{Table: &report.Table{Columns: columns, Rows: rows}}
		}
		out[fact] = report.FromRecord(v, "programme "+c.Pack, c.AsOf)
	}
	var rows [][]string
	for _, country := range slices.Sorted(maps.Keys(c.OwnersByCountry)) {
		rows = append(rows, []string{cmp.Or(country, "not known"), strconv.Itoa(c.OwnersByCountry[country])})
	}
	say("customers.owners", "none: no beneficial owner is known to be foreign", []string{"Country", "Foreign beneficial owners"}, rows)
	say("customers.resellers", "none: no reseller is foreign", []string{"Reseller"}, oneColumn(c.ForeignResellers))
	say("customers.unverified", "none: the identity of every foreign customer is verified", []string{"Account"}, oneColumn(c.UnverifiedForeignAccounts))
	rows = nil
	for _, v := range c.FailedVerifications {
		rows = append(rows, []string{v.ID, v.Party, v.At.UTC().Format(time.DateOnly), cmp.Or(v.Problem, "not said"), cmp.Or(v.Resolution, "no resolution is recorded")})
	}
	say("customers.failed", "none: no verification failed", []string{"Verification", "Of", "On", "Why it failed", "How it was resolved"}, rows)
	return out
}

func oneColumn(all []string) (rows [][]string) {
	for _, text := range all {
		rows = append(rows, []string{text})
	}
	return rows
}
