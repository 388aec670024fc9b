package party

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Stated is what somebody stated, or why it is not known. That it is not known
// is stored with its reason; the zero Stated says that nobody was asked.
type Stated struct {
	Value   string
	Unknown string // why there is no value
}

// Is returns a known value.
func Is(value string) Stated { return Stated{Value: value} }

// NotKnown returns what is not known, and why.
func NotKnown(reason string) Stated { return Stated{Unknown: reason} }

// Known reports whether there is a value.
func (s Stated) Known() bool { return s.Value != "" }

// Asked reports whether there is a value or a reason for none.
func (s Stated) Asked() bool { return s.Value != "" || s.Unknown != "" }

func (s Stated) String() string {
	switch {
	case s.Known():
		return s.Value
	case s.Unknown != "":
		return "unknown: " + s.Unknown
	}
	return ""
}

// unstated is the JSON of a Stated without a value.
type unstated struct {
	Unknown string `json:"unknown"`
}

// MarshalJSON writes a value as a text, and its lack as {"unknown": reason}.
func (s Stated) MarshalJSON() ([]byte, error) {
	if s.Known() || s.Unknown == "" {
		return json.Marshal(s.Value)
	}
	return json.Marshal(unstated{s.Unknown})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (s *Stated) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '{' {
		var u unstated
		if err := json.Unmarshal(data, &u); err != nil {
			return fmt.Errorf("read what is not known: %w", err)
		}
		if u.Unknown == "" {
			return errors.New("read what is not known: the reason is missing")
		}
		*s = NotKnown(u.Unknown)
		return nil
	}
	*s = Stated{}
	return json.Unmarshal(data, &s.Value)
}
