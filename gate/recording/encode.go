package recording

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// manifestFile is the path of the manifest inside a bundle.
const manifestFile = "manifest.json"

// jsonDepthMax bounds nesting. The deepest path of a manifest has 5 levels:
// manifest, baseline, checks, check, key.
const jsonDepthMax = 16

// jsonValuesMax bounds the values of a manifest: 20,000 benchmarks of 10, 60,000
// tests of 6 and 60,000 comparisons with a baseline of 8. An empty object is two
// bytes to write and a hundred to read.
const jsonValuesMax = 2_000_000

func sum(data []byte) string {
	h := sha256.Sum256(data)
	return hex.EncodeToString(h[:])
}

// encodeManifest gives the one form of a manifest: keys sorted, indented, and
// its own checksum inside, so that a changed digit does not pass for another
// measurement.
func encodeManifest(m Manifest) ([]byte, error) {
	m.Checksum = ""
	bare, err := canonicalJSON(m)
	if err != nil {
		return nil, err
	}
	m.Checksum = sum(bare)
	return canonicalJSON(m)
}

func canonicalJSON(v any) ([]byte, error) {
	structOrder, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	// Through a map, because encoding/json sorts the keys of maps only.
	dec := json.NewDecoder(bytes.NewReader(structOrder))
	dec.UseNumber()
	var tree any
	if err := dec.Decode(&tree); err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(tree); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// decodeManifest reads what encodeManifest wrote, and nothing else.
func decodeManifest(data []byte) (Manifest, error) {
	if len(data) > manifestBytesMax {
		return Manifest{}, fmt.Errorf("%s: %d bytes, at most %d are read", manifestFile, len(data), manifestBytesMax)
	}
	for _, check := range []func([]byte) error{checkUTF8, checkJSON} {
		if err := check(data); err != nil {
			return Manifest{}, fmt.Errorf("%s%w", manifestFile, err)
		}
	}
	var head struct {
		Schema int `json:"schema"`
	}
	// The schema first: the fields of another version would only be unknown.
	if err := json.Unmarshal(data, &head); err == nil && head.Schema != Schema {
		return Manifest{}, fmt.Errorf("%s: schema %d, but this perfgate reads schema %d", manifestFile, head.Schema, Schema)
	}
	var m Manifest
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&m); err != nil {
		return Manifest{}, fmt.Errorf("%s:%d: %w", manifestFile, lineAt(data, dec.InputOffset()), err)
	}
	// Before it is written again, which costs a multiple of reading it.
	if err := checkLimits(&m); err != nil {
		return Manifest{}, fmt.Errorf("%s: %w", manifestFile, err)
	}
	again, err := encodeManifest(m)
	if err != nil {
		return Manifest{}, fmt.Errorf("%s: %w", manifestFile, err)
	}
	if !bytes.Equal(again, data) {
		return Manifest{}, fmt.Errorf("%s:%d: not as perfgate wrote it: it was changed, or damaged", manifestFile, firstDifference(again, data))
	}
	if err := checkManifest(&m); err != nil {
		return Manifest{}, fmt.Errorf("%s: %w", manifestFile, err)
	}
	return m, nil
}

// checkJSON refuses duplicate keys, which encoding/json takes silently, deep
// nesting, more values than any limit of their own allows, and anything behind
// the one value. Its errors begin with ":LINE: ".
func checkJSON(data []byte) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	values := 0
	if err := checkJSONValue(dec, 0, &values); err != nil {
		return fmt.Errorf(":%d: %w", lineAt(data, dec.InputOffset()), err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return fmt.Errorf(":%d: something follows the manifest", lineAt(data, dec.InputOffset()))
	}
	return nil
}

func checkJSONValue(dec *json.Decoder, depth int, values *int) error {
	if *values++; *values > jsonValuesMax {
		return fmt.Errorf("more than %d values", jsonValuesMax)
	}
	if depth > jsonDepthMax {
		return fmt.Errorf("nested deeper than %d levels", jsonDepthMax)
	}
	tok, err := dec.Token()
	if err == io.EOF {
		return errors.New("ends in the middle")
	}
	if err != nil {
		return err
	}
	delim, ok := tok.(json.Delim)
	if !ok {
		return nil
	}
	seen := map[string]bool{}
	for dec.More() {
		if delim == '{' {
			key, err := dec.Token()
			if err != nil {
				return err
			}
			name, _ := key.(string)
			if seen[name] {
				return fmt.Errorf("key %q twice", name)
			}
			seen[name] = true
		}
		if err := checkJSONValue(dec, depth+1, values); err != nil {
			return err
		}
	}
	_, err = dec.Token() // the closing bracket
	return err
}

func lineAt(data []byte, offset int64) int {
	return 1 + bytes.Count(data[:min(int(offset), len(data))], []byte("\n"))
}
