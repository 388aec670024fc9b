package eval

import (
	"encoding/csv"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/classify"
)

// madeUp are series of power that the repository can carry: mean watts of
// consecutive windows. They hold the method to its answers where the public
// recordings are absent; no figure about people's work rests on them.
var madeUp = []struct {
	name  string
	label classify.Class
	watts func(r *rand.Rand, i int) float64
}{
	{"training with an evaluation every five minutes", classify.Training, func(r *rand.Rand, i int) float64 {
		if i > 0 && i%30 < 3 {
			return 3500 + 100*r.Float64()
		}
		return 6800 + 150*r.NormFloat64()
	}},
	{"training with checkpoints that come late at times", classify.Training, func(r *rand.Rand, i int) float64 {
		if m := i % 24; m == 20+(i/24)%3 {
			return 4200 + 200*r.Float64()
		}
		return 5600 + 60*r.NormFloat64()
	}},
	{"serving at full load", classify.Inference, func(r *rand.Rand, _ int) float64 { return 3440 + 0.6*r.NormFloat64() }},
	{"one client, a light load that never changes", classify.Inference, func(r *rand.Rand, _ int) float64 { return 610 + 0.2*r.NormFloat64() }},
	{"serving with requests that come and go", classify.CannotTell, func(r *rand.Rand, _ int) float64 { return 2600 + 6*r.NormFloat64() }},
}

const madeUpWindows = 240

func TestMadeUp(t *testing.T) {
	path := filepath.Join("testdata", "made-up.csv")
	if os.Getenv("UPDATE") != "" {
		writeMadeUp(t, path)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	records, err := csv.NewReader(file).ReadAll()
	if err != nil || file.Close() != nil || len(records) != len(madeUp) {
		t.Fatalf("%d series, want %d: %v", len(records), len(madeUp), err)
	}
	for i, record := range records {
		if record[0] != madeUp[i].name {
			t.Fatalf("series %d is %q, want %q", i, record[0], madeUp[i].name)
		}
		t.Run(record[0], func(t *testing.T) {
			o := classify.Observation{Hosts: 1, Devices: 1, Duration: time.Duration(len(record)-2) * window, Empirical: true, TensorShare: -1, Utilization: -1}
			for _, cell := range record[2:] {
				w, err := strconv.ParseFloat(cell, 64)
				if err != nil {
					t.Fatal(err)
				}
				o.Rhythm.Add(w)
			}
			v := classify.Judge(o)
			if string(v.Class) != record[1] {
				t.Errorf("%s at %.2f (%s), want %s: %+v", v.Class, v.Training, v.Reason, record[1], v.Evidence)
			}
		})
	}
}

func writeMadeUp(t *testing.T, path string) {
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	table := csv.NewWriter(file)
	for i, m := range madeUp {
		r := rand.New(rand.NewPCG(6, uint64(i)))
		record := []string{m.name, string(m.label)}
		for n := range madeUpWindows {
			record = append(record, fmt.Sprintf("%.1f", m.watts(r, n)))
		}
		if err := table.Write(record); err != nil {
			t.Fatal(err)
		}
	}
	table.Flush()
	if table.Error() != nil || file.Close() != nil {
		t.Fatalf("write %s: %v", path, table.Error())
	}
}

// A bad cell names its place and stops the evaluation.
func TestBadRecordingNamesItsPlace(t *testing.T) {
	for _, test := range []struct{ name, table, want string }{
		{"no column", "run_id,node,time_ms\n", "no column power_w"},
		{"no number", "run_id,node,time_ms,power_w\na/b/c/d,0,1,x\n", "row 1, column power_w"},
		{"half a row", "run_id,node,time_ms,power_w\na/b\n", "wrong number of fields"},
		{"no name of a run", "run_id,node,time_ms,power_w\na,0,1,1\n", `run "a"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.Mkdir(filepath.Join(dir, trainingPowerSet), 0o755); err != nil {
				t.Fatal(err)
			}
			zipped(t, filepath.Join(dir, trainingPowerSet, "node_power.csv.gz"), test.table)
			if _, err := Examples(dir); err == nil || !contains(err, test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}
