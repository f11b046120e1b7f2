package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// at returns what a JSON document has at a path such as pull_request.head.sha, as
// text; numbers as they are written there.
func at(t *testing.T, document []byte, path string) string {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(document))
	d.UseNumber()
	var value any
	if err := d.Decode(&value); err != nil {
		t.Fatal(err)
	}
	for _, key := range strings.Split(path, ".") {
		m, _ := value.(map[string]any)
		var ok bool
		if value, ok = m[key]; !ok {
			t.Fatalf("the document has nothing at %s", path)
		}
	}
	return fmt.Sprint(value)
}
