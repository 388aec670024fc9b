package report

import (
	"encoding/hex"
	"time"

	"github.com/flopwatch/flopwatch/pkg/canonical"
)

// Schema names the form of a document's JSON.
const Schema = "flopwatch/report/1"

// Document is a version of a report as it is read and filed. Its canonical JSON
// is what every other output is made of.
type Document struct {
	Schema     string     `json:"schema"`
	Title      string     `json:"title"`
	Citation   string     `json:"citation"`
	Standing   string     `json:"standing"` // of the text behind the form: proposed, final, internal
	Content    Content    `json:"content"`
	Digest     string     `json:"digest"` // of the content
	State      State      `json:"state"`
	Version    int64      `json:"version"`
	Sections   []DocPart  `json:"sections"`
	Approval   *DocAssent `json:"approval,omitempty"`
	Filings    []Filing   `json:"filings,omitempty"`
	Checkpoint string     `json:"checkpoint,omitempty"` // of the audit log, when it was approved
}

// DocPart is a section of a document.
type DocPart struct {
	ID     string     `json:"id"`
	Title  string     `json:"title"`
	Fields []DocField `json:"fields"`
}

// DocField is a field of a document. Value is nil where nothing is said yet.
type DocField struct {
	ID      string `json:"id"`
	Title   string `json:"title"`
	Value   *Value `json:"value,omitempty"`
	Missing bool   `json:"missing,omitempty"` // required, and nothing is said
}

// DocAssent is who approved what the document says.
type DocAssent struct {
	Authors    []string  `json:"authors"`
	ApprovedBy string    `json:"approved_by"`
	At         time.Time `json:"at"`
	Digest     string    `json:"digest"`
}

// Document returns the report as it is read. Equal reports give equal documents.
func (r Report) Document(f *Form) (Document, error) {
	digest, err := r.Digest()
	if err != nil {
		return Document{}, err
	}
	d := Document{Schema: Schema, Title: f.Title, Citation: f.Citation, Standing: f.Status, Content: r.Content(), Digest: hex.EncodeToString(digest[:]),
		State: r.State, Version: r.Version, Filings: r.Filings, Checkpoint: r.Checkpoint}
	for _, s := range f.Sections {
		part := DocPart{ID: s.ID, Title: s.Title}
		for _, field := range s.Fields {
			if !field.In(r.Kind, r.Chain) {
				continue
			}
			out := DocField{ID: field.ID, Title: field.Title}
			if v, ok := r.Values[field.ID]; ok && !v.Empty() {
				out.Value = &v
			} else {
				out.Missing = field.Required
			}
			part.Fields = append(part.Fields, out)
		}
		if len(part.Fields) > 0 {
			d.Sections = append(d.Sections, part)
		}
	}
	if r.Approval.By != "" {
		d.Approval = &DocAssent{Authors: r.Proposal.Authors, ApprovedBy: r.Approval.By, At: r.Approval.At.UTC(), Digest: hex.EncodeToString(r.Approval.Digest[:])}
	}
	return d, nil
}

// JSON returns the document's canonical JSON.
func (d Document) JSON() ([]byte, error) { return canonical.Marshal(d) }
