package config

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

type sample struct {
	Name   string   `yaml:"name"`
	Period Duration `yaml:"period"`
	Rules  []struct {
		Level int `yaml:"level"`
	} `yaml:"rules"`
}

func (s sample) Validate() error {
	if s.Name == "" {
		return errors.New("name: is empty")
	}
	var faults []error
	for i, r := range s.Rules {
		if r.Level < 0 {
			faults = append(faults, fmt.Errorf("rules[%d].level: is negative", i), errors.New("rules[0].note: is missing"))
		}
	}
	return errors.Join(faults...)
}

func TestDecode(t *testing.T) {
	var s sample
	if err := Decode("a.yaml", []byte("name: x\nperiod: 10s\nrules:\n- level: 3\n"), &s); err != nil {
		t.Fatal(err)
	}
	if s.Name != "x" || time.Duration(s.Period) != 10*time.Second || s.Rules[0].Level != 3 {
		t.Errorf("decoded %+v", s)
	}
}

func TestDecodeNamesEveryFault(t *testing.T) {
	tests := map[string]struct {
		text string
		want []string
	}{
		"all at once":     {"name: x\ncolour: red\nperiod: soon\nrules:\n- level: high\n- lvl: 3\n", []string{"a.yaml:2: colour: unknown key", "a.yaml:3: period: \"soon\" is not a duration", "a.yaml:5: rules[0].level: \"high\" is not a int", "a.yaml:6: rules[1].lvl: unknown key"}},
		"twice":           {"name: x\nname: y\n", []string{"a.yaml:2: name: is given twice"}},
		"wrong shape":     {"name: [x]\nrules: 3\n", []string{"a.yaml:1: name: must be a single value", "a.yaml:2: rules: must be a list"}},
		"alias":           {"name: &a x\nrules: *a\n", []string{"a.yaml:1: name: anchors", "a.yaml:2: rules: anchors"}},
		"validate":        {"period: 1s\n", []string{"a.yaml:1: name: is empty"}},
		"validate a part": {"name: x\nrules:\n- level: 1\n- level: -1\n", []string{"a.yaml:4: rules[1].level: is negative", "a.yaml:3: rules[0].note: is missing"}},
		"not yaml":        {"name: [\n", []string{"a.yaml:1: document: "}},
		"not a mapping":   {"- x\n", []string{"a.yaml:1: document: must be a mapping"}},
		"empty document":  {"", []string{"a.yaml:1: name: is empty"}},
		"too large":       {"# x\n#" + strings.Repeat("x", MaxBytes), []string{"a.yaml:2: document: larger than"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var s sample
			err := Decode("a.yaml", []byte(tt.text), &s)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error lacks %q:\n%v", want, err)
				}
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("name: x\nperiod: 10s\nrules:\n- level: 3\n"))
	f.Add([]byte("a: &a [*a]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var s sample
		if err := Decode("a.yaml", data, &s); err == nil && s.Name == "" {
			t.Error("Validate was not called")
		}
	})
}
