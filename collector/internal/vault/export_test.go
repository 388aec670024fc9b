package vault

import "testing"

// Wrapped returns the wrapped key of a party as it is stored.
func (v *Vault) Wrapped(t *testing.T, who string) (wrapped []byte) {
	t.Helper()
	if err := v.db.QueryRow("SELECT wrapped FROM party_key WHERE party = ?", who).Scan(&wrapped); err != nil {
		t.Fatal(err)
	}
	return wrapped
}
