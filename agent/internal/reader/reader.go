// Package reader reads the devices of a host in a process of its own.
//
// A call into a driver can hang in the kernel, where nothing inside the process
// can end it, and a fault in the driver's library can take the process down. So
// the library lives in a child: the agent asks it for readings over a pipe, and
// replaces it when it does not answer, when it ends, and when the driver or the
// devices are not those that it started with. What a replacement costs is a gap
// of the readings between, which cycle counters bridge.
//
// The child is the same program; Serve is its side.
package reader

import (
	"errors"
	"time"

	"github.com/flopwatch/flopwatch/agent/internal/nvml"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// ErrReader says that the process that reads the devices did not answer or has
// ended. It is replaced.
var ErrReader = errors.New("the process that reads the devices does not answer")

// ErrReleased says that the devices are let go at an operator's wish.
var ErrReleased = errors.New("the device is released")

// Options say what to read and how.
type Options struct {
	Command  []string // starts the child: program and arguments, to which the options below are added
	Library  string   // as nvml.Options
	Deadline time.Duration
	// Grace is how much longer than Deadline an answer may take before the child is
	// replaced, default 1 s.
	Grace time.Duration
	// OpenWait bounds how long a child may take to open the devices, default 30 s.
	OpenWait time.Duration
}

func (o Options) withDefaults() Options {
	if o.Deadline <= 0 {
		o.Deadline = 500 * time.Millisecond
	}
	if o.Grace <= 0 {
		o.Grace = time.Second
	}
	if o.OpenWait <= 0 {
		o.OpenWait = 30 * time.Second
	}
	return o
}

// Host is what a child found when it opened the devices.
type Host struct {
	Library      string // file of the driver's library
	Driver       string // its version, "" if it does not say
	Confidential nvml.Answer
	Devices      []nvml.Device
}

// index returns the place of a device, -1 if the host has none of that id.
func (h *Host) index(id measure.DeviceID) int {
	for i := range h.Devices {
		if h.Devices[i].ID == id {
			return i
		}
	}
	return -1
}
