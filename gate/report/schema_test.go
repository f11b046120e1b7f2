package report

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestJSONIsWhatItsSchemaSays(t *testing.T) {
	data, err := os.ReadFile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var root map[string]any
	if err := json.Unmarshal(data, &root); err != nil {
		t.Fatal(err)
	}
	v := validator{defs: root["$defs"].(map[string]any)}
	for _, ex := range examples() {
		var doc any
		if err := json.Unmarshal(jsonText(t, ex.in), &doc); err != nil {
			t.Fatal(err)
		}
		for _, problem := range v.check("", root, doc) {
			t.Errorf("%s: %s", ex.name, problem)
		}
	}
	// The validator must be able to refuse, or the loop above shows nothing.
	var doc map[string]any
	if err := json.Unmarshal(jsonText(t, mixed()), &doc); err != nil {
		t.Fatal(err)
	}
	delete(doc, "exit")
	doc["surprise"], doc["aa"] = 1.0, "yes"
	doc["rows"].([]any)[0].(map[string]any)["decision"] = "slower"
	if problems := v.check("", root, doc); len(problems) != 4 {
		t.Errorf("a broken report has problems %q, want 4", problems)
	}
}

// validator knows the words of JSON Schema that schema.json uses.
type validator struct{ defs map[string]any }

func (v validator) check(at string, schema map[string]any, doc any) []string {
	if ref, ok := schema["$ref"].(string); ok {
		return v.check(at, v.defs[strings.TrimPrefix(ref, "#/$defs/")].(map[string]any), doc)
	}
	if options, ok := schema["anyOf"].([]any); ok {
		for _, option := range options {
			if len(v.check(at, option.(map[string]any), doc)) == 0 {
				return nil
			}
		}
		return []string{at + ": none of anyOf"}
	}
	if values, ok := schema["enum"].([]any); ok && !slices.Contains(values, doc) {
		return []string{fmt.Sprintf("%s: %v is none of %v", at, doc, values)}
	}
	if want, ok := schema["const"]; ok && want != doc {
		return []string{fmt.Sprintf("%s: %v, want %v", at, doc, want)}
	}
	if !ofType(schema["type"], doc) {
		return []string{fmt.Sprintf("%s: %v is no %v", at, doc, schema["type"])}
	}
	switch doc := doc.(type) {
	case []any:
		var found []string
		for i, item := range doc {
			found = append(found, v.check(fmt.Sprintf("%s[%d]", at, i), schema["items"].(map[string]any), item)...)
		}
		return found
	case map[string]any:
		return v.checkObject(at, schema, doc)
	}
	return nil
}

func (v validator) checkObject(at string, schema, doc map[string]any) []string {
	var found []string
	required, _ := schema["required"].([]any)
	for _, name := range required {
		if _, ok := doc[name.(string)]; !ok {
			found = append(found, fmt.Sprintf("%s: %s is missing", at, name))
		}
	}
	properties, _ := schema["properties"].(map[string]any)
	for name, value := range doc {
		property, ok := properties[name].(map[string]any)
		if !ok {
			property, ok = schema["additionalProperties"].(map[string]any)
		}
		if !ok {
			found = append(found, fmt.Sprintf("%s: %s is not in the schema", at, name))
			continue
		}
		found = append(found, v.check(at+"."+name, property, value)...)
	}
	return found
}

func ofType(want, doc any) bool {
	switch want := want.(type) {
	case nil:
		return true
	case []any:
		return slices.ContainsFunc(want, func(w any) bool { return ofType(w, doc) })
	case string:
		switch doc := doc.(type) {
		case nil:
			return want == "null"
		case string:
			return want == "string"
		case bool:
			return want == "boolean"
		case float64:
			return want == "number" || want == "integer" && doc == float64(int(doc))
		case []any:
			return want == "array"
		case map[string]any:
			return want == "object"
		}
	}
	return false
}
