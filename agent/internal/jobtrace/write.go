package jobtrace

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"time"
)

// Write writes jobs in the job-trace format. Reading it gives the same jobs.
func Write(w io.Writer, jobs []Job) error {
	out := csv.NewWriter(w)
	if err := out.Write(columns); err != nil {
		return fmt.Errorf("write job trace: %w", err)
	}
	for _, j := range jobs {
		err := out.Write([]string{
			j.ID, string(j.Tenant), j.Accelerator, strconv.Itoa(j.Hosts), strconv.Itoa(j.GPUsPerHost), instant(j.StartNS), instant(j.EndNS),
			stated(j.MFU), stated(j.OpsPerGPU), j.Kind, stated(j.NetworkGbit), j.RunHint, j.Image, j.Communicator, j.ReadCheckpoint, j.WroteCheckpoint,
		})
		if err != nil {
			return fmt.Errorf("write job trace: %w", err)
		}
	}
	out.Flush()
	if err := out.Error(); err != nil {
		return fmt.Errorf("write job trace: %w", err)
	}
	return nil
}

func instant(ns int64) string { return time.Unix(0, ns).UTC().Format(time.RFC3339Nano) }

func stated(v float64) string {
	if v == 0 {
		return ""
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}
