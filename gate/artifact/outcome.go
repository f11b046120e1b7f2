package artifact

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// OutcomeFile and BundleFolder are what a results folder holds.
const (
	OutcomeFile  = "outcome.json"
	BundleFolder = "bundle"
)

// OutcomeSchema is the version of outcome.json.
const OutcomeSchema = 1

// exits are the exit codes that a measuring job can have.
var exits = []int{0, 1, 2, 3, 130}

// Outcome is outcome.json: how the measuring of a shard ended. It is there
// always, so that a job without a bundle is told from one that nobody ran.
type Outcome struct {
	Schema  int    `json:"schema"`
	Exit    int    `json:"exit"`    // of the measuring command
	Message string `json:"message"` // why there is no bundle; may have several lines
	Shard   string `json:"shard"`   // "1/2"
}

// EncodeOutcome writes outcome.json. A message that is too long is cut, and
// bytes that are no UTF-8 are replaced.
func EncodeOutcome(o Outcome) ([]byte, error) {
	o.Schema = OutcomeSchema
	o.Message = strings.ToValidUTF8(o.Message, "\uFFFD")
	if len(o.Message) > MessageBytesMax {
		const dots = "…"
		o.Message = strings.ToValidUTF8(o.Message[:MessageBytesMax-len(dots)], "") + dots
	}
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("writing %s: %w", OutcomeFile, err)
	}
	data, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("writing %s: %w", OutcomeFile, err)
	}
	return append(data, '\n'), nil
}

// DecodeOutcome reads outcome.json strictly: exactly the keys of Outcome, each
// once, in their spelling.
func DecodeOutcome(data []byte) (Outcome, error) {
	o, err := decodeOutcome(data)
	if err != nil {
		return Outcome{}, fmt.Errorf("%s: %w", OutcomeFile, err)
	}
	return o, nil
}

func decodeOutcome(data []byte) (Outcome, error) {
	if len(data) > OutcomeBytesMax {
		return Outcome{}, fmt.Errorf("%d bytes, at most %d are read", len(data), OutcomeBytesMax)
	}
	if !utf8.Valid(data) {
		return Outcome{}, errors.New("it is no UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if tok, err := dec.Token(); err != nil || tok != json.Delim('{') {
		return Outcome{}, errors.New("it is no JSON object")
	}
	var o Outcome
	fields := map[string]any{"schema": &o.Schema, "exit": &o.Exit, "message": &o.Message, "shard": &o.Shard}
	for dec.More() {
		if err := decodeField(dec, fields); err != nil {
			return Outcome{}, err
		}
	}
	if _, err := dec.Token(); err != nil {
		return Outcome{}, fmt.Errorf("it ends in the middle, or is no JSON: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return Outcome{}, errors.New("something follows the object")
	}
	if len(fields) > 0 {
		return Outcome{}, errors.New("keys are missing: it has schema, exit, message and shard")
	}
	return o, o.check()
}

// decodeField reads one key and its value into its field, which it takes out of
// fields: a key that is not there is unknown, or was read before.
func decodeField(dec *json.Decoder, fields map[string]any) error {
	tok, err := dec.Token()
	if err != nil {
		return fmt.Errorf("it is no JSON: %w", err)
	}
	key, _ := tok.(string)
	field, ok := fields[key]
	if !ok {
		return fmt.Errorf("key %+.40q is unknown here, or stands twice", key)
	}
	delete(fields, key)
	if tok, err = dec.Token(); err != nil {
		return fmt.Errorf("%s: it is no JSON: %w", key, err)
	}
	switch field := field.(type) {
	case *string:
		text, ok := tok.(string)
		if !ok {
			return fmt.Errorf("%s: no text", key)
		}
		*field = text
	case *int:
		number, _ := tok.(json.Number)
		n, err := strconv.Atoi(number.String())
		if err != nil || strconv.Itoa(n) != number.String() {
			return fmt.Errorf("%s: %+.40q is no whole number", key, number.String())
		}
		*field = n
	}
	return nil
}

func (o Outcome) check() error {
	switch {
	case o.Schema != OutcomeSchema:
		return fmt.Errorf("schema %d, but this perfgate reads schema %d", o.Schema, OutcomeSchema)
	case !slices.Contains(exits, o.Exit):
		return fmt.Errorf("exit %d is none of %v", o.Exit, exits)
	case len(o.Message) > MessageBytesMax:
		return fmt.Errorf("a message of %d bytes, at most %d are read", len(o.Message), MessageBytesMax)
	case len(o.Shard) > len("256/256"):
		return fmt.Errorf("shard %+.40q", o.Shard)
	}
	return nil
}
