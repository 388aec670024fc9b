package tenancy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"unicode/utf8"
)

// maxJobs bounds the jobs of a table.
const maxJobs = 100_000

// Job is what Slurm knows of a job, and its cgroup does not tell.
type Job struct {
	ID      string // decimal
	Account string
	User    string // decimal id, "" if it was not written
	StartNS int64  // Unix nanoseconds
}

// Jobs is a table of Slurm jobs. It never changes and is safe for many
// goroutines. The nil table has none.
type Jobs struct {
	byID map[string][]Job // by start
}

// Of returns the job that had an id at an instant: the last that had started by
// then, since Slurm begins its numbers anew at times.
func (j *Jobs) Of(id string, atNS int64) (Job, bool) {
	if j == nil {
		return Job{}, false
	}
	same := j.byID[id]
	for i := len(same) - 1; i >= 0; i-- {
		if same[i].StartNS <= atNS {
			return same[i], true
		}
	}
	return Job{}, false
}

// Len returns the number of jobs.
func (j *Jobs) Len() int {
	n := 0
	if j != nil {
		for _, same := range j.byID {
			n += len(same)
		}
	}
	return n
}

// DecodeJobs reads jobs as a Slurm prolog appends them, one JSON object with the
// fields job, account, user (optional) and start on a line. The file only grows,
// so that one bad line is left out and told, as "name:line: field: what", and the
// rest counts; a last line without its end is still being written.
func DecodeJobs(name string, data []byte) (*Jobs, error) {
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s: longer than %d bytes", name, maxFile)
	}
	jobs := &Jobs{byID: map[string][]Job{}}
	var faults []error
	count := 0
	for line := 1; ; line++ {
		text, rest, whole := bytes.Cut(data, []byte("\n"))
		if !whole {
			break
		}
		data = rest
		if len(bytes.TrimSpace(text)) == 0 {
			continue
		}
		j, err := decodeJob(text)
		if err == nil && count == maxJobs {
			err = fmt.Errorf("more than %d jobs", maxJobs)
		}
		if err != nil {
			if len(faults) < maxFaults {
				faults = append(faults, fmt.Errorf("%s:%d: %w", name, line, err))
			}
			continue
		}
		count++
		jobs.byID[j.ID] = append(jobs.byID[j.ID], j)
	}
	for _, same := range jobs.byID {
		slices.SortStableFunc(same, func(a, b Job) int { return int(min(max(a.StartNS-b.StartNS, -1), 1)) })
	}
	return jobs, errors.Join(faults...)
}

func decodeJob(text []byte) (Job, error) {
	if len(text) > maxLine {
		return Job{}, fmt.Errorf("longer than %d bytes", maxLine)
	}
	if !utf8.Valid(text) {
		return Job{}, errors.New("not valid UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var j Job
	var start string
	err := object(dec, "", map[string]func(string) error{
		"job": into(dec, &j.ID), "account": into(dec, &j.Account), "user": into(dec, &j.User), "start": into(dec, &start),
	}, "job", "account", "start")
	if err != nil {
		return Job{}, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Job{}, errors.New("more text after the object")
	}
	if !digits(j.ID) {
		return Job{}, fmt.Errorf("job: %.40q is not a job number", j.ID)
	}
	if j.Account == "" || len(j.Account) > 256 {
		return Job{}, errors.New("account: must have 1 to 256 bytes")
	}
	if j.User != "" && !digits(j.User) {
		return Job{}, fmt.Errorf("user: %.40q is not a user number", j.User)
	}
	if j.StartNS, err = instant("start", start); err != nil {
		return Job{}, err
	}
	return j, nil
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != "" && len(s) <= 20
}
