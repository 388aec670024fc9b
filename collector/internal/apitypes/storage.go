package apitypes

import "time"

// Storage is the state of backups and of the check of what is stored.
type Storage struct {
	BackupFolder       string   `json:"backup_folder" doc:"Empty when no backups are made"`
	BackupEverySeconds int64    `json:"backup_every_seconds"`
	BackupError        string   `json:"backup_error,omitempty" doc:"Why the last backup failed"`
	Backups            []Backup `json:"backups" doc:"Newest first; each was restored and checked when it was made"`
	Scrub              Scrub    `json:"scrub"`
}

// Backup is one backup.
type Backup struct {
	Name    string    `json:"name"`
	At      time.Time `json:"at"`
	Bytes   int64     `json:"bytes"`
	Hosts   int       `json:"hosts"`
	Batches int64     `json:"batches"`
}

// Scrub is the check of every stored batch against its signature and chain.
type Scrub struct {
	LastPass   *time.Time `json:"last_pass,omitempty" doc:"When all evidence was last read to the end"`
	Started    *time.Time `json:"started,omitempty" doc:"Of the pass that runs"`
	Bytes      int64      `json:"bytes" doc:"Read in the pass that runs, or in the last"`
	TotalBytes int64      `json:"total_bytes"`
	Batches    int64      `json:"batches" doc:"Of the last pass since the start"`
	Problems   []string   `json:"problems,omitempty" doc:"Found in the last pass since the start"`
}
