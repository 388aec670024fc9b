package collector

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
	"github.com/flopwatch/flopwatch/pkg/audit"
)

// importDemonstration brings in the invented organisations of a folder of
// scenarios: customers, one of them with all that the provider knows of it, and
// the filer. What is there already is let be.
func (r *running) importDemonstration(ctx context.Context, folder string) error {
	ctx = permission.With(ctx, permission.Principal{ID: "demonstration"})
	ctx = audit.With(ctx, audit.Act{Actor: audit.Actor{Kind: audit.Rule, ID: "demonstration"}})
	if err := (importer{r}).importFile(ctx, filepath.Join(folder, "customers.csv")); err != nil {
		return err
	}
	read := func(name string, take func([]byte) error) error {
		data, err := os.ReadFile(filepath.Join(folder, name))
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a folder of one's own need not have everything
		}
		if err == nil {
			err = take(data)
		}
		if err != nil {
			return fmt.Errorf("import %s: %w", name, err)
		}
		return nil
	}
	err := read("demonstration.register.ndjson", func(data []byte) error {
		_, err := r.parties.ImportParties(ctx, "demonstration.register.ndjson", "ndjson", data, false)
		return err
	})
	if err != nil {
		return err
	}
	err = read("demonstration.accesses.ndjson", func(data []byte) error {
		_, err := r.parties.AddAccesses(ctx, "demonstration.accesses.ndjson", data)
		return err
	})
	if err != nil {
		return err
	}
	if err := read("demonstration.reviews.json", func(data []byte) error { return r.importReviews(ctx, data) }); err != nil {
		return err
	}
	filer := reportwork{store: r.store, reader: r.parties.reader}
	if f, err := filer.Filer(ctx); err != nil || f.Name != "" {
		return err
	}
	return read("filer.json", func(data []byte) error {
		var f apitypes.Filer
		if err := json.Unmarshal(data, &f); err != nil {
			return err
		}
		_, err := filer.SetFiler(ctx, f)
		return err
	})
}

// importReviews notes what was not noted before.
func (r *running) importReviews(ctx context.Context, data []byte) error {
	var all []apitypes.NewReview
	if err := json.Unmarshal(data, &all); err != nil {
		return err
	}
	now := r.parties.now()
	s, err := r.store.Parties(ctx, now, now)
	if err != nil {
		return err
	}
	noted := map[apitypes.NewReview]bool{}
	for _, v := range s.Reviews {
		noted[apitypes.NewReview{Of: v.Of, What: v.What, Note: v.Note}] = true
	}
	for _, n := range all {
		if noted[n] {
			continue
		}
		if _, err := r.parties.NoteReview(ctx, n); err != nil {
			return err
		}
	}
	return nil
}
