package reader

import (
	"bytes"
	"errors"
	"testing"

	"github.com/flopwatch/flopwatch/agent/internal/nvml"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// What the process that reads devices says is bounded and read without harm,
// whatever a driver made of it.
func FuzzMessage(f *testing.F) {
	host := &Host{Devices: []nvml.Device{{Device: measure.Device{ID: "GPU-0"}}, {Device: measure.Device{ID: "MIG-1", Parent: "GPU-1"}}}}
	sample := measure.NewSample("GPU-0", 7)
	sample.SetGauge(measure.PowerMW, 300_000)
	sample.SetCounter(measure.EnergyMJ, 9)
	good := seal(appendAnswer(blank(nil), host, []nvml.DeviceReading{
		{Device: "GPU-0", Sample: sample, HoldersKnown: true, Processes: []nvml.ProcessUse{{PID: 7, MemoryBytes: 1, SMUtil: 50}}}, {Device: "MIG-1", Err: errors.New("lost")},
	}, []nvml.Xid{{Device: "GPU-1", Code: 79}}, 2), kindAnswer)
	f.Add(good)
	f.Add(good[:len(good)-9])
	f.Add([]byte("r\xff\xff\xff\xff"))
	f.Add([]byte("r\x02\x00\x00\x00\x02\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		kind, body, _, err := receive(bytes.NewReader(data), nil)
		if err != nil {
			return
		}
		if len(body) > maxMessage || len(body) > len(data) {
			t.Fatalf("a body of %d bytes from %d", len(body), len(data))
		}
		var a answer
		for range 2 { // its slices are used again
			if kind != kindAnswer || a.decode(body, host) != nil {
				return
			}
			if len(a.readings) != len(host.Devices) {
				t.Fatalf("readings of %d devices", len(a.readings))
			}
			for i := range a.readings {
				if r := &a.readings[i]; r.Device != host.Devices[i].ID || len(r.Processes) > len(body)/20 {
					t.Fatalf("reading of %s with %d processes from %d bytes", r.Device, len(r.Processes), len(body))
				}
			}
		}
	})
}
