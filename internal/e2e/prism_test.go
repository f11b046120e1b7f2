package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// startPrism starts Prism in front of a server: each request goes through to it
// after it was held against GitHub's description, and so does each answer on its
// way back. Prism reads these paths of the description alone: for all of it, which
// has 13 MB, it needs ten seconds. It returns Prism's URL.
func startPrism(t *testing.T, upstream string, paths []string) string {
	t.Helper()
	program := needNode(t, ".bin", "prism")
	description := filepath.Join(t.TempDir(), "description.json")
	write(t, description, string(cutDescription(t, needNode(t, "@octokit", "openapi", "generated", "api.github.com.json"), paths)))

	cmd := exec.CommandContext(t.Context(), "node", program, "proxy", "--host", "127.0.0.1", "--port", "0", description, upstream)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return listening(t, out)
}

// listening waits for the line in which Prism says where it listens, and reads on,
// so that Prism is never stopped by a full pipe.
func listening(t *testing.T, out io.Reader) string {
	t.Helper()
	lines := bufio.NewReader(out)
	var all strings.Builder
	for {
		line, err := lines.ReadString('\n')
		if _, url, ok := strings.Cut(line, "Prism is listening on "); ok {
			go io.Copy(io.Discard, lines)
			return strings.TrimSpace(url)
		}
		if all.WriteString(line); err != nil {
			t.Fatalf("Prism did not start: %v\n%.2000s", err, all.String())
		}
	}
}

// cutDescription returns some paths of the description, with what they refer to.
//
// A path parameter that may hold slashes, which the description marks because
// OpenAPI cannot say it, gets copies of its path with more segments: Prism would
// know none of contents/a/b.
func cutDescription(t *testing.T, file string, paths []string) []byte {
	t.Helper()
	var whole map[string]any
	if err := json.Unmarshal([]byte(read(t, file)), &whole); err != nil {
		t.Fatal(err)
	}
	kept := map[string]any{}
	for _, path := range paths {
		item, ok := whole["paths"].(map[string]any)[path].(map[string]any)
		if !ok {
			t.Fatalf("GitHub's description has no path %s", path)
		}
		kept[path] = item
		if name := lastSlashed(whole, path, item); name != "" {
			for n := 2; n <= 5; n++ {
				part := fmt.Sprintf("%s-%d", name, n)
				path += "/{" + part + "}"
				item = withParameter(item, part)
				kept[path] = item
			}
		}
	}
	cut := map[string]any{"openapi": whole["openapi"], "info": whole["info"], "servers": whole["servers"], "paths": kept}
	copyReferences(cut, whole, kept)
	data, err := json.Marshal(cut)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// copyReferences copies from one document to another what a part refers to.
func copyReferences(to, from map[string]any, part any) {
	switch part := part.(type) {
	case []any:
		for _, item := range part {
			copyReferences(to, from, item)
		}
	case map[string]any:
		for key, value := range part {
			if ref, ok := value.(string); !ok || key != "$ref" {
				copyReferences(to, from, value)
			} else if target, fresh := copyReference(to, from, ref); fresh {
				copyReferences(to, from, target)
			}
		}
	}
}

// copyReference copies what "#/a/b/c" means, unless it is there already.
func copyReference(to, from map[string]any, ref string) (target any, fresh bool) {
	keys := strings.Split(strings.TrimPrefix(ref, "#/"), "/")
	last := keys[len(keys)-1]
	for _, key := range keys[:len(keys)-1] {
		from = from[key].(map[string]any)
		if to[key] == nil {
			to[key] = map[string]any{}
		}
		to = to[key].(map[string]any)
	}
	if _, have := to[last]; have {
		return nil, false
	}
	to[last] = from[last]
	return from[last], true
}

// lastSlashed names the parameter at the end of a path, if it may hold slashes.
func lastSlashed(whole map[string]any, path string, item map[string]any) string {
	shared := whole["components"].(map[string]any)["parameters"].(map[string]any)
	for _, operation := range item {
		for _, p := range operation.(map[string]any)["parameters"].([]any) {
			parameter := p.(map[string]any)
			if ref, ok := parameter["$ref"].(string); ok {
				parameter = shared[ref[strings.LastIndex(ref, "/")+1:]].(map[string]any)
			}
			if parameter["x-multi-segment"] == true && strings.HasSuffix(path, "/{"+parameter["name"].(string)+"}") {
				return parameter["name"].(string)
			}
		}
	}
	return ""
}

// withParameter copies a path's operations with one more segment in the path.
func withParameter(item map[string]any, name string) map[string]any {
	segment := map[string]any{"name": name, "in": "path", "required": true, "schema": map[string]any{"type": "string"}}
	copied := map[string]any{}
	for method, operation := range item {
		fields := map[string]any{}
		for key, value := range operation.(map[string]any) {
			fields[key] = value
		}
		fields["parameters"] = append([]any{segment}, fields["parameters"].([]any)...)
		delete(fields, "operationId")
		copied[method] = fields
	}
	return copied
}

// A referee is a transport through Prism that keeps what Prism finds. Requests to
// other hosts go there: artifacts come from a storage that is not the API.
type referee struct {
	mu         sync.Mutex
	operations map[string]int // "GET /repos/…" -> how often
	violations []string
}

func (r *referee) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil || !strings.HasPrefix(req.URL.Path, "/repos/") {
		return resp, err
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	what := req.Method + " " + req.URL.RequestURI()
	var found []struct {
		Location      []string
		Code, Message string
	}
	if header := resp.Header.Get("sl-violations"); header != "" {
		if err := json.Unmarshal([]byte(header), &found); err != nil {
			return nil, fmt.Errorf("what Prism found of %s: %w", what, err)
		}
	}
	moved := resp.Header.Get(movedTo)
	if moved != "" {
		resp.StatusCode = http.StatusFound
		resp.Header.Set("Location", moved)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.operations[req.Method+" "+req.URL.EscapedPath()]++
	for _, v := range found {
		if moved != "" && v.Location[0] == "response" {
			continue // Its answer was a redirect before it was made a 200.
		}
		r.violations = append(r.violations, fmt.Sprintf("%s (%d): %s: %s (%s)", what, resp.StatusCode, strings.Join(v.Location, "."), v.Message, v.Code))
	}
	if bytes.Contains(body, []byte("stoplight.io/prism/errors")) {
		r.violations = append(r.violations, fmt.Sprintf("%s: %s", what, body))
	}
	return resp, nil
}
