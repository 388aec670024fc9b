// Package nvml reads NVIDIA devices through the driver's management library.
//
// The library is loaded at run time, so that the program starts on a host
// without a driver. A call that the installed driver does not export would end
// the process without an error, therefore every call is looked up once after
// loading and never made when it is missing. Each device has a worker of its
// own: a call that hangs costs the readings of that device and of no other.
//
// Absent, unsupported and failed are three answers: a reading that a device
// does not offer stays absent from its samples for good, one that fails once is
// absent from one sample, and a device that does not answer at all is a gap.
//
// go-nvml loads the library and finds the devices. The calls of every reading are
// made without it, see hot: its wrappers allocate and copy for each.
//
// C symbols are resolved for the whole process, so that it has one library at a
// time.
package nvml

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/NVIDIA/go-nvml/pkg/dl"
	nv "github.com/NVIDIA/go-nvml/pkg/nvml"
)

// Errors that a caller decides on.
var (
	// ErrNoDriver says that this host has no usable NVIDIA driver.
	ErrNoDriver = errors.New("no NVIDIA driver")
	// ErrDeviceLost says that the driver lost the device; it needs a reset.
	ErrDeviceLost = errors.New("device is lost")
	// ErrDeadline says that the device did not answer in time.
	ErrDeadline = errors.New("device did not answer in time")
	// ErrClosed says that the source was closed.
	ErrClosed = errors.New("source is closed")
)

// libraryName is what the dynamic loader searches for when no place is known.
const libraryName = "libnvidia-ml.so.1"

// Places returns the files that are tried before the loader's own search: the
// usual ones, the GPU Operator's driver container and GKE.
func Places() []string {
	triplet := map[string]string{"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}[runtime.GOARCH]
	places := []string{filepath.Join("/usr/lib64", libraryName)}
	if triplet != "" {
		places = append([]string{filepath.Join("/usr/lib", triplet, libraryName)}, places...)
		places = append(places, filepath.Join("/run/nvidia/driver/usr/lib", triplet, libraryName))
	}
	return append(places,
		filepath.Join("/run/nvidia/driver/usr/lib64", libraryName),
		filepath.Join("/home/kubernetes/bin/nvidia/lib64", libraryName),
	)
}

// call is one of the library's calls that this package makes.
type call int

// The calls. Those up to lastRequired are needed for any reading at all.
const (
	callInit call = iota
	callShutdown
	callCount
	callHandle
	callUUID
	callName
	lastRequired = callName
)

// The calls that a driver may lack.
const (
	callDriverVersion call = iota + lastRequired + 1
	callPCI
	callCapability
	callCores
	callMaxClock
	callMemory
	callMIGMode
	callMIGCount
	callMIGHandle
	callAttributes
	callGPUInstance
	callPower
	callEnergy
	callUtilization
	callClock
	callProcesses
	callProcessUse
	callGPMSupport
	callGPMAlloc
	callGPMFree
	callGPMSample
	callGPMMIGSample
	callGPMMetrics
	callSamples
	callReasons
	callThrottleReasons
	callECC
	callFields
	callFabric
	callConfidential
	callAccounting
	callMPSProcesses
	callMinor
	callSetCreate
	callSetFree
	callSetWait
	callRegister
	calls // how many there are
)

// symbols are the C names of each call, of which one must be exported. Where
// there are several, go-nvml takes the newest.
var symbols = [calls][]string{
	callInit:          {"nvmlInit_v2", "nvmlInit"},
	callShutdown:      {"nvmlShutdown"},
	callCount:         {"nvmlDeviceGetCount_v2", "nvmlDeviceGetCount"},
	callHandle:        {"nvmlDeviceGetHandleByIndex_v2", "nvmlDeviceGetHandleByIndex"},
	callUUID:          {"nvmlDeviceGetUUID"},
	callName:          {"nvmlDeviceGetName"},
	callDriverVersion: {"nvmlSystemGetDriverVersion"},
	callPCI:           {"nvmlDeviceGetPciInfo_v3", "nvmlDeviceGetPciInfo_v2", "nvmlDeviceGetPciInfo"},
	callCapability:    {"nvmlDeviceGetCudaComputeCapability"},
	callCores:         {"nvmlDeviceGetNumGpuCores"},
	callMaxClock:      {"nvmlDeviceGetMaxClockInfo"},
	callMemory:        {"nvmlDeviceGetMemoryInfo"},
	callMIGMode:       {"nvmlDeviceGetMigMode"},
	callMIGCount:      {"nvmlDeviceGetMaxMigDeviceCount"},
	callMIGHandle:     {"nvmlDeviceGetMigDeviceHandleByIndex"},
	callAttributes:    {"nvmlDeviceGetAttributes_v2", "nvmlDeviceGetAttributes"},
	callGPUInstance:   {"nvmlDeviceGetGpuInstanceId"},
	callPower:         {"nvmlDeviceGetPowerUsage"},
	callEnergy:        {"nvmlDeviceGetTotalEnergyConsumption"},
	callUtilization:   {"nvmlDeviceGetUtilizationRates"},
	callClock:         {"nvmlDeviceGetClockInfo"},
	callProcesses:     {"nvmlDeviceGetComputeRunningProcesses_v3", "nvmlDeviceGetComputeRunningProcesses_v2", "nvmlDeviceGetComputeRunningProcesses"},
	callProcessUse:    {"nvmlDeviceGetProcessUtilization"},
	callGPMSupport:    {"nvmlGpmQueryDeviceSupport"},
	callGPMAlloc:      {"nvmlGpmSampleAlloc"},
	callGPMFree:       {"nvmlGpmSampleFree"},
	callGPMSample:     {"nvmlGpmSampleGet"},
	callGPMMIGSample:  {"nvmlGpmMigSampleGet"},
	callGPMMetrics:    {"nvmlGpmMetricsGet"},
	callSamples:       {"nvmlDeviceGetSamples"},
	callReasons:       {"nvmlDeviceGetCurrentClocksEventReasons"},
	// The name of the call before, by older drivers.
	callThrottleReasons: {"nvmlDeviceGetCurrentClocksThrottleReasons"},
	callECC:             {"nvmlDeviceGetTotalEccErrors"},
	callFields:          {"nvmlDeviceGetFieldValues"},
	callFabric:          {"nvmlDeviceGetGpuFabricInfoV"},
	callConfidential:    {"nvmlSystemGetConfComputeState"},
	callAccounting:      {"nvmlDeviceGetAccountingMode"},
	callMPSProcesses:    {"nvmlDeviceGetMPSComputeRunningProcesses_v3", "nvmlDeviceGetMPSComputeRunningProcesses_v2", "nvmlDeviceGetMPSComputeRunningProcesses"},
	callMinor:           {"nvmlDeviceGetMinorNumber"},
	callSetCreate:       {"nvmlEventSetCreate"},
	callSetFree:         {"nvmlEventSetFree"},
	callSetWait:         {"nvmlEventSetWait_v2", "nvmlEventSetWait"},
	callRegister:        {"nvmlDeviceRegisterEvents"},
}

// library is the loaded library and which calls it exports.
type library struct {
	nv.Interface
	path     string
	exported [calls]bool
	hot      *hotSymbols
}

func (l *library) has(all ...call) bool {
	for _, c := range all {
		if !l.exported[c] {
			return false
		}
	}
	return true
}

// load loads and initialises the library at path or, if path is "", at the
// first known place. The error wraps ErrNoDriver where the host has none.
func load(path string) (*library, error) {
	places := []string{path}
	if path == "" {
		places = append(Places(), libraryName)
	}
	path, err := loadable(places)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoDriver, err)
	}
	l := &library{Interface: nv.New(nv.WithLibraryPath(path)), path: path}
	switch ret := l.Init(); ret {
	case nv.SUCCESS:
	case nv.ERROR_LIBRARY_NOT_FOUND:
		return nil, fmt.Errorf("%w: %s cannot be loaded", ErrNoDriver, path)
	case nv.ERROR_DRIVER_NOT_LOADED:
		return nil, fmt.Errorf("%w: %s is there but the kernel driver is not loaded", ErrNoDriver, path)
	case nv.ERROR_NO_PERMISSION:
		return nil, fmt.Errorf("initialise %s: no permission on /dev/nvidiactl: %w", path, failure(ret))
	default:
		return nil, fmt.Errorf("initialise %s: %w", path, failure(ret))
	}
	for c, names := range symbols {
		for _, name := range names {
			if l.Extensions().LookupSymbol(name) == nil {
				l.exported[c] = true
				break
			}
		}
	}
	l.hot = findSymbols()
	if l.hot[callProcesses] == nil {
		l.exported[callProcesses] = false // only in the form of drivers before 2020
	}
	for c := callInit; c <= lastRequired; c++ {
		if !l.has(c) {
			return nil, errors.Join(fmt.Errorf("%s exports no %s: the driver is too old", path, symbols[c][0]), l.close())
		}
	}
	return l, nil
}

func (l *library) close() error {
	if !l.has(callShutdown) {
		return nil
	}
	if ret := l.Shutdown(); ret != nv.SUCCESS {
		return fmt.Errorf("shut down %s: %w", l.path, failure(ret))
	}
	return nil
}

// loadable returns the first place whose file loads and exports nvmlInit, which
// go-nvml calls without looking: another shared object under the library's name
// would end the process. The error says what is wrong with each file that is
// there, or which places were searched if there is none.
func loadable(places []string) (string, error) {
	var faults []error
	for _, place := range places {
		err := exportsInit(place)
		if err == nil {
			return place, nil
		}
		if _, statErr := os.Stat(place); statErr == nil {
			faults = append(faults, fmt.Errorf("load %s: %w", place, err))
		}
	}
	if len(faults) == 0 {
		return "", fmt.Errorf("library not found, tried %s", strings.Join(places, ", "))
	}
	return "", errors.Join(faults...)
}

func exportsInit(path string) (err error) {
	d := dl.New(path, dl.RTLD_LAZY)
	if err := d.Open(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	for _, name := range symbols[callInit] {
		if d.Lookup(name) == nil {
			return nil
		}
	}
	return errors.New("it exports no nvmlInit: not the NVIDIA management library")
}
