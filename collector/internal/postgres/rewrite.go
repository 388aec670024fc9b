package postgres

import (
	"strconv"
	"strings"
)

// Rewrite returns a statement of the dialect that the collector writes, which is
// SQLite's, as PostgreSQL takes it:
//
//   - parameters ? and ?N become $n::type, where types gives the type of each
//     argument by its place; "" leaves it to the server;
//   - x'…' becomes a bytea;
//   - CROSS JOIN before ON becomes JOIN: for SQLite it fixes the order of tables,
//     which PostgreSQL works out.
//
// All else is either the same in both, or a function of the schema (migrations).
// Texts, quoted names and comments stay as they are.
func Rewrite(query string, types []string) string {
	var b strings.Builder
	b.Grow(len(query) + 64)
	last := 0 // number of the last parameter
	param := func(n int) {
		b.WriteByte('$')
		b.WriteString(strconv.Itoa(n))
		if n > 0 && n <= len(types) && types[n-1] != "" {
			b.WriteString("::")
			b.WriteString(types[n-1])
		}
	}
	for i := 0; i < len(query); {
		c := query[i]
		switch {
		case c == '\'' || c == '"':
			end := quoted(query, i)
			b.WriteString(query[i:end])
			i = end
		case c == '-' && strings.HasPrefix(query[i:], "--"):
			end := strings.IndexByte(query[i:], '\n')
			if end < 0 {
				end = len(query) - i
			}
			b.WriteString(query[i : i+end])
			i += end
		case c == '?':
			digits := i + 1
			for digits < len(query) && query[digits] >= '0' && query[digits] <= '9' {
				digits++
			}
			n := last + 1
			if digits > i+1 {
				n, _ = strconv.Atoi(query[i+1 : digits]) // digits alone, and few
			}
			last = max(last, n)
			param(n)
			i = digits
		case wordByte(c):
			end := i
			for end < len(query) && wordByte(query[end]) {
				end++
			}
			word := query[i:end]
			switch {
			case (word == "x" || word == "X") && end < len(query) && query[end] == '\'':
				closing := quoted(query, end)
				b.WriteString(`'\x` + strings.Trim(query[end:closing], "'") + `'::bytea`)
				end = closing
			case word == "CROSS" && strings.HasPrefix(query[end:], " JOIN "):
				end++ // its place is taken by nothing
			default:
				b.WriteString(word)
			}
			i = end
		default:
			b.WriteByte(c)
			i++
		}
	}
	return b.String()
}

// quoted returns where the text or name that begins at i ends; a doubled quote
// begins another.
func quoted(s string, i int) int {
	end := strings.IndexByte(s[i+1:], s[i])
	if end < 0 {
		return len(s)
	}
	return i + end + 2
}

func wordByte(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c >= 0x80
}
