package bottleneck

import (
	_ "embed"
	"encoding/json"
	"fmt"
)

// SchemaJSON is the JSON Schema of what JSON writes.
//
//go:embed schema.json
var SchemaJSON string

// JSON is the report for programs: the fields of Report, described in SchemaJSON.
func (r *Report) JSON() ([]byte, error) {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("writing the bottlenecks: %w", err)
	}
	return append(data, '\n'), nil
}
