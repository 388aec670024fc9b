package backup

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Retention says how many backups are kept: the newest of each of the last
// hours, days and weeks that have one. The newest of all is always kept.
type Retention struct {
	Hourly, Daily, Weekly int
}

// DefaultRetention keeps two days by the hour, two weeks by the day and a
// quarter by the week.
var DefaultRetention = Retention{Hourly: 48, Daily: 14, Weekly: 13}

// keeps returns which of the backups, oldest first, are kept.
func (r Retention) keeps(all []Backup) []bool {
	kept := make([]bool, len(all))
	for _, rule := range []struct {
		n     int
		named func(time.Time) string
	}{
		{max(r.Hourly, 1), func(t time.Time) string { return t.Format("2006-01-02T15") }},
		{r.Daily, func(t time.Time) string { return t.Format(time.DateOnly) }},
		{r.Weekly, func(t time.Time) string { year, week := t.ISOWeek(); return fmt.Sprint(year, "-", week) }},
	} {
		last, n := "", 0
		for i := len(all) - 1; i >= 0 && n < rule.n; i-- {
			if name := rule.named(all[i].At.UTC()); name != last {
				last, kept[i] = name, true
				n++
			}
		}
	}
	return kept
}

// Prune removes the backups of a folder that are not kept and returns them.
func Prune(folder string, r Retention) ([]Backup, error) {
	all, err := List(folder)
	if err != nil {
		return nil, err
	}
	var removed []Backup
	for i, kept := range r.keeps(all) {
		if kept {
			continue
		}
		// Renamed first: half a backup must not look like one.
		gone := filepath.Join(folder, ".removed-"+all[i].Name())
		if err := os.Rename(all[i].Path, gone); err != nil {
			return removed, fmt.Errorf("remove backup: %w", err)
		}
		if err := os.RemoveAll(gone); err != nil {
			return removed, fmt.Errorf("remove backup: %w", err)
		}
		removed = append(removed, all[i])
	}
	return removed, nil
}
