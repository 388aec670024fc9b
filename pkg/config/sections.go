package config

import (
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Setting is one key of a section with its values: one for a single value,
// any number for a list.
type Setting struct {
	Section, Key string
	Values       []string
	List         bool
	Line         int // of the value
	KeyLine      int
}

// Sections reads a document of two levels, sections of keys whose values are
// single values or lists of them, for callers that know the keys only when the
// program runs. It returns the settings in the order of the file. A section or
// key given twice, deeper nesting, anchors and aliases are errors that name file
// and line; all of them are told at once. An empty section is allowed: a shipped
// file has all its keys commented out.
func Sections(name string, data []byte) ([]Setting, error) {
	if len(data) > MaxBytes {
		return nil, fmt.Errorf("%s: larger than %d bytes", name, MaxBytes)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("%s: %s", name, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	r := &sections{decoder: decoder{name: name}}
	if len(doc.Content) == 1 {
		r.each(doc.Content[0], "", func(key, n *yaml.Node) { r.section(key.Value, n) })
	}
	if len(r.faults) > 0 {
		return nil, errors.Join(r.faults...)
	}
	return r.settings, nil
}

type sections struct {
	decoder
	settings []Setting
}

// each calls with for every key of a mapping; nothing at all is an empty one.
func (r *sections) each(n *yaml.Node, path string, with func(key, n *yaml.Node)) {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return
	}
	if n.Kind != yaml.MappingNode || n.Anchor != "" {
		r.fault(n, path, "must be a mapping of keys, without anchors")
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if seen[key.Value] {
			r.fault(key, strings.TrimPrefix(path+"."+key.Value, "."), "is given twice")
			continue
		}
		seen[key.Value] = true
		with(key, n.Content[i+1])
	}
}

func (r *sections) section(name string, n *yaml.Node) {
	r.each(n, name, func(key, value *yaml.Node) {
		s := Setting{Section: name, Key: key.Value, Line: value.Line, KeyLine: key.Line}
		items := []*yaml.Node{value}
		if value.Kind == yaml.SequenceNode {
			s.List, items = true, value.Content
		}
		for _, item := range items {
			if item.Kind != yaml.ScalarNode || item.Tag == "!!null" || item.Anchor != "" || value.Anchor != "" {
				r.fault(item, name+"."+key.Value, "must be a single value or a list of them")
				continue
			}
			s.Values = append(s.Values, item.Value)
		}
		r.settings = append(r.settings, s)
	})
}
