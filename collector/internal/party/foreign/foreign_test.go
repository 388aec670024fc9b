package foreign_test

import (
	"bufio"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/collector/internal/party/control"
	"github.com/flopwatch/flopwatch/collector/internal/party/foreign"
)

// goldenCase is one block of testdata/status.txt.
type goldenCase struct {
	name, limb string
	line       int
	facts      []string
	want       string
}

func golden(t testing.TB) (all []goldenCase) {
	t.Helper()
	f, err := os.Open("testdata/status.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	line := 0
	for scan := bufio.NewScanner(f); scan.Scan(); {
		line++
		text := strings.TrimSpace(scan.Text())
		switch {
		case strings.HasPrefix(text, "## "):
			name, limb, ok := strings.Cut(text[3:], " | ")
			if !ok {
				t.Fatalf("line %d: a case must name the limb that it is about", line)
			}
			all = append(all, goldenCase{name: name, limb: limb, line: line})
		case text == "" || strings.HasPrefix(text, "#"):
		case strings.HasPrefix(text, "= "):
			all[len(all)-1].want = text[2:]
		default:
			all[len(all)-1].facts = append(all[len(all)-1].facts, text)
		}
	}
	return all
}

func date(t testing.TB, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.DateOnly, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func stated(s string) party.Stated {
	if s == "?" {
		return party.NotKnown("not told")
	}
	return party.Is(s)
}

// read builds the snapshot of a case.
func (c goldenCase) read(t testing.TB) party.Snapshot {
	t.Helper()
	s := party.NewSnapshot(date(t, "2026-06-01"), date(t, "2026-06-01"))
	s.Put(party.Contract{ID: "customer", Party: "c"})
	for n, fact := range c.facts {
		words := strings.Fields(fact)
		switch {
		case words[0] == "at":
			s.Valid = date(t, words[1])
		case words[0] == "declared":
			s.Put(party.Contract{ID: "customer", Declared: party.ForeignStatus(strings.Join(words[1:], ""))})
		case len(words) > 2 && words[1] == "->":
			i := party.Interest{ID: fmt.Sprint("i", n), Owner: stated(words[0]), Subject: words[2], What: party.InterestKind(words[3]), Low: control.Whole, High: control.Whole}
			if words[3] == "other" {
				i.What = party.InOther
			}
			if len(words) > 4 {
				low, high, _ := strings.Cut(words[4], "..")
				i.Low, i.High = millionths(t, low), millionths(t, high)
			}
			s.Put(i)
		default:
			p, v := c.party(t, words)
			s.Put(p)
			if v.ID != "" {
				s.Put(v)
			}
		}
	}
	return s
}

func millionths(t testing.TB, percent string) control.Share {
	t.Helper()
	f, err := strconv.ParseFloat(percent, 64)
	if err != nil {
		t.Fatal(err)
	}
	return control.Share(math.Round(f * 10_000))
}

func (c goldenCase) party(t testing.TB, words []string) (p party.Party, v party.Verification) {
	t.Helper()
	p = party.Party{ID: words[0], Form: party.Form(words[1])}
	for _, w := range words[2:] {
		name, value, _ := strings.Cut(w, "=")
		switch name {
		case "citizen":
			for _, code := range strings.Split(value, ",") {
				p.Citizenship = append(p.Citizenship, stated(code))
			}
		case "resident":
			p.PermanentResidence = stated(value)
		case "located":
			code, basis, _ := strings.Cut(value, "/")
			p.Location, p.LocationBasis = stated(code), party.Basis(basis)
		case "law":
			p.Incorporation = stated(value)
		case "place":
			p.PrincipalPlace = stated(value)
		case "hq":
			p.Headquarters = stated(value)
		case "parent":
			p.UltimateParent = stated(value)
		case "parenthq":
			p.ParentHeadquarters = stated(value)
		case "branch":
			p.BranchOf = value
		case "complete":
			p.OwnersComplete = stated(value)
		case "checked":
			v = party.Verification{ID: "v-" + p.ID, Party: p.ID, Outcome: party.Verified, USPerson: control.Answer(value), At: date(t, "2026-01-01")}
		case "until":
			v.ValidUntil = date(t, value)
		case "outcome":
			v.Outcome = party.Outcome(value)
		default:
			t.Fatalf("line %d: %s is not known", c.line, name)
		}
	}
	return p, v
}

func TestGolden(t *testing.T) {
	all := golden(t)
	if len(all) < 60 {
		t.Fatalf("only %d cases", len(all))
	}
	seen := map[party.ForeignStatus]int{}
	for _, c := range all {
		t.Run(c.name, func(t *testing.T) {
			book, err := foreign.New(c.read(t), foreign.Defaults)
			if err != nil {
				t.Fatal(err)
			}
			got := book.Customer("customer")
			status, words, _ := strings.Cut(c.want, ": ")
			seen[got.Status]++
			if string(got.Status) != status {
				t.Errorf("status.txt:%d (%s): %s, want %s\nreasons: %s", c.line, c.limb, got.Status, status, got.Text())
			}
			for _, w := range strings.Split(words, "; ") {
				if !strings.Contains(got.Text(), w) {
					t.Errorf("status.txt:%d: the reasons do not say %q:\n%s", c.line, w, got.Text())
				}
			}
		})
	}
	for _, s := range []party.ForeignStatus{party.US, party.Foreign, party.Undetermined} {
		if seen[s] < 15 {
			t.Errorf("%d cases of %s: too few to tell", seen[s], s)
		}
	}
}
