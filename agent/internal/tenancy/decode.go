package tenancy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/flopwatch/flopwatch/pkg/measure"
)

// The limits of a lease file.
const (
	maxFile   = 16 << 20
	maxLine   = 8 << 10
	maxLeases = 100_000
	maxFaults = 20
)

// Decode reads leases, one JSON object on a line; blank lines are skipped. It
// is strict: unknown, repeated, missing or badly typed fields, unknown kinds,
// bad times and repeated leases are errors, all of them together, each as
// "name:line: field: what". Leases are only returned without any error.
func Decode(name string, data []byte) ([]Lease, error) {
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s: longer than %d bytes", name, maxFile)
	}
	var leases []Lease
	var faults []error
	type content struct {
		selector Selector
		tenant   measure.TenantID
		from, to int64
	}
	seen := map[content]int{}
	line := 0
	for rest := data; len(rest) > 0 && len(faults) < maxFaults; {
		var text []byte
		text, rest, _ = bytes.Cut(rest, []byte("\n"))
		line++
		if len(bytes.TrimSpace(text)) == 0 {
			continue
		}
		l, err := decodeLine(text)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s:%d: %w", name, line, err))
			continue
		}
		l.Line = line
		key := content{l.Selector, l.Tenant, l.FromNS, l.ToNS}
		if first, ok := seen[key]; ok {
			faults = append(faults, fmt.Errorf("%s:%d: selector: the same lease as line %d", name, line, first))
			continue
		}
		seen[key] = line
		if len(leases) == maxLeases {
			return nil, fmt.Errorf("%s:%d: more than %d leases", name, line, maxLeases)
		}
		leases = append(leases, l)
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return leases, nil
}

func decodeLine(text []byte) (Lease, error) {
	if len(text) > maxLine {
		return Lease{}, fmt.Errorf("longer than %d bytes", maxLine)
	}
	if !utf8.Valid(text) {
		return Lease{}, errors.New("not valid UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var l Lease
	var from, to string
	err := object(dec, "", map[string]func(path string) error{
		"selector": func(path string) error {
			return object(dec, path+".", map[string]func(string) error{
				"kind":  into(dec, (*string)(&l.Selector.Kind)),
				"value": into(dec, &l.Selector.Value),
			}, "kind", "value")
		},
		"tenant": into(dec, (*string)(&l.Tenant)),
		"from":   into(dec, &from),
		"to":     into(dec, &to),
	}, "selector", "tenant", "from")
	if err != nil {
		return Lease{}, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Lease{}, errors.New("more text after the object")
	}
	if err := check(&l); err != nil {
		return Lease{}, err
	}
	if l.FromNS, err = instant("from", from); err != nil {
		return Lease{}, err
	}
	if to != "" {
		if l.ToNS, err = instant("to", to); err != nil {
			return Lease{}, err
		}
		if l.ToNS <= l.FromNS {
			return Lease{}, fmt.Errorf("to: %s is not after from", to)
		}
	}
	return l, nil
}

func check(l *Lease) error {
	if _, ok := specificity[l.Selector.Kind]; !ok {
		return fmt.Errorf("selector.kind: %.40q is not a kind of selector", l.Selector.Kind)
	}
	if v := l.Selector.Value; v == "" || len(v) > 4096 {
		return errors.New("selector.value: must have 1 to 4096 bytes")
	}
	if l.Selector.Kind == CgroupPrefix && !strings.HasPrefix(l.Selector.Value, "/") {
		return errors.New("selector.value: a cgroup path starts with /")
	}
	if l.Tenant == "" || len(l.Tenant) > 128 {
		return errors.New("tenant: must have 1 to 128 characters")
	}
	for i := range len(l.Tenant) {
		if c := l.Tenant[i]; c <= ' ' || c >= 0x7f {
			return errors.New("tenant: only printable ASCII without spaces")
		}
	}
	return nil
}

// instant reads a time that fits nanoseconds since 1970.
func instant(field, text string) (int64, error) {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return 0, fmt.Errorf("%s: %.40q is not an RFC 3339 time", field, text)
	}
	if s := t.Unix(); s <= 0 || s >= math.MaxInt64/int64(time.Second) {
		return 0, fmt.Errorf("%s: %s is out of range", field, text)
	}
	return t.UnixNano(), nil
}

// object reads a JSON object with exactly these fields. encoding/json alone
// would take repeated keys and any case.
func object(dec *json.Decoder, prefix string, fields map[string]func(path string) error, required ...string) error {
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return fmt.Errorf("%snot a JSON object", prefixed(prefix))
	}
	var seen []string
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return fmt.Errorf("%snot JSON: %w", prefixed(prefix), err)
		}
		key, _ := t.(string)
		read, ok := fields[key]
		if !ok {
			return fmt.Errorf("%s%.40q: unknown field", prefix, key)
		}
		if slices.Contains(seen, key) {
			return fmt.Errorf("%s%s: given twice", prefix, key)
		}
		seen = append(seen, key)
		if err := read(prefix + key); err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil {
		return fmt.Errorf("%snot JSON: %w", prefixed(prefix), err)
	}
	for _, key := range required {
		if !slices.Contains(seen, key) {
			return fmt.Errorf("%s%s: missing", prefix, key)
		}
	}
	return nil
}

func prefixed(prefix string) string {
	if prefix == "" {
		return ""
	}
	return strings.TrimSuffix(prefix, ".") + ": "
}

func into(dec *json.Decoder, to *string) func(path string) error {
	return func(path string) error {
		t, err := dec.Token()
		if err != nil {
			return fmt.Errorf("%s: not JSON: %w", path, err)
		}
		s, ok := t.(string)
		if !ok {
			return fmt.Errorf("%s: not a string", path)
		}
		*to = s
		return nil
	}
}
