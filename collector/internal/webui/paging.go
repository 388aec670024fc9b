package webui

import (
	"errors"
	"net/http"
	"slices"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
)

// Rows of one page of a long list: what one looks through without losing the
// place, and little enough to be sent at once.
const pageRows = 50

// after is the item behind which the page that is asked for begins, "" for the
// first page. A page may hold two lists, each with a name of its own.
func after(r *http.Request, list string) string { return r.URL.Query().Get(list) }

// Names of the queries that say where a page begins.
const (
	afterQuery  = "after"
	tenantQuery = "tenants-after"
)

// gone is the answer to a page behind an item that is no more.
const gone = notFound("The list no longer has the item behind which this page began. Start again from its first page.")

// firstRows returns the rows of a page of which one more than fits was read, and
// behind which item the next page begins, "" where there is none.
func firstRows[T any](all []T, id func(T) string) (rows []T, next string) {
	rows, more := cut(all, pageRows)
	if more {
		next = id(rows[len(rows)-1])
	}
	return rows, next
}

// follow cuts the page behind an item out of a whole list.
func follow[T any](all []T, behind string, id func(T) string) (rows []T, next string, err error) {
	if behind != "" {
		i := slices.IndexFunc(all, func(t T) bool { return id(t) == behind })
		if i < 0 {
			return nil, "", gone
		}
		all = all[i+1:]
	}
	rows, next = firstRows(all, id)
	return rows, next, nil
}

// list is the view of a page with one list, or the error with which it was read.
func list[T any](all []T, r *http.Request, id func(T) string, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	rows, next, err := follow(all, after(r, afterQuery), id)
	return listView[T]{rows, next}, err
}

// orGone makes of a list that has changed an answer for people.
func orGone(err error) error {
	if errors.Is(err, desk.ErrGone) {
		return gone
	}
	return err
}
