package accel

import (
	"math"
	"strings"
	"testing"

	"github.com/flopwatch/flopwatch/pkg/compute"
)

func TestEveryNameFindsItsOwnRow(t *testing.T) {
	if n := len(All()); n != 50 {
		t.Errorf("catalogue has %d rows, want 50", n)
	}
	for _, m := range All() {
		names := append([]string{m.SKU}, m.Names...)
		for _, name := range names {
			for _, spelling := range []string{name, "NVIDIA " + strings.TrimPrefix(name, "NVIDIA "), strings.TrimPrefix(name, "NVIDIA ")} {
				got, grade, how := Lookup(Identity{Name: spelling})
				if got.SKU != m.SKU || grade != m.Grade {
					t.Errorf("Lookup(%q) = %s grade %s (%s), want %s grade %s", spelling, got.SKU, grade, how, m.SKU, m.Grade)
				}
			}
		}
		for _, id := range m.PCIIDs {
			if got, _, _ := Lookup(Identity{Name: "Engineering Sample", PCIID: strings.ToLower(id)}); got.SKU != m.SKU {
				t.Errorf("Lookup(PCI id %s) = %s, want %s", id, got.SKU, m.SKU)
			}
		}
		if m.Ceiling() < m.TrainingPeak() || m.TrainingPeak() <= 0 {
			t.Errorf("%s: ceiling %v, training peak %v", m.SKU, m.Ceiling(), m.TrainingPeak())
		}
	}
}

func TestLookup(t *testing.T) {
	h100 := compute.RateFromTera(989.4)
	tests := []struct {
		name  string
		id    Identity
		sku   string
		grade Grade
	}{
		{"memory size in the name is of the CPU", Identity{Name: "NVIDIA GH200 480GB"}, "GH200-96GB", GradeA},
		{"bare name is the 94 GB part", Identity{Name: "NVIDIA H100"}, "H100-SXM5-94GB", GradeC},
		{"prefix of a name is another device", Identity{Name: "NVIDIA H100 80GB"}, "unknown", Derived},
		{"name wins over PCI id", Identity{Name: "NVIDIA H200", PCIID: "20B0"}, "H200-SXM", GradeA},
		{"nothing known", Identity{}, "unknown", Derived},
		{"capability", Identity{Name: "NVIDIA H900", CC: "9.0", SMCount: 100, MaxSMMHz: 1500}, "derived-9.0", Derived},
		{"capability nobody knows", Identity{Name: "NVIDIA X", CC: "99.0", SMCount: 100, MaxSMMHz: 1500}, "unknown", Derived},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, grade, how := Lookup(tt.id)
			if m.SKU != tt.sku || grade != tt.grade || how == "" {
				t.Errorf("Lookup(%+v) = %s grade %s (%q), want %s grade %s", tt.id, m.SKU, grade, how, tt.sku, tt.grade)
			}
			if m.Ceiling() < m.TrainingPeak() || m.TrainingPeak() <= 0 {
				t.Errorf("ceiling %v, training peak %v", m.Ceiling(), m.TrainingPeak())
			}
		})
	}
	m, _, _ := Lookup(Identity{Name: "NVIDIA H100 80GB HBM3", SMCount: 66})
	if got, want := m.TrainingPeak(), h100/2; got != want {
		t.Errorf("half of the SMs have a peak of %v, want %v", got, want)
	}
	if full, _, _ := Lookup(Identity{Name: "NVIDIA H100 80GB HBM3"}); full.TrainingPeak() != h100 {
		t.Errorf("a lookup changed the catalogue: %v", full.TrainingPeak())
	}
	unknown, _, _ := Lookup(Identity{Name: "Abacus 9000"})
	for _, row := range All() {
		if row.Ceiling() > unknown.Ceiling() {
			t.Errorf("%s has a higher ceiling than an unknown accelerator", row.SKU)
		}
	}
}

// sm_count × operations per clock and SM × clock gives the tensor peaks; the
// notes of the catalogue name the exceptions.
func TestArithmetic(t *testing.T) {
	exceptions := map[string]bool{"B300/int8": true, "GB300/int8": true} // an upper bound is kept, see the notes
	tensor := []compute.Precision{compute.BF16, compute.TF32, compute.FP8, compute.INT8, compute.FP4}
	checked := 0
	for _, m := range All() {
		for _, p := range tensor {
			peak, ok := m.Peak(p)
			if !ok || m.OpsPerClock[p] == 0 || m.PeakTensorMHz == 0 || exceptions[m.SKU+"/"+string(p)] {
				continue
			}
			checked++
			want := float64(m.SMCount) * float64(m.OpsPerClock[p]) * float64(m.PeakTensorMHz) * 1e6
			if diff := math.Abs(peak.OpsPerSecond()/want - 1); diff > 0.035 && (m.Grade != GradeC || diff > 0.055) {
				t.Errorf("%s %s: catalogue %.4g, arithmetic %.4g, %.1f %% apart", m.SKU, p, peak.OpsPerSecond(), want, 100*diff)
			}
		}
	}
	if checked < 100 {
		t.Errorf("only %d figures checked", checked)
	}
}

func TestParseNamesEveryFault(t *testing.T) {
	const table = `sku,vendor,confidence,sm_count,fp16_bf16_tflops,colour
X,v,A,10,NaN,red
Y,v,Z,10,-3,red
`
	_, err := Parse("t.csv", strings.NewReader(table))
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"t.csv:1: colour: unknown column", "t.csv:2: fp16_bf16_tflops: \"NaN\"", "t.csv:3: fp16_bf16_tflops: \"-3\"", "t.csv:3: confidence"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q:\n%v", want, err)
		}
	}
}
