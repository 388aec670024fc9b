package registertest

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/flopwatch/flopwatch/collector/internal/party/resolve"
)

// maker makes one register.
type maker struct {
	Profile
	random
	out      []Party
	entities int
	numbers  []Value // strong numbers that were given out
	group    *group  // to which organisations are added for now
	before   truth   // the organisation before
}

// group is a set of shells with one owner.
type group struct {
	owner             int
	left              int
	card, phone, site string
}

// truth is what an entity really is called and has.
type truth struct {
	entity  int
	owner   int
	person  bool
	name    string // without legal form
	country string
	values  []Value
}

func (m *maker) entity() {
	t := truth{entity: m.entities, owner: -1, country: m.of(m.countries)}
	m.entities++
	if t.person = m.permille(350); t.person {
		m.personal(&t)
	} else {
		m.organisation(&t)
	}
	records := 1
	if m.permille(m.Duplicated) {
		records = 2 + m.below(3)
	}
	for n := range records {
		m.record(&t, n)
	}
}

func (m *maker) number(t *truth, kind resolve.Kind, scheme, text string) {
	v := Value{Kind: kind, Scheme: scheme, Text: text, Verified: m.permille(600)}
	t.values = append(t.values, v)
	m.numbers = append(m.numbers, v)
}

func (m *maker) personal(t *truth) {
	given, family := m.of(m.given), m.of(m.family)
	if m.permille(300) { // a rarer family
		family = m.invented(2)
	}
	t.name = given + " " + family
	m.number(t, resolve.Document, t.country, string(rune('A'+m.below(26)))+m.digits(8))
	birth := fmt.Sprintf("%04d-%02d-%02d", 1950+m.below(55), 1+m.below(12), 1+m.below(28))
	t.values = append(t.values, Value{Kind: resolve.Birth, Text: birth, Verified: true})
	m.means(t, strings.ToLower(given)+"."+strings.ToLower(family)+m.digits(2)+"@gmail.com")
	if m.permille(400) {
		t.values = append(t.values, Value{Kind: resolve.Address, Text: fmt.Sprintf("%d %s Street, Apartment %d, %s", 1+m.below(200), m.invented(2), 1+m.below(60), m.invented(3))})
	}
}

func (m *maker) organisation(t *truth) {
	t.name = m.invented(2+m.below(2)) + " " + m.of(m.trades)
	if m.before.name != "" && m.permille(m.Sibling) {
		m.sibling(t)
		return
	}
	defer func() { m.before = *t }()
	m.number(t, resolve.TaxID, t.country, m.digits(9))
	m.number(t, resolve.Registration, t.country, m.digits(8))
	if m.permille(250) {
		m.number(t, resolve.LEI, "", strings.ToUpper(m.invented(2))+m.digits(14))
	}
	site := strings.ToLower(strings.ReplaceAll(t.name, " ", "")) + m.digits(1) + ".com"
	m.means(t, "info@"+site)
	t.values = append(t.values, Value{Kind: resolve.Domain, Text: "https://www." + site + "/"})
	switch {
	case m.permille(m.AtAgent):
		// Thousands at one address with one phone: a registered agent, or a shared office.
		agent := m.below(12)
		if m.permille(700) {
			agent = 0
		}
		t.values = append(t.values, Value{Kind: resolve.Address, Text: fmt.Sprintf("%d Agent Avenue, Suite %d, Harbour", 100+agent, agent)},
			Value{Kind: resolve.Phone, Text: fmt.Sprintf("+1 302 555 %04d", 1000+agent)})
	default:
		t.values = append(t.values, Value{Kind: resolve.Address, Text: fmt.Sprintf("%d %s Road, %s", 1+m.below(300), m.invented(2), m.invented(3))})
	}
	m.shells(t)
	switch {
	case m.permille(50): // behind a VPN exit or a reseller's card, as many are
		t.values = append(t.values, Value{Kind: resolve.IP, Text: fmt.Sprintf("203.%d.10.7", m.below(8))})
	case m.permille(50):
		t.values = append(t.values, Value{Kind: resolve.Card, Text: fmt.Sprintf("55000000%08d", 31_415_926+m.below(6))})
	}
}

// sibling makes a company of the same group as the one before: almost the same
// name, the same site, numbers of its own, and now and then that of the other.
func (m *maker) sibling(t *truth) {
	t.owner, t.country = m.before.entity, m.before.country
	t.name = m.before.name + " " + m.of([]string{"Asia", "Europe", "Services", "North", "International", "II"})
	lent := m.permille(m.Lent)
	for _, v := range m.before.values {
		switch v.Kind {
		case resolve.TaxID, resolve.Registration:
			if !lent {
				v.Text = m.digits(len(v.Text))
			}
			v.Verified = !lent && m.permille(600)
			t.values = append(t.values, v)
		case resolve.Domain:
			t.values = append(t.values, v)
		}
	}
	m.means(t, strings.ToLower(m.of(m.given))+m.digits(3)+"@"+strings.ToLower(m.invented(3))+".org")
}

// shells puts some organisations into groups that share means of one owner.
func (m *maker) shells(t *truth) {
	if m.group == nil {
		if m.permille(m.Grouped / 4) {
			m.group = &group{owner: t.entity, left: 2 + m.below(4), card: "4" + m.digits(15), phone: "+44 20 " + m.digits(8), site: strings.ToLower(m.invented(4)) + ".net"}
		} else {
			return
		}
	} else if !m.permille(500) {
		return // groups are spread over the register
	}
	t.owner = m.group.owner
	t.values = append(t.values, Value{Kind: resolve.Card, Text: m.group.card})
	if m.permille(500) {
		t.values = append(t.values, Value{Kind: resolve.Phone, Text: m.group.phone})
	}
	if m.permille(400) {
		t.values = append(t.values, Value{Kind: resolve.Domain, Text: m.group.site})
	}
	if m.group.left--; m.group.left == 0 {
		m.group = nil
	}
}

func (m *maker) means(t *truth, mail string) {
	t.values = append(t.values, Value{Kind: resolve.Email, Text: mail}, Value{Kind: resolve.Phone, Text: "+" + fmt.Sprint(1+m.below(8)) + m.digits(10)},
		Value{Kind: resolve.Card, Text: "4" + m.digits(15)}, Value{Kind: resolve.IP, Text: fmt.Sprintf("%d.%d.%d.%d", 20+m.below(100), m.below(256), m.below(256), 1+m.below(250))})
}

func (m *maker) invented(syllables int) string {
	var b strings.Builder
	for range syllables {
		b.WriteString(m.of(m.syllables))
	}
	s := b.String()
	return strings.ToUpper(s[:1]) + s[1:]
}

// record writes an entity down, as well as people do. The first record of an
// entity is the most careful one.
func (m *maker) record(t *truth, n int) {
	p := Party{ID: resolve.ID(fmt.Sprintf("pty_%07d", len(m.out))), Customer: fmt.Sprintf("cus_%07d", len(m.out)), Person: t.person, Country: t.country, Entity: t.entity, Owner: t.owner}
	p.Name = t.name
	if n > 0 && !t.person && m.permille(m.Renamed) {
		p.Name = m.invented(3) + " " + m.of(m.trades)
	}
	if m.permille(m.Typo) {
		p.Name = m.typo(p.Name)
	}
	if (t.country == "RU" || t.country == "UA" || t.country == "KZ") && m.permille(500) {
		p.Name = m.cyrillic(p.Name)
	}
	if forms := forms[t.country]; !t.person && m.permille(850) {
		p.Name += " " + m.of(forms)
	}
	if m.permille(200) {
		p.Name = strings.ToUpper(p.Name)
	} else if t.person && m.permille(200) {
		given, family, _ := strings.Cut(p.Name, " ")
		p.Name = family + ", " + given
	}
	for _, v := range t.values {
		missing := m.Missing
		if n == 0 {
			missing /= 2
		}
		if m.permille(missing) {
			continue
		}
		p.Values = append(p.Values, m.written(v))
	}
	m.out = append(m.out, p)
}

// written is a value as somebody types it, now and then a wrong one.
func (m *maker) written(v Value) Value {
	switch v.Kind {
	case resolve.TaxID, resolve.Registration, resolve.LEI, resolve.Document:
		switch {
		case m.permille(m.Placeholder):
			return Value{Kind: v.Kind, Scheme: v.Scheme, Text: m.of([]string{"000000000", "999999999", "123456789", "N/A", "0000"})}
		case m.permille(m.WrongNumber):
			// The agent's own number, or that of whoever was entered before.
			for range 50 {
				if o := m.numbers[m.below(len(m.numbers))]; o.Kind == v.Kind && o.Scheme == v.Scheme {
					o.Verified = false
					return o
				}
			}
		case m.permille(100) && len(v.Text) > 4:
			v.Text = v.Text[:2] + "-" + v.Text[2:]
		case m.permille(20) && len(v.Text) > 6:
			v.Text = v.Text[:5] + m.digits(1) + v.Text[6:] // one digit wrong
			v.Verified = false
		}
	case resolve.Email:
		if at := strings.IndexByte(v.Text, '@'); m.permille(200) {
			v.Text = v.Text[:at] + "+gpu" + v.Text[at:]
		} else if m.permille(200) {
			v.Text = strings.ToUpper(v.Text)
		}
	case resolve.Phone:
		if m.permille(300) {
			v.Text = "00" + strings.TrimPrefix(v.Text, "+") + " ext 12"
		}
	case resolve.Address:
		if m.permille(400) {
			v.Text = strings.NewReplacer("Street", "St.", "Road", "Rd", "Avenue", "Ave", "Suite", "Ste", "Apartment", "Apt").Replace(v.Text)
		}
	}
	return v
}

// typo changes, drops, doubles or swaps one letter.
func (m *maker) typo(s string) string {
	letters := []rune(s)
	i := 1 + m.below(len(letters)-2)
	switch m.below(4) {
	case 0:
		letters[i] = rune('a' + m.below(26))
	case 1:
		letters = append(letters[:i], letters[i+1:]...)
	case 2:
		letters = append(letters[:i], append([]rune{letters[i]}, letters[i:]...)...)
	default:
		letters[i], letters[i-1] = letters[i-1], letters[i]
	}
	return string(letters)
}

// cyrillic writes a name as its bearer might; reading it back letter by letter
// does not always give the same Latin name.
func (m *maker) cyrillic(s string) string {
	var b strings.Builder
	lower := strings.NewReplacer("shch", "щ", "sha", "ша", "sh", "ш", "che", "че", "ch", "ч", "zh", "ж", "kh", "х", "ya", "я", "yu", "ю", "ia", "я", "ts", "ц").Replace(strings.ToLower(s))
	for _, r := range lower {
		if to, ok := toCyrillic[r]; ok {
			b.WriteString(to)
		} else {
			b.WriteRune(r)
		}
	}
	out := []rune(b.String())
	out[0] = unicode.ToUpper(out[0])
	return string(out)
}

var toCyrillic = map[rune]string{'a': "а", 'b': "б", 'c': "к", 'd': "д", 'e': "е", 'f': "ф", 'g': "г", 'h': "х", 'i': "и", 'j': "дж", 'k': "к", 'l': "л", 'm': "м", 'n': "н",
	'o': "о", 'p': "п", 'q': "к", 'r': "р", 's': "с", 't': "т", 'u': "у", 'v': "в", 'w': "в", 'x': "кс", 'y': "ы", 'z': "з", 'ü': "ю"}
