package party

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
)

// ReadJSON reads an array of customers, each an object with the columns of
// ReadCSV as keys and tenant_ids, a list, in place of tenant_id. A key that is
// not known, is there twice or holds a value of another type is a fault. Faults
// are told as by ReadCSV, with the line on which the customer begins.
func ReadJSON(name string, data []byte) ([]Customer, error) {
	b := newBook(name)
	data, ok := b.Text(data, MaxBytes)
	if !ok {
		return b.finish()
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	lines := lineCounter{data: data, line: 1}
	if token, err := dec.Token(); err != nil || token != json.Delim('[') {
		b.Add(1, "document", "must be an array of customers")
		return b.finish()
	}
	for !b.Full() && dec.More() {
		line := lines.at(int(dec.InputOffset()))
		var element json.RawMessage
		if err := dec.Decode(&element); err != nil {
			b.Add(line, "customer", "is not JSON")
			return b.finish()
		}
		b.element(line, element)
	}
	if b.Full() {
		return b.finish()
	}
	end := lines.at(int(dec.InputOffset()))
	if _, err := dec.Token(); err != nil {
		b.Add(end, "document", "does not end")
	} else if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		b.Add(end, "document", "goes on after its end")
	}
	return b.finish()
}

// element takes one customer, which is valid JSON.
func (b *book) element(line int, text json.RawMessage) {
	dec := json.NewDecoder(bytes.NewReader(text))
	if token, err := dec.Token(); err != nil || token != json.Delim('{') {
		b.Add(line, "customer", "must be an object")
		return
	}
	r := record{line: line}
	bad := func(key, rule string) {
		b.Add(line, key, rule)
		r.bad = true
	}
	var tenants []string
	seen := map[string]bool{}
	for dec.More() && !b.Full() {
		token, err := dec.Token()
		key, isText := token.(string)
		var value json.RawMessage
		if err == nil {
			err = dec.Decode(&value)
		}
		if err != nil || !isText {
			bad("customer", "is not JSON")
			return
		}
		var into any
		rule := "must be a text"
		switch key {
		case "customer_id":
			into = &r.customer.ID
		case "name":
			into = &r.customer.Name
		case "country":
			into = &r.customer.Country
		case "foreign_status":
			into = &r.customer.Status
		case "status_reason":
			into = &r.customer.StatusReason
		case "demonstration":
			into, rule = &r.customer.Demonstration, "must be true or false"
		case "tenant_ids":
			into, rule = &tenants, "must be a list of texts"
		default:
			bad("customer", "has a key that is not known")
			continue
		}
		if seen[key] {
			bad(key, "is there twice")
			continue
		}
		seen[key] = true
		// null would leave the field as it is; it says neither yes nor no.
		if bytes.Contains(value, []byte("null")) && holdsNull(value) || json.Unmarshal(value, into) != nil {
			bad(key, rule)
		}
	}
	b.check(&r)
	if len(tenants) == 0 {
		b.put(r)
	}
	for _, tenant := range tenants {
		if tenant == "" {
			bad("tenant_ids", "holds an empty text")
			continue
		}
		r.tenant = tenant
		b.put(r)
	}
}

// holdsNull reports whether the value is null or a list with a null in it.
func holdsNull(value json.RawMessage) bool {
	if bytes.Equal(bytes.TrimSpace(value), []byte("null")) {
		return true
	}
	var list []json.RawMessage
	if json.Unmarshal(value, &list) != nil {
		return false
	}
	for _, item := range list {
		if bytes.Equal(item, []byte("null")) {
			return true
		}
	}
	return false
}

// lineCounter finds the line of rising offsets without counting anew each time.
type lineCounter struct {
	data         []byte
	offset, line int
}

// at returns the line of the next value at or after the offset.
func (c *lineCounter) at(offset int) int {
	for offset < len(c.data) && bytes.IndexByte([]byte(" \t\r\n,"), c.data[offset]) >= 0 {
		offset++
	}
	c.line += bytes.Count(c.data[c.offset:offset], []byte("\n"))
	c.offset = offset
	return c.line
}
