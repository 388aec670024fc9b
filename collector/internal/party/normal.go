package party

import (
	"errors"
	"net/netip"
	"strings"
	"unicode"

	"github.com/flopwatch/flopwatch/collector/internal/party/resolve"
)

// Errors of Normal, which repeat nothing of the value.
var (
	errEmail  = errors.New("must be an e-mail address such as name@example.org")
	errPhone  = errors.New("must be a phone number with its country, such as +12025550123")
	errIP     = errors.New("must be an address of IPv4 or IPv6")
	errDomain = errors.New("must be a domain such as example.org")
	errNumber = errors.New("must have letters or digits")
)

// Normal returns the form of an identifier in which two that are the same are
// equal, and that of what is around it, "" if there is nothing.
func Normal(t IdentifierType, value string) (normal, coarse string, err error) {
	if normal, coarse, err = written(t, value); err != nil || t == IP {
		return normal, coarse, err
	}
	if same, ok := resolve.Normalise(resolve.Kind(t), normal, ""); ok {
		normal = same
	}
	if t == Email {
		_, coarse, _ = strings.Cut(normal, "@")
		if domain, ok := resolve.Normalise(resolve.Domain, coarse, ""); ok {
			coarse = domain
		}
	}
	return normal, coarse, nil
}

// StandsForNone reports whether a number is one that is written where there is
// none, such as 000000000. Those who have it have nothing in common by it.
func StandsForNone(t IdentifierType, value string) bool {
	switch t {
	case TaxID, Registration, LEI, Document, Card, Bank, Phone:
		_, ok := resolve.Normalise(resolve.Kind(t), value, "")
		return !ok
	}
	return false
}

// written checks how a value is written, and brings it to a first form.
func written(t IdentifierType, value string) (normal, coarse string, err error) {
	switch t {
	case Email:
		local, domain, ok := strings.Cut(strings.ToLower(value), "@")
		if !ok || local == "" || !strings.Contains(domain, ".") || strings.ContainsAny(value, " <>") {
			return "", "", errEmail
		}
		return local + "@" + domain, domain, nil
	case Phone:
		digits := keep(value, unicode.IsDigit)
		if !strings.HasPrefix(value, "+") || len(digits) < 7 || len(digits) > 15 {
			return "", "", errPhone
		}
		return "+" + digits, "", nil
	case IP:
		ip, err := netip.ParseAddr(value)
		if err != nil || ip.Zone() != "" {
			return "", "", errIP
		}
		ip = ip.Unmap()
		bits := 48
		if ip.Is4() {
			bits = 24
		}
		prefix, err := ip.Prefix(bits)
		if err != nil {
			return "", "", errIP
		}
		return ip.String(), prefix.String(), nil
	case Domain:
		if !strings.Contains(value, ".") || strings.ContainsAny(value, " /@") {
			return "", "", errDomain
		}
		return strings.Trim(strings.ToLower(value), "."), "", nil
	case Address:
		return strings.Join(strings.FieldsFunc(strings.ToLower(value), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }), " "), "", nil
	case Key, Wallet:
		return value, "", nil
	}
	normal = strings.ToUpper(keep(value, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }))
	if normal == "" {
		return "", "", errNumber
	}
	return normal, "", nil
}

func keep(s string, f func(rune) bool) string {
	return strings.Map(func(r rune) rune {
		if f(r) {
			return r
		}
		return -1
	}, s)
}
