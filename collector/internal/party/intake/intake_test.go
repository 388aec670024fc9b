package intake_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/collector/internal/party/control"
	"github.com/flopwatch/flopwatch/collector/internal/party/intake"
	"github.com/flopwatch/flopwatch/pkg/table"
)

type read func(string, []byte) ([]party.Change, error)

const secret = "violet-planted"

// Each kind in both forms says the same.
func TestBothForms(t *testing.T) {
	for name, c := range map[string]struct{ csv, json string }{
		"person": {
			"party_id,form,citizenship,permanent_residence,location,location_basis,name,birth_date,address,valid_from\np1,person,US;unknown: not told,US,unknown: travels,verified,Zoë O'Neil,1980-02-29,unknown: refuses,2026-01-31\n",
			`{"kind":"party","party_id":"p1","form":"person","citizenship":["US",{"unknown":"not told"}],"permanent_residence":"US","location":{"unknown":"travels"},"location_basis":"verified","name":"Zoë O'Neil","birth_date":"1980-02-29","address":{"unknown":"refuses"},"valid_from":"2026-01-31"}` + "\n",
		},
		"organisation": {
			"party_id,form,incorporation,headquarters,principal_place,ultimate_parent,parent_headquarters,branch_of,owners_complete,formed\no1,organisation,US,SG,US,unknown: refuses,CN,h1,certificate of 2026,2020-01-01\n",
			`{"kind":"party","party_id":"o1","form":"organisation","incorporation":"US","headquarters":"SG","principal_place":"US","ultimate_parent":{"unknown":"refuses"},"parent_headquarters":"CN","branch_of":"h1","owners_complete":"certificate of 2026","formed":"2020-01-01"}` + "\n",
		},
		"interests": {
			"interest_id,subject,owner,what,share,direct\ni1,o1,p1,shares,25..40.1234,false\ni2,o1,unknown: bearer shares,votes,unknown: bearer shares,\ni3,o1,p1,appointment,,\n",
			`{"kind":"interest","interest_id":"i1","subject":"o1","owner":"p1","what":"shares","share":"25..40.1234","direct":false}` + "\n" + `{"kind":"interest","interest_id":"i2","subject":"o1","owner":{"unknown":"bearer shares"},"what":"votes","share":{"unknown":"bearer shares"}}` + "\n\n" + `{"kind":"interest","interest_id":"i3","subject":"o1","owner":"p1","what":"appointment"}` + "\n",
		},
		"identifier":  {"identifier_id,party_id,type,value,hub,first_seen\nd1,p1,email,A.B@Example.org,true,2026-01-01T10:00:00+01:00\n", `{"kind":"identifier","identifier_id":"d1","party_id":"p1","type":"email","value":"A.B@Example.org","hub":true,"first_seen":"2026-01-01T10:00:00+01:00"}` + "\n"},
		"customer":    {"customer_id,party_id,name,places_of_use,purpose\nc1,o1,\"=Acme, Inc.\",US;DE,true\n", `{"kind":"customer","customer_id":"c1","party_id":"o1","name":"=Acme, Inc.","places_of_use":["US","DE"],"purpose":true}` + "\n"},
		"account":     {"account_id,customer_id,tenants,opened,closed,reseller,trial\na1,c1,t1;t2,2026-01-01,2026-02-01,r1,true\n", `{"kind":"account","account_id":"a1","customer_id":"c1","tenants":["t1","t2"],"opened":"2026-01-01","closed":"2026-02-01","reseller":"r1","trial":true}` + "\n"},
		"check":       {"verification_id,party_id,outcome,verifier,at,method,us_person,valid_until,document_number\nv1,p1,verified,usr_a,2026-01-01,documentary,yes,2027-01-01,X-1\n", `{"kind":"verification","verification_id":"v1","party_id":"p1","outcome":"verified","verifier":"usr_a","at":"2026-01-01","method":"documentary","us_person":"yes","valid_until":"2027-01-01","document_number":"X-1"}` + "\n"},
		"reseller":    {"reseller_id,party_id,programme,disclosure,attested\nr1,o1,own,none,2026-01-01\n", `{"kind":"reseller","reseller_id":"r1","party_id":"o1","programme":"own","disclosure":"none","attested":"2026-01-01"}` + "\n"},
		"restriction": {"restriction_id,customer_id,terms,reason\nx1,c1,restricted,verification pending\n", `{"kind":"restriction","restriction_id":"x1","customer_id":"c1","terms":"restricted","reason":"verification pending"}` + "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			fromCSV, err := intake.ReadCSV("f", []byte("\ufeff"+c.csv))
			fromJSON, err2 := intake.ReadNDJSON("f", []byte(c.json))
			if err != nil || err2 != nil || len(fromCSV) == 0 {
				t.Fatal(err, err2)
			}
			if d := cmp.Diff(fromCSV, fromJSON, cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".Source" }, cmp.Ignore())); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestWhatIsRead(t *testing.T) {
	got, err := intake.ReadCSV("f", []byte("interest_id,subject,owner,what,share\ni,o,p,shares,25..40.1234\n"))
	want := party.Interest{ID: "i", Subject: "o", Owner: party.Is("p"), What: party.InShares, Low: 250_000, High: 401_234, Direct: true}
	if err != nil || got[0].Object != party.Object(want) || got[0].Source != "f:2" {
		t.Errorf("%+v, %v", got, err)
	}
	got, err = intake.ReadCSV("f", []byte("party_id,form,name,address\np,person,Zoë,unknown: refuses\n"))
	p := got[0].Object.(party.Party)
	if err != nil || got[0].Personal["name"] != "Zoë" || cmp.Diff([]string{"name"}, p.Holds) != "" || cmp.Diff([]string{"address: refuses"}, p.NotHeld) != "" {
		t.Errorf("%+v, %v", got, err)
	}
}

const (
	partyHead    = "party_id,form,citizenship,location,name,birth_date,valid_from,valid_to\n"
	interestHead = "interest_id,subject,owner,what,share\n"
)

// Bad input has a clear fault with row and column, without the value, and
// nothing is returned.
func TestFaults(t *testing.T) {
	for name, c := range map[string]struct {
		read read
		text string
		want []string
	}{
		"right to left":        {intake.ReadCSV, partyHead + "p,person,,,\u202e" + secret + ",,,\n", []string{"2: name"}},
		"zero width":           {intake.ReadCSV, partyHead + "p,person,,,Vio\u200blet,,,\n", []string{"2: name"}},
		"zero width in an id":  {intake.ReadCSV, partyHead + "p\u200b,person,,,,,,\n", []string{"2: party_id"}},
		"control character":    {intake.ReadNDJSON, `{"kind":"party","party_id":"p","form":"person","name":"a\u0007b"}` + "\n", []string{"1: name"}},
		"new line in a name":   {intake.ReadCSV, partyHead + "p,person,,,\"two\nlines\",,,\nq,person,,,,x,,\n", []string{"2: name", "4: birth_date"}},
		"impossible day":       {intake.ReadCSV, partyHead + "p,person,,," + secret + ",2026-02-30,,\n", []string{"2: birth_date"}},
		"leap day of no leap":  {intake.ReadCSV, partyHead + "p,person,,,n,,2025-02-29,\n", []string{"2: valid_from"}},
		"year 20260":           {intake.ReadCSV, partyHead + "p,person,,,n,,20260-01-01,\n", []string{"2: valid_from"}},
		"year 9999":            {intake.ReadCSV, partyHead + "p,person,,,n,9999-01-01,,\n", []string{"2: birth_date"}},
		"ends before it began": {intake.ReadCSV, partyHead + "p,person,,,n,,2026-02-01,2026-01-01\n", []string{"2: valid_to"}},
		"US customary date":    {intake.ReadCSV, partyHead + "p,person,,,n,,01/31/2026,\n", []string{"2: valid_from"}},
		"country":              {intake.ReadCSV, partyHead + "p,person,usa,u,n,,,\n", []string{"2: location", "2: citizenship"}},
		"unknown without why":  {intake.ReadCSV, partyHead + "p,person,unknown:,,n,,,\n", []string{"2: citizenship"}},
		"form":                 {intake.ReadCSV, partyHead + "p,trust,,,n,,,\n", []string{"2: form"}},
		"org has no birthday":  {intake.ReadCSV, partyHead + "p,organisation,,,n,2020-01-01,,\n", []string{"2: birth_date"}},
		"above 100 %":          {intake.ReadCSV, interestHead + "i,o,p,shares,100.0001\n", []string{"2: share"}},
		"a million %":          {intake.ReadCSV, interestHead + "i,o,p,shares,1000000000000\n", []string{"2: share"}},
		"negative":             {intake.ReadCSV, interestHead + "i,o,p,shares,-5\n", []string{"2: share"}},
		"exponent":             {intake.ReadNDJSON, `{"kind":"interest","interest_id":"i","subject":"o","owner":"p","what":"shares","share":1e1}` + "\n", []string{"1: share"}},
		"upside down":          {intake.ReadCSV, interestHead + "i,o,p,shares,40..30\n", []string{"2: share"}},
		"no share":             {intake.ReadCSV, interestHead + "i,o,p,shares,\n", []string{"2: share"}},
		"share of power":       {intake.ReadCSV, interestHead + "i,o,p,appointment,10\n", []string{"2: share"}},
		"owns itself":          {intake.ReadCSV, interestHead + "i,o,o,shares,10\n", []string{"2: owner"}},
		"no id column":         {intake.ReadCSV, "name,form\n", []string{"1: header"}},
		"unknown column":       {intake.ReadCSV, "party_id,form,favourite_colour\n", []string{"1: column 3"}},
		"column twice":         {intake.ReadCSV, "party_id,form,form\n", []string{"1: column 3"}},
		"column missing":       {intake.ReadCSV, "party_id,citizenship\n", []string{"1: form"}},
		"cells":                {intake.ReadCSV, partyHead + "p,person\n", []string{"2: row"}},
		"cut in a row":         {intake.ReadCSV, partyHead + "p,person,,,n,,,\nq,per", []string{"3: row"}},
		"cut in a value":       {intake.ReadCSV, "party_id,form,location\np,person,US\nq,person,U", []string{"3: row"}},
		"cut in a quote":       {intake.ReadCSV, partyHead + "p,person,,,\"n,,,\n", []string{"2: row"}},
		"cut object":           {intake.ReadNDJSON, `{"kind":"party","party_id":"p","form":"person"}` + "\n" + `{"kind":"par`, []string{"2: row"}},
		"not UTF-8":            {intake.ReadCSV, partyHead + "p,person,,,\xff,,,\n", []string{"2: text"}},
		"empty":                {intake.ReadCSV, "", []string{"1: header"}},
		"zero bytes":           {intake.ReadNDJSON, "\x00\x00\n", []string{"1: object"}},
		"array":                {intake.ReadNDJSON, "[]\n", []string{"1: object"}},
		"two in a line":        {intake.ReadNDJSON, `{"kind":"party","party_id":"p","form":"person"}{}` + "\n", []string{"1: object"}},
		"kind":                 {intake.ReadNDJSON, `{"kind":"` + secret + `"}` + "\n", []string{"1: kind"}},
		"key":                  {intake.ReadNDJSON, `{"kind":"party","party_id":"p","form":"person","` + secret + `":1}` + "\n", []string{"1: object"}},
		"key twice":            {intake.ReadNDJSON, `{"kind":"party","party_id":"p","party_id":"q","form":"person"}` + "\n", []string{"1: party_id"}},
		"null":                 {intake.ReadNDJSON, `{"kind":"party","party_id":"p","form":null}` + "\n", []string{"1: form"}},
		"deep":                 {intake.ReadNDJSON, `{"kind":"party","party_id":"p","form":"person","citizenship":[["US"]]}` + "\n", []string{"1: citizenship"}},
		"e-mail":               {intake.ReadCSV, "identifier_id,party_id,type,value\nd,p,email," + secret + "\n", []string{"2: value"}},
		"phone":                {intake.ReadCSV, "identifier_id,party_id,type,value\nd,p,phone,0301234567\n", []string{"2: value"}},
		"address on the net":   {intake.ReadCSV, "identifier_id,party_id,type,value\nd,p,ip,10.0.0.256\n", []string{"2: value"}},
		"closed before":        {intake.ReadCSV, "account_id,customer_id,opened,closed\na,c,2026-02-01,2026-01-01\n", []string{"2: closed"}},
		"tenant twice":         {intake.ReadCSV, "account_id,customer_id,tenants\na,c,t;t\n", []string{"2: tenants"}},
		"verified in no way":   {intake.ReadCSV, "verification_id,party_id,outcome,verifier,at\nv,p,verified,usr_a,2026-01-01\n", []string{"2: method"}},
		"document had expired": {intake.ReadCSV, "verification_id,party_id,outcome,verifier,at,method,expires\nv,p,verified,usr_a,2026-01-01,documentary,2025-01-01\n", []string{"2: expires"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.read("file", []byte(c.text))
			if got != nil {
				t.Errorf("changes in spite of a fault: %v", got)
			}
			if d := cmp.Diff(c.want, places(t, err)); d != "" {
				t.Errorf("faults (-want +got):\n%s%v", d, err)
			}
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("a fault repeats the value: %v", err)
			}
		})
	}
}

var aFault = regexp.MustCompile(`^file:(\d+: [a-z_]+(?: \d+)?): .+$`)

func places(t testing.TB, err error) (all []string) {
	t.Helper()
	if err == nil {
		return nil
	}
	for line := range strings.Lines(err.Error()) {
		m := aFault.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if m == nil {
			t.Errorf("%q is not file:line: column: rule", line)
			continue
		}
		all = append(all, m[1])
	}
	return all
}

// Names that are formulas or mark-up are names: who writes them out makes them inert.
func TestHostileNamesAreKept(t *testing.T) {
	for _, name := range []string{`=HYPERLINK("http://evil.example")`, "<script>alert(1)</script>", "-1+1", "@SUM(A1)", "Robert'); DROP TABLE party;--", "محمد", "שלום", "東京"} {
		got, err := intake.ReadCSV("f", []byte("party_id,form,name\np,person,\""+strings.ReplaceAll(name, `"`, `""`)+"\"\n"))
		if err != nil || got[0].Personal["name"] != name {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func TestFaultsAreBounded(t *testing.T) {
	_, err := intake.ReadCSV("file", []byte(interestHead+strings.Repeat("!,,,,\n", 1000)))
	if n := len(places(t, err)); n != 100 {
		t.Errorf("%d faults", n)
	}
	_, err = intake.ReadCSV("file", append([]byte(strings.Repeat("party_id\n", 10)), make([]byte, intake.MaxBytes)...))
	if d := cmp.Diff([]string{"11: text"}, places(t, err)); d != "" {
		t.Error(d)
	}
}

func FuzzReadCSV(f *testing.F) {
	fuzz(f, intake.ReadCSV, partyHead+"p,person,US,US,n,,,\n", interestHead+"i,o,p,shares,30..40\n", "account_id,customer_id,tenants\na,c,t;u\n")
}

func FuzzReadNDJSON(f *testing.F) {
	fuzz(f, intake.ReadNDJSON, `{"kind":"party","party_id":"p","form":"person","citizenship":["US",{"unknown":"x"}]}`+"\n", `{"kind":"interest","share":0.1}`+"\n")
}

func fuzz(f *testing.F, read read, seeds ...string) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := read("file", data)
		if err != nil {
			if got != nil || len(places(t, err)) > 100 {
				t.Errorf("%d changes with %v", len(got), err)
			}
			return
		}
		for _, c := range got {
			if !table.Identifier(c.Object.Key()) {
				t.Errorf("id %q", c.Object.Key())
			}
			if i, ok := c.Object.(party.Interest); ok && (i.Low < 0 || i.Low > i.High || i.High > control.Whole) {
				t.Errorf("share %d..%d", i.Low, i.High)
			}
			for _, text := range c.Personal {
				if !table.Readable(text, 300) {
					t.Errorf("%q is kept", text)
				}
			}
		}
	})
}
