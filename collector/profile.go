package collector

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
)

// profiling writes what a run of the collector cost: the CPU time of all of it to
// the file at path, and what it holds in memory at the end to path.heap. stop ends
// it. Without a path nothing is written.
func profiling(path string) (stop func() error, err error) {
	if path == "" {
		return func() error { return nil }, nil
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("write profile: %w", err)
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return nil, errors.Join(fmt.Errorf("write profile: %w", err), file.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		err := file.Close()
		heap, heapErr := os.OpenFile(path+".heap", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
		if heapErr == nil {
			runtime.GC() // the heap profile is as of the last collection
			heapErr = errors.Join(pprof.WriteHeapProfile(heap), heap.Close())
		}
		if err = errors.Join(err, heapErr); err != nil {
			return fmt.Errorf("write profile: %w", err)
		}
		return nil
	}, nil
}
