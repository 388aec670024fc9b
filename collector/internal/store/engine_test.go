package store

import (
	"testing"

	"github.com/flopwatch/flopwatch/collector/internal/store/storetest"
)

// openAt opens a store in the directory of a path, on the engine that the tests run
// on (FLOPWATCH_STORE).
func openOn(t testing.TB, path string, o Options) (*Store, error) {
	t.Helper()
	if o.Postgres == "" {
		o.Postgres = storetest.Database(t, path, func(url string) error { return Migrate(t.Context(), url, "") })
	}
	return Open(t.Context(), path, o)
}
