package ctl

import (
	"bufio"
	"errors"
	"io"
	"maps"
	"slices"
)

// batchRows is how many rows of a feed go in one request.
const batchRows = 20_000

// batches calls send with the lines of a stream, so many at a time, and holds no
// more than that.
func batches(in io.Reader, send func([]byte) error) error {
	lines := bufio.NewReaderSize(in, 1<<20)
	var batch []byte
	rows := 0
	for {
		line, err := lines.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			return errors.New("a line is longer than 1 MiB")
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		batch = append(batch, line...)
		rows++
		if rows == batchRows || len(batch) > 8<<20 || err != nil && len(batch) > 0 {
			if sendErr := send(batch); sendErr != nil {
				return sendErr
			}
			batch, rows = batch[:0], 0
		}
		if err != nil {
			return nil
		}
	}
}

func sortedKeys[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }
