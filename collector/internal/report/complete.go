package report

// Lack is a required field that says nothing yet.
type Lack struct {
	Section string
	Field   string
	Title   string
	NotHeld bool // "not held", with a reason, would do
	Note    string
}

// Missing returns the required fields that say nothing, in the form's order.
func (r Report) Missing(f *Form) []Lack {
	var out []Lack
	for _, s := range f.Sections {
		for _, field := range s.Fields {
			if field.Required && field.In(r.Kind, r.Chain) && r.Values[field.ID].Empty() {
				out = append(out, Lack{s.Title, field.ID, field.Title, field.NotHeld, field.Note})
			}
		}
	}
	return out
}
