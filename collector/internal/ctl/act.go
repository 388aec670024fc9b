package ctl

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// listAll reads a list to its end, or its first limit items, and prints it.
func listAll[T any](s *scope, path string, query url.Values, limit int, empty string, columns []column[T]) error {
	rows, err := all[T](s, path, query, limit)
	if err != nil {
		return err
	}
	return list(s, rows, empty, columns)
}

// told sends a body and prints the answer: as JSON, or by say for people. What is
// told has no rows, so that CSV is JSON as well.
func told[T any](s *scope, path string, body any, say func(T)) error {
	answer, err := send[T](s, path, body)
	if err != nil {
		return err
	}
	return tell(s, answer, say)
}

// tell prints one answer as told does.
func tell[T any](s *scope, answer T, say func(T)) error {
	if s.format != "table" {
		return printJSON(s.out, answer)
	}
	say(answer)
	return nil
}

// object is something that people act on by the version that they were shown.
type object[T any] struct {
	path    string // of the object
	version func(T) int64
	show    func(*scope, T) error
}

// act does an act on the object as it stands, or at the version given where that
// is not 0, and prints what it became.
func (o object[T]) act(s *scope, path string, version int64, body any) error {
	client, err := s.connect()
	if err != nil {
		return err
	}
	if version == 0 {
		now, err := one[T](s, o.path, nil)
		if err != nil {
			return err
		}
		version = o.version(now)
	}
	var out T
	if err := client.post(o.path+"/"+path, body, http.Header{"If-Match": {strconv.Quote(strconv.FormatInt(version, 10))}}, &out); err != nil {
		return err
	}
	return o.show(s, out)
}

// label prints a name and a text beside each other, nothing where there is no text.
func (s *scope) label(name, text string) {
	if strings.TrimSpace(text) != "" {
		s.out.say("%-20s %s\n", name, printable(text))
	}
}
