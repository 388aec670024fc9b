package collector

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

type schema struct {
	Ref        string            `json:"$ref"`
	Type       any               `json:"type"`
	Properties map[string]schema `json:"properties"`
	Required   []string          `json:"required"`
	Items      *schema           `json:"items"`
	Enum       []any             `json:"enum"`
	Format     string            `json:"format"`
	Pattern    string            `json:"pattern"`
	MinLength  int               `json:"minLength"`
	Minimum    float64           `json:"minimum"`
	MinItems   int               `json:"minItems"`
}

type document struct {
	Paths map[string]map[string]struct {
		OperationID string
		Parameters  []struct {
			Name, In string
			Required bool
			Schema   schema
		}
		RequestBody struct {
			Content map[string]struct{ Schema schema }
		}
	}
	Components struct{ Schemas map[string]schema }
}

// example makes the smallest body that a schema takes, with what is said of a field
// by its name.
func (d document) example(s schema, name string, say map[string]any) any {
	if v, ok := say[name]; ok {
		return v
	}
	if s.Ref != "" {
		return d.example(d.Components.Schemas[strings.TrimPrefix(s.Ref, "#/components/schemas/")], name, say)
	}
	kind, _ := s.Type.(string)
	if all, ok := s.Type.([]any); ok && len(all) > 0 {
		kind, _ = all[0].(string)
	}
	switch {
	case len(s.Enum) > 0:
		return s.Enum[0]
	case kind == "object":
		out := map[string]any{}
		for name, p := range s.Properties {
			_, said := say[name]
			if slices.Contains(s.Required, name) || said {
				out[name] = d.example(p, name, say)
			}
		}
		return out
	case kind == "array":
		out := []any{}
		for range max(s.MinItems, 1) {
			if s.Items != nil {
				out = append(out, d.example(*s.Items, "", say))
			}
		}
		return out
	case kind == "integer", kind == "number":
		return max(s.Minimum, 1)
	case kind == "boolean":
		return false
	case s.Format == "date-time":
		return "2026-11-28T12:00:00Z"
	}
	return strings.Repeat("x", max(s.MinLength, 1))
}

// sessionOf signs in somebody whose login is no role.
func (o *office) sessionOf(login string) string {
	o.Helper()
	return o.enrolled(login, true)
}

// send sends a body of a media type.
func (o *office) send(who, method, path, media string, body []byte) (int, []byte) {
	o.Helper()
	return o.fetch(method, path, o.token[who], media, "", body)
}

// deskClient keeps its connections: thousands of requests are made here.
var deskClient = &http.Client{Timeout: 5 * time.Minute}

func (o *office) fetch(method, path, bearer, media, version string, body []byte) (int, []byte) {
	o.Helper()
	ctx, cancel := context.WithTimeout(o.Context(), 5*time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, strings.ToUpper(method), o.url+path, bytes.NewReader(body))
	if err != nil {
		o.Fatal(err)
	}
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	if media != "" {
		r.Header.Set("Content-Type", media)
	}
	if version != "" {
		r.Header.Set("If-Match", version)
	}
	w, err := deskClient.Do(r)
	if err != nil {
		o.Fatalf("%s %s: %v", method, path, err)
	}
	defer func() { _ = w.Body.Close() }()
	if strings.HasPrefix(w.Header.Get("Content-Type"), "text/event-stream") {
		return w.StatusCode, nil // it does not end by itself
	}
	text, err := io.ReadAll(w.Body)
	if err != nil {
		o.Fatalf("%s %s: %v", method, path, err)
	}
	return w.StatusCode, text
}

// request asks for an operation with the smallest body that it takes.
func (o *office) request(d document, a actor, method, path string, about target, operation string) (int, []byte) {
	o.Helper()
	target := strings.NewReplacer("{id}", about.id, "{file}", about.file, "{format}", "json", "{path...}", "checkpoint").Replace(path)
	route := d.Paths[path][method]
	var body []byte
	media := ""
	for _, m := range slices.Sorted(maps.Keys(route.RequestBody.Content)) {
		media = m
		if m == "application/json" {
			var err error
			if body, err = json.Marshal(d.example(route.RequestBody.Content[m].Schema, operation, about.say)); err != nil {
				o.Fatal(err)
			}
		} else {
			body = []byte("x\n")
		}
	}
	query := ""
	for _, p := range route.Parameters {
		if p.In == "query" && (p.Required || p.Name == "name") {
			query = "?" + p.Name + "=x"
		}
	}
	version := ""
	for _, p := range route.Parameters {
		if p.In == "header" && p.Name == "If-Match" {
			version = `"1"`
		}
	}
	return o.fetch(method, target+query, a.bearer, media, version, body)
}
