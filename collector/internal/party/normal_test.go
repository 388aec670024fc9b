package party

import "testing"

func TestNormalForms(t *testing.T) {
	for _, c := range []struct {
		kind                  IdentifierType
		value, normal, coarse string
	}{
		{Email, "Jane.Doe+gpu@Gmail.com", "janedoe@gmail.com", "gmail.com"},
		{Email, "ops@mail.orion.co.uk", "ops@mail.orion.co.uk", "orion.co.uk"},
		{Phone, "+1 (202) 555-0123", "12025550123", ""},
		{Domain, "www.Orion.co.uk", "orion.co.uk", ""},
		{IP, "203.0.114.7", "203.0.114.7", "203.0.114.0/24"},
		{TaxID, "12-3456788", "123456788", ""},
		{TaxID, "000000000", "000000000", ""},
		{Address, "1209 Orange Street, Wilmington", " 1209 orange st wilmington", ""},
	} {
		normal, coarse, err := Normal(c.kind, c.value)
		if err != nil || normal != c.normal || coarse != c.coarse {
			t.Errorf("%s %q: %q, %q, %v", c.kind, c.value, normal, coarse, err)
		}
		// The form of a form is that form.
		if again, _, err := Normal(c.kind, "+"[:map[bool]int{true: 1}[c.kind == Phone]]+normal); err != nil || again != normal {
			t.Errorf("%s %q twice: %q, %v", c.kind, c.value, again, err)
		}
	}
	if !StandsForNone(TaxID, "000000000") || StandsForNone(TaxID, "12-3456788") || StandsForNone(Email, "a@b.com") {
		t.Error("numbers that stand for none are not told from others")
	}
}
