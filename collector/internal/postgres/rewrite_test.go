package postgres

import "testing"

func TestRewrite(t *testing.T) {
	for _, c := range []struct {
		query string
		types []string
		want  string
	}{
		{"SELECT 1", nil, "SELECT 1"},
		{"SELECT a FROM t WHERE b = ? AND c < ?", []string{"text", "bigint"}, "SELECT a FROM t WHERE b = $1::text AND c < $2::bigint"},
		{"SELECT ?2, ?1, ?2", []string{"text", "bigint"}, "SELECT $2::bigint, $1::text, $2::bigint"},
		{"SELECT ?3, ?", nil, "SELECT $3, $4"},
		{"SELECT ?", []string{""}, "SELECT $1"},
		{"SELECT '?', \"?\", 'it''s ?' -- ?\n, ?", nil, "SELECT '?', \"?\", 'it''s ?' -- ?\n, $1"},
		{"SELECT x'', x'00ff', y'1'", nil, `SELECT '\x'::bytea, '\x00ff'::bytea, y'1'`},
		{"FROM a CROSS JOIN b ON b.x = a.x CROSS JOIN c ON c.x = ?", nil, "FROM a JOIN b ON b.x = a.x JOIN c ON c.x = $1"},
		{"SELECT 'CROSS JOIN', max(x) FROM CROSSJOIN", nil, "SELECT 'CROSS JOIN', max(x) FROM CROSSJOIN"},
		{"SELECT 'ends never", nil, "SELECT 'ends never"},
		{"SELECT 'ü?', ü = ?", nil, "SELECT 'ü?', ü = $1"},
	} {
		if got := Rewrite(c.query, c.types); got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.query, got, c.want)
		}
	}
}

func FuzzRewrite(f *testing.F) {
	f.Add("SELECT x'", 1)
	f.Fuzz(func(t *testing.T, query string, n int) {
		Rewrite(query, make([]string, max(0, n%100)))
	})
}
