package ctl

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
)

// batchRows is how many rows of a feed go in one request.
const batchRows = 20_000

// batchBytes bounds a request: less than the API takes.
const batchBytes = 4 << 20

// maxLine bounds one row in bytes.
const maxLine = 1 << 20

// batches calls send with the lines of a stream, so many at a time, and how many
// lines were before them. It holds no more than one batch.
func batches(in io.Reader, send func(batch []byte, before int) error) error {
	lines := bufio.NewReaderSize(in, maxLine)
	var batch []byte
	sent, rows := 0, 0
	flush := func() error {
		if rows == 0 {
			return nil
		}
		err := send(batch, sent)
		batch, sent, rows = batch[:0], sent+rows, 0
		return err
	}
	for {
		line, err := lines.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			return fmt.Errorf("line %d is longer than %d bytes", sent+rows+1, maxLine)
		case err != nil && !errors.Is(err, io.EOF):
			return err
		}
		if rows == batchRows || len(batch)+len(line) > batchBytes {
			if err := flush(); err != nil {
				return err
			}
		}
		if len(line) > 0 {
			batch = append(batch, line...)
			rows++
		}
		if err != nil {
			return flush()
		}
	}
}

var faultLine = regexp.MustCompile(`(?m)^([^\n:]+):(\d+): `)

// shifted is an error of a batch whose faults name lines of the whole file.
func shifted(err error, before int) error {
	if before == 0 {
		return err
	}
	return errors.New(faultLine.ReplaceAllStringFunc(err.Error(), func(fault string) string {
		m := faultLine.FindStringSubmatch(fault)
		line, numberErr := strconv.Atoi(m[2])
		if numberErr != nil {
			return fault
		}
		return fmt.Sprintf("%s:%d: ", m[1], line+before)
	}))
}

func sortedKeys[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }
