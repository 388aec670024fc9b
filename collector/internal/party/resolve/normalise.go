package resolve

import (
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Normalise returns the one form of a value of a kind, and false if the value is
// none of that kind. Country is where a phone without a prefix is from; "" if
// that is not known.
func Normalise(k Kind, value, country string) (string, bool) {
	value = strings.TrimSpace(norm.NFKC.String(value))
	switch k {
	case Email:
		return email(value)
	case Phone:
		return phone(value, country)
	case Domain:
		return domain(value)
	case IP:
		return prefix(value)
	case Address:
		return address(value, country)
	case TaxID, Registration, LEI, Document, Card, Bank:
		// They are written with and without spaces, dots and dashes.
		out := strings.Map(func(r rune) rune {
			switch {
			case r >= '0' && r <= '9', r >= 'A' && r <= 'Z':
				return r
			case r >= 'a' && r <= 'z':
				return r - 'a' + 'A'
			case r > 127:
				return r
			}
			return -1
		}, value)
		return out, len(out) >= 4 && !placeholder(out)
	}
	return value, value != ""
}

// placeholder reports whether a number is one that is typed in where there is
// none: one character only, or counting up.
func placeholder(s string) bool {
	same, up := true, true
	for i := 1; i < len(s); i++ {
		same = same && s[i] == s[0]
		up = up && (s[i] == s[i-1]+1 || s[i] == '0' && s[i-1] == '9')
	}
	return same || up || strings.Trim(s, "NA") == "" || strings.Trim(s, "0X") == ""
}

// aliased are providers that deliver what comes for name+tag to name; of the
// second value dots in the name do not count.
var aliased = map[string]bool{"gmail.com": true, "googlemail.com": true, "outlook.com": false, "hotmail.com": false, "live.com": false,
	"icloud.com": false, "me.com": false, "fastmail.com": false, "proton.me": false, "protonmail.com": false, "pm.me": false}

var sameMail = map[string]string{"googlemail.com": "gmail.com", "protonmail.com": "proton.me", "pm.me": "proton.me", "me.com": "icloud.com"}

func email(s string) (string, bool) {
	at := strings.LastIndexByte(s, '@')
	if at < 1 || at == len(s)-1 || strings.ContainsAny(s, " \t<>") {
		return "", false
	}
	host, err := idna.Lookup.ToASCII(strings.TrimSuffix(s[at+1:], "."))
	if err != nil || !strings.Contains(host, ".") {
		return "", false
	}
	local := cases.Fold().String(s[:at])
	if dots, known := aliased[host]; known {
		local, _, _ = strings.Cut(local, "+")
		if dots {
			local = strings.ReplaceAll(local, ".", "")
		}
	}
	if to := sameMail[host]; to != "" {
		host = to
	}
	return local + "@" + host, local != ""
}

// callingCodes are those of countries whose numbers are often written without.
var callingCodes = map[string]string{"US": "1", "CA": "1", "GB": "44", "DE": "49", "FR": "33", "IT": "39", "ES": "34", "NL": "31", "BE": "32", "CH": "41",
	"AT": "43", "SE": "46", "NO": "47", "DK": "45", "FI": "358", "PL": "48", "CZ": "420", "PT": "351", "IE": "353", "GR": "30", "TR": "90", "RU": "7", "KZ": "7",
	"UA": "380", "CN": "86", "HK": "852", "MO": "853", "TW": "886", "JP": "81", "KR": "82", "SG": "65", "MY": "60", "TH": "66", "VN": "84", "ID": "62", "PH": "63",
	"IN": "91", "PK": "92", "AE": "971", "SA": "966", "IL": "972", "EG": "20", "ZA": "27", "NG": "234", "KE": "254", "BR": "55", "MX": "52", "AR": "54", "AU": "61", "NZ": "64"}

// keepsZero are countries whose numbers keep the leading zero behind the code.
var keepsZero = map[string]bool{"IT": true}

// phone returns E.164 without the plus. Extensions are dropped: they name a desk.
func phone(s, country string) (string, bool) {
	s = strings.ToLower(s)
	for _, mark := range []string{"ext", "x", ";", ","} {
		if i := strings.Index(s, mark); i > 0 {
			s = s[:i]
		}
	}
	plus := strings.HasPrefix(s, "+")
	s = strings.Replace(s, "(0)", "", 1)
	digits := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, s)
	code := callingCodes[country]
	switch {
	case plus:
	case strings.HasPrefix(digits, "00"):
		digits = digits[2:]
	case code == "1" && strings.HasPrefix(digits, "011"):
		digits = digits[3:]
	case code == "":
		return "", false
	case code == "1" && len(digits) == 11 && digits[0] == '1':
	case country == "RU" && len(digits) == 11 && digits[0] == '8':
		digits = "7" + digits[1:]
	default:
		if !keepsZero[country] {
			digits = strings.TrimPrefix(digits, "0")
		}
		digits = code + digits
	}
	return digits, len(digits) >= 7 && len(digits) <= 15 && !placeholder(digits[2:])
}

// domain returns the registrable domain of a host name or address of a page.
func domain(s string) (string, bool) {
	if _, rest, ok := strings.Cut(s, "://"); ok {
		s = rest
	}
	s, _, _ = strings.Cut(s, "/")
	s, _, _ = strings.Cut(s, ":")
	host, err := idna.Lookup.ToASCII(strings.TrimSuffix(s, "."))
	if err != nil {
		return "", false
	}
	out, err := publicsuffix.EffectiveTLDPlusOne(strings.ToLower(host))
	return out, err == nil
}

// prefix returns the /24 or /48 that an address is in. Addresses that are the
// same for everybody say nothing.
func prefix(s string) (string, bool) {
	addr, err := netip.ParseAddr(s)
	if err != nil {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return "", false
		}
		addr = p.Addr()
	}
	addr = addr.Unmap().WithZone("")
	if !addr.IsGlobalUnicast() || addr.IsPrivate() || netip.MustParsePrefix("100.64.0.0/10").Contains(addr) {
		return "", false
	}
	bits := 24
	if addr.Is6() {
		bits = 48
	}
	p, err := addr.Prefix(bits)
	return p.String(), err == nil
}

// streets are words of addresses with the short form that stands for them.
var streets = map[string]string{"street": "st", "strasse": "str", "road": "rd", "avenue": "ave", "boulevard": "blvd", "suite": "ste", "floor": "fl", "building": "bldg",
	"room": "rm", "unit": "u", "apartment": "apt", "drive": "dr", "lane": "ln", "square": "sq", "place": "pl", "centre": "ctr", "center": "ctr", "north": "n", "south": "s",
	"east": "e", "west": "w", "first": "1", "second": "2", "third": "3", "no": "", "number": "", "the": ""}

// address returns the tokens of an address in order, with the country.
func address(s, country string) (string, bool) {
	words := strings.Fields(Transliterate(Fold(s)))
	var kept []string
	for _, w := range words {
		if short, known := streets[w]; known {
			w = short
		}
		if strings.HasSuffix(w, "strasse") {
			w = strings.TrimSuffix(w, "asse")
		}
		if w != "" {
			kept = append(kept, w)
		}
	}
	slices.Sort(kept)
	kept = slices.Compact(kept)
	return country + " " + strings.Join(kept, " "), len(kept) >= 3
}
