package collector

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
)

// profiling writes what a run of the collector cost: the CPU time of all of it to
// the file at path, and what it holds in memory when ctx ends to path.heap. stop ends
// it. Without a path nothing is written.
func profiling(ctx context.Context, path string) (stop func() error, err error) {
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
	held := make(chan error, 1)
	cancel := context.AfterFunc(ctx, func() { held <- writeHeap(path + ".heap") })
	return func() error {
		pprof.StopCPUProfile()
		err := file.Close()
		if !cancel() {
			err = errors.Join(err, <-held)
		}
		if err != nil {
			return fmt.Errorf("write profile: %w", err)
		}
		return nil
	}, nil
}

func writeHeap(path string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	runtime.GC() // the profile is as of the last collection
	return errors.Join(pprof.WriteHeapProfile(file), file.Close())
}
