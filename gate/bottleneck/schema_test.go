package bottleneck

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/perfgate/perfgate/internal/golden"
)

// meaning is what schema.json says of a field, by its name.
var meaning = map[string]string{
	"schema":             "version of this format",
	"tool":               "what wrote it",
	"module":             "path of the module under test",
	"commit":             "what was measured; absent outside a repository",
	"notes":              "what disturbed the measuring",
	"command":            "measures all of it again",
	"benchmarks":         "what was measured, one analysis for each benchmark",
	"entries":            "the bottlenecks, the narrowest first",
	"dropped":            "entries left out because they would bring less than 0.5 %",
	"rank":               "from 1",
	"id":                 "CAUSE@PACKAGE, the package below the module",
	"throughput-bound":   "by which factor throughput grows at most if all of it goes",
	"findings":           "the entry in each benchmark that has it, the largest bound first",
	"evidence":           "the command that measures the entry again",
	"check":              "shows the same samples with the go command alone",
	"cpu-share":          "part of the CPU time, 0 to 1; with the part of garbage collection that its allocations cause",
	"of-gc":              "the part of cpu-share that is garbage collection",
	"waiting":            "goroutines that wait, on average",
	"value":              "the mean of the replicates",
	"lo":                 "lower end of the 95 % interval",
	"hi":                 "upper end of the 95 % interval",
	"cpu-ns":             "CPU time for each operation, in ns",
	"bytes":              "allocated for each operation",
	"objects":            "allocated for each operation",
	"mutex-wait-ns":      "others waited for locks released there, for each operation, in ns",
	"contentions":        "how often they did, for each operation",
	"block-ns":           "waited for something other than work, for each operation, in ns",
	"throughput":         "operations a second of the profiled runs",
	"utilisation":        "busy part of the cores, or of a station's servers, 0 to 1",
	"whole":              "amounts of the whole benchmark",
	"gc-share":           "part of the CPU time that garbage collection takes, wherever it runs",
	"load-share":         "part of the CPU time that makes the load",
	"causes":             "CPU time by cause, garbage collection as a cause of its own",
	"packages":           "by package, garbage collection divided by bytes allocated",
	"labels":             "the same by profiler label",
	"functions":          "the same by function: the frame of the module that is nearest to the leaf",
	"callers":            "for which packages of the module",
	"waits":              "where goroutines waited",
	"ranked":             "false where they waited for want of work",
	"stations":           "queues that the benchmark reports",
	"demand-ns":          "busy time D for each operation, of all servers",
	"visits":             "V, things served for each operation",
	"service-ns":         "S = D/V",
	"queue":              "Q, waiting or being served on average",
	"residence-ns":       "R = Q/(X·V)",
	"throughput-max-cpu": "m over the CPU time of what has the station's name as a profiler label",
	"throughput-max":     "m/D: operations a second that can go through it",
}

// schemaOf is the JSON Schema of what encoding/json makes of a type.
func schemaOf(t reflect.Type) map[string]any {
	switch t.Kind() {
	case reflect.Pointer:
		return schemaOf(t.Elem())
	case reflect.Slice:
		return map[string]any{"type": []string{"array", "null"}, "items": schemaOf(t.Elem())}
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Int:
		return map[string]any{"type": "integer"}
	case reflect.Float64:
		return map[string]any{"type": "number"}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	}
	properties, required := map[string]any{}, []string{}
	for _, f := range reflect.VisibleFields(t) {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" {
			continue // embedded or unexported
		}
		property := schemaOf(f.Type)
		if text := meaning[name]; text != "" {
			property["description"] = text
		}
		properties[name] = property
		if options == "" {
			required = append(required, name)
		}
	}
	return map[string]any{"type": "object", "properties": properties, "required": required, "additionalProperties": false}
}

func TestTheSchemaDescribesWhatIsWritten(t *testing.T) {
	root := schemaOf(reflect.TypeFor[Report]())
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "perfgate bottlenecks"
	root["properties"].(map[string]any)["schema"].(map[string]any)["const"] = Schema
	want, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want = append(want, '\n')
	if golden.Updating() {
		if err := os.WriteFile("schema.json", want, 0o666); err != nil {
			t.Fatal(err)
		}
	} else if !bytes.Equal([]byte(SchemaJSON), want) {
		t.Error("schema.json is not that of Report: run the test with -update, read the diff, and raise Schema if a field changed its meaning")
	}
}
