package httpapi

import (
	"encoding/json"
	"fmt"

	"github.com/danielgtaylor/huma/v2"

	"github.com/flopwatch/flopwatch/collector/internal/strictjson"
)

// strictJSON reads what the router takes for JSON: application/json, every …+json, and
// a body without a Content-Type. Keys that are not known, or in another case, the
// schemas refuse.
func strictJSON() map[string]huma.Format {
	strict := huma.DefaultJSONFormat
	strict.Unmarshal = func(data []byte, v any) error {
		if err := strictjson.Check(data); err != nil {
			return fmt.Errorf("the body is not JSON as this API takes it: %w", err)
		}
		return json.Unmarshal(data, v)
	}
	return map[string]huma.Format{"application/json": strict, "json": strict}
}
