package nvml

import (
	"fmt"

	nv "github.com/NVIDIA/go-nvml/pkg/nvml"
)

// Failure is an answer of the library other than success.
type Failure struct {
	Code int
}

// Error names the answer. The library's own text is not used: it lies in the
// library's memory and is gone when that is unloaded.
func (f Failure) Error() string {
	if text, ok := answers[nv.Return(f.Code)]; ok {
		return fmt.Sprintf("%s (NVML %d)", text, f.Code)
	}
	return fmt.Sprintf("NVML error %d", f.Code)
}

var answers = map[nv.Return]string{
	nv.ERROR_UNINITIALIZED:           "library is not initialised",
	nv.ERROR_INVALID_ARGUMENT:        "invalid argument",
	nv.ERROR_NOT_SUPPORTED:           "not supported",
	nv.ERROR_NO_PERMISSION:           "no permission",
	nv.ERROR_NOT_FOUND:               "not found",
	nv.ERROR_INSUFFICIENT_SIZE:       "answer grew while it was read",
	nv.ERROR_INSUFFICIENT_POWER:      "device is not connected to power",
	nv.ERROR_DRIVER_NOT_LOADED:       "driver is not loaded",
	nv.ERROR_TIMEOUT:                 "timed out",
	nv.ERROR_FUNCTION_NOT_FOUND:      "the driver lacks the call",
	nv.ERROR_GPU_IS_LOST:             "device is lost",
	nv.ERROR_RESET_REQUIRED:          "device needs a reset",
	nv.ERROR_LIB_RM_VERSION_MISMATCH: "library and kernel driver have different versions",
	nv.ERROR_IN_USE:                  "in use",
	nv.ERROR_MEMORY:                  "out of memory",
	nv.ERROR_NO_DATA:                 "no data",
	nv.ERROR_NOT_READY:               "not ready",
	nv.ERROR_GPU_NOT_FOUND:           "device not found",
	nv.ERROR_UNKNOWN:                 "unknown error",
}

// failure makes an error of an answer; a lost device wraps ErrDeviceLost.
func failure(ret nv.Return) error {
	switch ret {
	case nv.ERROR_GPU_IS_LOST, nv.ERROR_RESET_REQUIRED, nv.ERROR_GPU_NOT_FOUND:
		return fmt.Errorf("%w: %w", ErrDeviceLost, Failure{int(ret)})
	case nv.ERROR_UNINITIALIZED, nv.ERROR_DRIVER_NOT_LOADED:
		return fmt.Errorf("%w: %w", ErrNoDriver, Failure{int(ret)})
	}
	return Failure{int(ret)}
}

// isLost reports whether an answer ends every other reading of the device too.
func isLost(ret nv.Return) bool {
	switch ret {
	case nv.ERROR_GPU_IS_LOST, nv.ERROR_RESET_REQUIRED, nv.ERROR_GPU_NOT_FOUND,
		nv.ERROR_UNINITIALIZED, nv.ERROR_DRIVER_NOT_LOADED:
		return true
	}
	return false
}

// isUnsupported reports whether asking again is pointless.
func isUnsupported(ret nv.Return) bool {
	return ret == nv.ERROR_NOT_SUPPORTED || ret == nv.ERROR_FUNCTION_NOT_FOUND ||
		ret == nv.ERROR_ARGUMENT_VERSION_MISMATCH || ret == nv.ERROR_DEPRECATED
}
