package reader

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/flopwatch/flopwatch/agent/internal/nvml"
)

// Serve is the child: it opens the devices, says what it found, and answers each
// question with one reading of every device until questions end. It returns nil
// when they do, also after it could not open the devices within openWait and
// said so.
func Serve(ctx context.Context, questions io.Reader, answers io.Writer, o nvml.Options, openWait time.Duration) error {
	opening, cancel := context.WithTimeout(ctx, openWait)
	defer cancel()
	source, err := nvml.Open(opening, o)
	if err != nil {
		message, encodeErr := sealJSON(kindFault, fault{Text: err.Error(), NoDriver: errors.Is(err, nvml.ErrNoDriver)})
		if encodeErr != nil {
			return encodeErr
		}
		return write(answers, message)
	}
	path, driver := source.Library()
	host := Host{Library: path, Driver: driver, Confidential: source.Confidential(), Devices: source.Devices()}
	message, err := sealJSON(kindHost, host)
	if err != nil {
		return errors.Join(err, source.Close())
	}
	if err := write(answers, message); err != nil {
		return errors.Join(err, source.Close())
	}
	return errors.Join(converse(ctx, questions, answers, source, &host), source.Close())
}

func converse(ctx context.Context, questions io.Reader, answers io.Writer, source *nvml.Source, host *Host) error {
	var in, out []byte
	for {
		kind, body, grown, err := receive(questions, in)
		in = grown
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read question: %w", err)
		case kind != kindTick || len(body) != 8:
			return fmt.Errorf("question of kind %q with %d bytes", kind, len(body))
		}
		readings := source.Readings(ctx, int64(binary.LittleEndian.Uint64(body)))
		xids, dropped := source.Xids()
		out = appendAnswer(blank(out), host, readings, xids, dropped)
		if err := write(answers, seal(out, kindAnswer)); err != nil {
			return err
		}
	}
}

func write(w io.Writer, message []byte) error {
	if _, err := w.Write(message); err != nil {
		return fmt.Errorf("write answer: %w", err)
	}
	return nil
}
