package tenancy

import "time"

// JobWatcher keeps the jobs of a file. It is for one goroutine; call Poll once a
// sample period.
type JobWatcher struct {
	file watchedFile
	jobs *Jobs
	err  error
}

// NewJobWatcher returns a watcher with no jobs. An empty path means that there is
// no such file. Nothing is read before the first Poll.
func NewJobWatcher(path string) *JobWatcher {
	return &JobWatcher{file: watchedFile{path: path, what: "Slurm jobs"}}
}

// Jobs returns the jobs last read.
func (w *JobWatcher) Jobs() *Jobs { return w.jobs }

// Err returns what is wrong with the file now. Jobs holds what is not.
func (w *JobWatcher) Err() error { return w.err }

// Poll takes over a new version of the file. changed reports new jobs or a new
// state of Err. A file that is gone leaves the jobs that were known.
func (w *JobWatcher) Poll(now time.Time) (changed bool) {
	before := w.err
	data, fresh, err := w.file.poll(now)
	switch {
	case err != nil:
		w.err = err
	case fresh:
		jobs, err := DecodeJobs(w.file.path, data)
		w.err = err
		if jobs != nil {
			w.jobs = jobs
		}
		return true
	}
	return w.err != nil && (before == nil || before.Error() != w.err.Error())
}
