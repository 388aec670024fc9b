package policy

import (
	"crypto/sha256"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/pkg/compute"
)

type fataler interface {
	Helper()
	Fatal(args ...any)
}

// fresh reads the shipped packs anew, ordered by id as their files are.
func fresh(t fataler) []*Pack {
	t.Helper()
	var packs []*Pack
	for _, name := range []string{"eu-ai-act.yaml", "internal-early-warning.yaml", "us-bis-2024-09-proposed.yaml", "us-bis-2025-05-guidance.yaml", "us-ca-sb53.yaml", "us-eo-14110.yaml", "us-iaas-2024-proposed.yaml", "us-ny-raise.yaml"} {
		data, err := shipped.ReadFile("packs/" + name)
		if err != nil {
			t.Fatal(err)
		}
		p, err := Read(name, data)
		if err != nil {
			t.Fatal(err)
		}
		packs = append(packs, p)
	}
	return packs
}

func TestShipped(t *testing.T) {
	if d := cmp.Diff(fresh(t), Shipped(), cmp.AllowUnexported(Rule{}, Condition{})); d != "" {
		t.Fatalf("shipped packs (-want +got):\n%s", d)
	}
	for _, p := range Shipped() {
		if p.Status == "revoked" && p.Active {
			t.Errorf("%s is revoked and held against the fleet", p.ID)
		}
		if p.Status == "final" && strings.HasPrefix(p.ID, "us-iaas") {
			t.Errorf("%s is called final: no such rule is in force", p.ID)
		}
		for i := range p.Rules {
			if r := &p.Rules[i]; r.threshold == 0 || !slices.Contains(r.AppliesTo, string(party.Undetermined)) {
				t.Errorf("rule %s of %s", r.ID, p.ID)
			}
		}
	}
}

func TestProposedRuleIsCalledProposed(t *testing.T) {
	p := proposed(t)
	if p.Status != "proposed" || !strings.Contains(p.Citation, "89 FR 5698") || p.Effective != "not in force" {
		t.Errorf("status %q, citation %q, effective %q", p.Status, p.Citation, p.Effective)
	}
	for _, r := range p.Rules {
		if r.threshold != int64(limit) || !strings.Contains(r.Citation, "revoked") {
			t.Errorf("rule %s: threshold %d, citation %q", r.ID, r.threshold, r.Citation)
		}
	}
}

const good = `id: pack
version: 1
title: a pack
effective: never
citation: a text
status: internal
rules:
  - id: one
    title: a rule
    citation: a line
    measure: run_operations
    threshold: "1e20"
    warn_percent: [50, 80]
    applies_to: [foreign, undetermined]
`

func TestDigestNamesTheFile(t *testing.T) {
	p, err := Read("p.yaml", []byte(good))
	if err != nil {
		t.Fatal(err)
	}
	if p.Digest != sha256.Sum256([]byte(good)) {
		t.Error("the digest is not that of the file")
	}
	if want := int64(100_000_000_000); p.Rules[0].threshold != want {
		t.Errorf("threshold %d, want %d", p.Rules[0].threshold, want)
	}
	q, err := Read("q.yaml", []byte(good+"# a word\n"))
	if err != nil || q.Digest == p.Digest {
		t.Errorf("another file has the same digest: %v", err)
	}
}

func TestBadPacksAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		old, new string
		want     string // regular expression
	}{
		"a window of a run":       {"    threshold", "    window_days: 30\n    threshold", `^p\.yaml:\d+: rules\[0\]\.window_days: `},
		"a rule counts no state":  {"run_operations", "coverage_percent", `^p\.yaml:\d+: rules\[0\]\.measure: `},
		"a clock that is not":     {"    threshold", "    clock: c\n    threshold", `^p\.yaml:\d+: rules\[0\]\.clock: `},
		"a clock without a zone":  {"rules:", "clocks: [{id: c, title: t, citation: c, basis: known, days: 15, zone: here}]\nrules:", `^p\.yaml:\d+: clocks\[0\]\.zone: `},
		"a clock of no days":      {"rules:", "clocks: [{id: c, title: t, citation: c, basis: known, days: 0, zone: UTC}]\nrules:", `^p\.yaml:\d+: clocks\[0\]\.days: `},
		"a clock on nothing":      {"rules:", "clocks: [{id: c, title: t, citation: c, basis: hope, days: 5, zone: UTC}]\nrules:", `^p\.yaml:\d+: clocks\[0\]\.basis: `},
		"a date that is none":     {"rules:", "published: 2024-02-30\nrules:", `^p\.yaml:\d+: published: `},
		"in force too early":      {"rules:", "published: 2024-02-03\nfrom: 2024-02-02\nrules:", `^p\.yaml:\d+: from: .*before`},
		"over before it begins":   {"rules:", "from: 2024-02-02\nuntil: 2024-02-02\nrules:", `^p\.yaml:\d+: until: `},
		"final without a date":    {"status: internal", "status: final", `^p\.yaml:\d+: from: `},
		"an empty condition":      {"    threshold", "    and: [{}]\n    threshold", `^p\.yaml:\d+: rules\[0\]\.and\[0\]: `},
		"all and any at once":     {"    threshold", "    and: [{all: [{measure: device_count, at_least: 1}], any: [{measure: device_count, at_least: 1}]}]\n    threshold", `^p\.yaml:\d+: rules\[0\]\.and\[0\]: .*exactly one`},
		"no line":                 {"    threshold", "    and: [{measure: device_count}]\n    threshold", `^p\.yaml:\d+: rules\[0\]\.and\[0\]: .*exactly one of at_least`},
		"two lines":               {"    threshold", "    and: [{measure: device_count, at_least: 1, at_most: 2}]\n    threshold", `^p\.yaml:\d+: rules\[0\]\.and\[0\]: .*exactly one of at_least`},
		"a share above 100":       {"    threshold", "    and: [{measure: training_percent, at_least: 101}]\n    threshold", `^p\.yaml:\d+: rules\[0\]\.and\[0\]\.at_least: `},
		"a cluster of no network": {"    threshold", "    and: [{measure: cluster_rate, at_least: 1e20}]\n    threshold", `^p\.yaml:\d+: rules\[0\]\.and\[0\]\.network_gbit_s: `},
		"a customer's measure":    {"    threshold", "    and: [{measure: customer_operations, at_least: 1e20}]\n    threshold", `^p\.yaml:\d+: rules\[0\]\.and\[0\]: .*subject`},
		"an unknown bound":        {"    threshold", "    bound: middle\n    threshold", `^p\.yaml:\d+: rules\[0\]\.bound: `},
		"too deep":                {"    threshold", "    and: [" + strings.Repeat("{all: [", 7) + "{measure: device_count, at_least: 1}" + strings.Repeat("]}", 7) + "]\n    threshold", `^p\.yaml:\d+: .*deep`},
		"too many conditions":     {"    threshold", "    and: [{any: [" + strings.Repeat("{measure: device_count, at_least: 1},", 60) + "]}]\n    threshold", `^p\.yaml:\d+: .*at most 50`},
		"anchors that multiply":   {"rules:", "a: &a [x, x]\nb: &b [*a, *a]\nrules:", `^p\.yaml:.*`},
		"unknown key":             {"version: 1", "version: 1\nspeed: 2", `^p\.yaml:3: speed: `},
		"unknown key of a rule":   {"    citation: a line", "    citation: a line\n    severity: low", `^p\.yaml:11: rules\[0\]\.severity: `},
		"key twice":               {"version: 1", "version: 1\nversion: 2", `^p\.yaml:3: version: is given twice`},
		"wrong type":              {"version: 1", "version: [1]", `^p\.yaml:2: version: `},
		"no id":                   {"id: pack\n", "", `^p\.yaml:\d+: id: `},
		"no version":              {"version: 1\n", "", `^p\.yaml:\d+: version: `},
		"no title":                {"title: a pack\n", "", `^p\.yaml:\d+: title: `},
		"no effect":               {"effective: never\n", "", `^p\.yaml:\d+: effective: `},
		"no title of a rule":      {"    title: a rule\n", "", `^p\.yaml:\d+: rules\[0\]\.title: `},
		"no citation":             {"citation: a text\n", "", `^p\.yaml:\d+: citation: `},
		"no citation of a rule":   {"    citation: a line\n", "", `^p\.yaml:\d+: rules\[0\]\.citation: `},
		"unknown status":          {"status: internal", "status: law", `^p\.yaml:\d+: status: `},
		"no status":               {"status: internal\n", "", `^p\.yaml:\d+: status: `},
		"unknown measure":         {"run_operations", "weather", `^p\.yaml:\d+: rules\[0\]\.measure: `},
		"threshold is a word":     {`"1e20"`, "abc", `^p\.yaml:\d+: rules\[0\]\.threshold: `},
		"threshold 0":             {`"1e20"`, `"0"`, `^p\.yaml:\d+: rules\[0\]\.threshold: `},
		"threshold below 0":       {`"1e20"`, `"-1e20"`, `^p\.yaml:\d+: rules\[0\]\.threshold: `},
		"threshold not a number":  {`"1e20"`, `"NaN"`, `^p\.yaml:\d+: rules\[0\]\.threshold: `},
		"threshold too large":     {`"1e20"`, `"1e300"`, `^p\.yaml:\d+: rules\[0\]\.threshold: `},
		"no threshold":            {"    threshold: \"1e20\"\n", "", `^p\.yaml:\d+: rules\[0\]\.threshold: `},
		"warnings fall":           {"[50, 80]", "[80, 50]", `^p\.yaml:\d+: rules\[0\]\.warn_percent: `},
		"a warning twice":         {"[50, 80]", "[50, 50]", `^p\.yaml:\d+: rules\[0\]\.warn_percent: `},
		"a warning at 0 %":        {"[50, 80]", "[0]", `^p\.yaml:\d+: rules\[0\]\.warn_percent: `},
		"a warning at 100 %":      {"[50, 80]", "[100]", `^p\.yaml:\d+: rules\[0\]\.warn_percent: `},
		"undetermined forgotten":  {"[foreign, undetermined]", "[foreign]", `^p\.yaml:\d+: rules\[0\]\.applies_to: .*unknown is not domestic`},
		"unknown foreign status":  {"[foreign, undetermined]", "[alien]", `^p\.yaml:\d+: rules\[0\]\.applies_to: `},
		"applies to nobody":       {"[foreign, undetermined]", "[]", `^p\.yaml:\d+: rules\[0\]\.applies_to: `},
		"applies to is forgotten": {"    applies_to: [foreign, undetermined]\n", "", `^p\.yaml:\d+: rules\[0\]\.applies_to: `},
		"no rules":                {good[strings.Index(good, "rules:"):], "rules: []\n", `^p\.yaml:\d+: rules: `},
		"a rule twice":            {good[strings.Index(good, "  - id"):], strings.Repeat(good[strings.Index(good, "  - id"):], 2), `^p\.yaml:\d+: rules\[1\]\.id: `},
		"empty":                   {good, "", `^p\.yaml:1: id: `},
		"not YAML":                {good, "\tid: [", `^p\.yaml:\d+: `},
	} {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(good, c.old) {
				t.Fatalf("%q is not in the good pack", c.old)
			}
			p, err := Read("p.yaml", []byte(strings.Replace(good, c.old, c.new, 1)))
			if err == nil || p != nil {
				t.Fatalf("taken: %+v, %v", p, err)
			}
			if !regexp.MustCompile(c.want).MatchString(err.Error()) {
				t.Errorf("error %q does not match %q", err, c.want)
			}
		})
	}
}

// All faults are told at once.
func TestFaultsAreToldTogether(t *testing.T) {
	_, err := Read("p.yaml", []byte(strings.NewReplacer("status: internal", "status: law", `"1e20"`, "abc", "[50, 80]", "[9, 2]").Replace(good)))
	if err == nil {
		t.Fatal("taken")
	}
	for _, key := range []string{"status", "rules[0].threshold", "rules[0].warn_percent"} {
		if !strings.Contains(err.Error(), key+": ") {
			t.Errorf("%q does not tell of %s", err, key)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte(strings.Replace(good, "1e20", "1e999", 1)))
	f.Add([]byte("rules:\n  - {}\n"))
	for _, name := range []string{"internal-early-warning.yaml", "us-iaas-2024-proposed.yaml"} {
		data, err := shipped.ReadFile("packs/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Read("p.yaml", data)
		if err != nil {
			if p != nil || !strings.HasPrefix(err.Error(), "p.yaml:") {
				t.Errorf("%v with %q", p, err)
			}
			return
		}
		for i := range p.Rules {
			r := &p.Rules[i]
			if r.threshold <= 0 || len(r.AppliesTo) == 0 {
				t.Errorf("rule %+v", r)
			}
			s := subject(party.Undetermined, 0, 0, 0)
			if r.OfCustomers() {
				s.Measure = CustomerOperations
			}
			if r.Key() == (FactKey{Measure: s.Measure}) {
				s.Operations = compute.Exactly(compute.Operations(r.threshold))
			}
			s.Facts = Facts{r.Key(): Exactly(r.threshold)}
			if len(r.And) == 0 && slices.Contains(r.AppliesTo, string(party.Foreign)) && len(Evaluate(p, s)) == 0 {
				t.Errorf("rule %s does not see an undetermined customer", r.ID)
			}
		}
	})
}

// What a reviewer must be able to rely on: each of these is refused with the line
// and the reason, whatever else the file holds.
func TestInvalidPacks(t *testing.T) {
	laughs := "a: &a [x, x, x, x, x, x, x, x, x]\n"
	for c := 'b'; c < 'l'; c++ {
		laughs += string(c) + ": &" + string(c) + " [" + strings.TrimSuffix(strings.Repeat("*"+string(c-1)+", ", 9), ", ") + "]\n"
	}
	for name, c := range map[string]struct{ text, want string }{
		"unknown unit":               {strings.Replace(good, "    threshold", "    unit: flops\n    threshold", 1), "p.yaml:12: rules[0].unit: is unknown: must be one of operations, operations_per_second, devices, days, percent"},
		"another measure's unit":     {strings.Replace(good, "    threshold", "    unit: devices\n    threshold", 1), "p.yaml:12: rules[0].unit: must be operations, which the measure is in"},
		"unknown unit of a line":     {strings.Replace(good, "    threshold", "    and:\n      - {measure: device_count, at_least: 8, unit: gpus}\n    threshold", 1), "p.yaml:13: rules[0].and[0].unit: is unknown"},
		"a unit in the number":       {strings.Replace(good, `"1e20"`, `"1e20 FLOP"`, 1), "p.yaml:12: rules[0].threshold: must be a number above 0, such as 1e26; its unit is operations"},
		"thresholds not monotone":    {strings.Replace(good, "[50, 80]", "[80, 50]", 1), "p.yaml:13: rules[0].warn_percent: must rise from 1 to 99"},
		"cyclic and":                 {strings.Replace(good, "    threshold", "    and: &a\n      - all: *a\n    threshold", 1), "p.yaml:12: rules[0].and: anchors and aliases are not allowed"},
		"cyclic or, further in":      {strings.Replace(good, "    threshold", "    and:\n      - any: &b\n          - all: *b\n    threshold", 1), "p.yaml:13: rules[0].and[0].any: anchors and aliases are not allowed"},
		"missing citation":           {strings.Replace(good, "citation: a text\n", "", 1), "p.yaml:1: citation: is empty"},
		"missing citation of a rule": {strings.Replace(good, "    citation: a line\n", "", 1), "p.yaml:8: rules[0].citation: is empty"},
		"effective before published": {strings.Replace(good, "rules:", "published: 2026-02-03\nfrom: 2026-02-02\nrules:", 1), "p.yaml:8: from: is before it was published"},
		"10 MB":                      {good + strings.Repeat("# filler\n", 10<<20/9), "p.yaml:116494: document: larger than 1048576 bytes"},
		"billion laughs":             {laughs + good, "p.yaml:1: a: unknown key"},
		"laughs where a list is":     {strings.Replace(good, "[50, 80]", "&a [1, 2]", 1), "p.yaml:13: rules[0].warn_percent: anchors and aliases are not allowed"},
		"deep nesting":               {strings.Replace(good, "[50, 80]", strings.Repeat("[", 20_000)+strings.Repeat("]", 20_000), 1), "p.yaml:13: document: exceeded max depth"},
		"a report field twice":       {good + "report: [{id: a, title: b, section: c}, {id: a, title: b, section: c}]\n", "p.yaml:15: report[1]: id, title and section must be there"},
		"a penalty without a date":   {good + "penalties:\n  - {basis: b, citation: c, kind: civil, currency: USD, amount: 1}\n", "p.yaml:16: penalties[0].from: must be a date"},
		"retention for ever":         {good + "retention:\n  - {records: reports, days: 999999, after: filing, citation: c}\n", "p.yaml:16: retention[0].days: must be from 1 to 36600"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := Read("p.yaml", []byte(c.text))
			if err == nil || p != nil {
				t.Fatalf("taken: %+v", p)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %.300q, want %q", err, c.want)
			}
		})
	}
}
