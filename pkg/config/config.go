// Package config reads YAML strictly: an unknown key, a key given twice and a
// value of the wrong type are errors that name file, line and key, and all of
// them are told at once. Anchors and aliases are refused, because nothing here
// needs them and a few lines of them can grow without bound.
package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// MaxBytes is the largest document that Decode reads.
const MaxBytes = 1 << 20

// Duration is a time.Duration that is written as in "10s" or "72h".
type Duration time.Duration

// UnmarshalYAML reads a duration.
func (d *Duration) UnmarshalYAML(n *yaml.Node) error {
	v, err := time.ParseDuration(n.Value)
	if err != nil || n.Kind != yaml.ScalarNode {
		return fmt.Errorf("%q is not a duration such as 10s or 72h", n.Value)
	}
	*d = Duration(v)
	return nil
}

// Decode reads one YAML document into the struct that into points to, and then
// calls its Validate() error if it has one. name is what faults call the file:
// each reads "name:line: key: what is wrong". Faults that Validate returns begin
// with their key, and may be joined; a key that is not in the file is told on the
// line of what it is missing from.
func Decode(name string, data []byte, into any) error {
	if len(data) > MaxBytes {
		return fmt.Errorf("%s:%d: document: larger than %d bytes", name, 1+bytes.Count(data[:MaxBytes], []byte("\n")), MaxBytes)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return syntaxFault(name, err)
	}
	d := &decoder{name: name, lines: map[string]int{}}
	if len(doc.Content) == 1 {
		d.value(doc.Content[0], reflect.ValueOf(into).Elem(), "")
	}
	if len(d.faults) > 0 {
		return errors.Join(d.faults...)
	}
	if v, ok := into.(interface{ Validate() error }); ok {
		if err := v.Validate(); err != nil {
			return d.place(err)
		}
	}
	return nil
}

// syntaxLine is how the parser of YAML names a line.
var syntaxLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// syntaxFault tells of text that is no YAML.
func syntaxFault(name string, err error) error {
	line, text := "1", err.Error()
	if m := syntaxLine.FindStringSubmatch(text); m != nil {
		line, text = cmp.Or(m[1], line), text[len(m[0]):]
	}
	return fmt.Errorf("%s:%s: document: %s", name, line, text)
}

type decoder struct {
	name   string
	lines  map[string]int // of each key that is in the document, by its path
	faults []error
}

// place gives each fault of a Validate the line of its key.
func (d *decoder) place(err error) error {
	var out []error
	for _, fault := range parts(err) {
		key, _, _ := strings.Cut(fault.Error(), ": ")
		out = append(out, fmt.Errorf("%s:%d: %w", d.name, d.line(key), fault))
	}
	return errors.Join(out...)
}

// parts returns the errors that were joined, or the one that there is.
func parts(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}

// line returns the line of a key, or of what it would be in.
func (d *decoder) line(key string) int {
	for key != "" {
		if line, known := d.lines[key]; known {
			return line
		}
		key = key[:max(0, strings.LastIndexAny(key, ".["))]
	}
	return max(1, d.lines[""])
}

func (d *decoder) fault(n *yaml.Node, key string, format string, args ...any) {
	if key == "" {
		key = "document"
	}
	d.faults = append(d.faults, fmt.Errorf("%s:%d: %s: %s", d.name, n.Line, key, fmt.Sprintf(format, args...)))
}

var unmarshaler = reflect.TypeFor[yaml.Unmarshaler]()

// value decodes a node into v, which is settable.
func (d *decoder) value(n *yaml.Node, v reflect.Value, key string) {
	d.lines[key] = n.Line
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		d.fault(n, key, "anchors and aliases are not allowed")
	case reflect.PointerTo(v.Type()).Implements(unmarshaler) || v.Type() == reflect.TypeFor[time.Time]():
		d.scalar(n, v, key)
	case v.Kind() == reflect.Struct:
		d.mapping(n, v, key)
	case v.Kind() == reflect.Slice:
		if n.Kind != yaml.SequenceNode {
			d.fault(n, key, "must be a list")
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
		for i, item := range n.Content {
			d.value(item, v.Index(i), fmt.Sprintf("%s[%d]", key, i))
		}
	default:
		d.scalar(n, v, key)
	}
}

func (d *decoder) scalar(n *yaml.Node, v reflect.Value, key string) {
	if n.Kind != yaml.ScalarNode {
		d.fault(n, key, "must be a single value")
		return
	}
	if err := n.Decode(v.Addr().Interface()); err != nil {
		var typed *yaml.TypeError
		if errors.As(err, &typed) {
			d.fault(n, key, "%q is not a %s", n.Value, v.Kind())
			return
		}
		d.fault(n, key, "%s", err)
	}
}

func (d *decoder) mapping(n *yaml.Node, v reflect.Value, key string) {
	if n.Kind != yaml.MappingNode {
		d.fault(n, key, "must be a mapping of keys")
		return
	}
	fields := map[string]int{}
	for i := range v.NumField() {
		tag, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
		fields[tag] = i
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, item := n.Content[i], n.Content[i+1]
		path := strings.TrimPrefix(key+"."+name.Value, ".")
		at, known := fields[name.Value]
		switch {
		case name.Value == "" || !known:
			d.fault(name, path, "unknown key")
		case seen[name.Value]:
			d.fault(name, path, "is given twice")
		default:
			seen[name.Value] = true
			d.value(item, v.Field(at), path)
			d.lines[path] = name.Line
		}
	}
}
