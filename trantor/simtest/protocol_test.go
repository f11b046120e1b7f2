package simtest

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"github.com/perfgate/perfgate/trantor/replica"
)

// documented is a row of the message table: tag and name.
var documented = regexp.MustCompile(`(?m)^\| (\d+) \| ([a-z]+\.[A-Za-z]+) \|`)

// The message table of docs/PROTOCOL.md names exactly the messages of the codec.
func TestProtocolPageListsEveryMessage(t *testing.T) {
	page, err := os.ReadFile("../../docs/PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[int]string{} // By tag.
	for _, row := range documented.FindAllStringSubmatch(string(page), -1) {
		tag, err := strconv.Atoi(row[1])
		if err != nil {
			t.Fatal(err)
		}
		if listed[tag] != "" {
			t.Errorf("tag %d is listed twice", tag)
		}
		listed[tag] = row[2]
	}
	spoken := namesByTag()
	for _, tag := range slices.Sorted(maps.Keys(spoken)) {
		if listed[tag] != spoken[tag] {
			t.Errorf("tag %d is %s, listed as %q", tag, spoken[tag], listed[tag])
		}
	}
	for _, tag := range slices.Sorted(maps.Keys(listed)) {
		if _, ok := spoken[tag]; !ok {
			t.Errorf("tag %d is listed as %s, and the codec does not know it", tag, listed[tag])
		}
	}
}

// namesByTag asks the codec: zeros are a message of every kind, if there are
// enough of them.
func namesByTag() map[int]string {
	codec, names := replica.NewCodec(), map[int]string{}
	for tag := range 256 {
		for size := range 300 {
			b := make([]byte, 1+size)
			b[0] = byte(tag)
			if m, err := codec.Decode(b); err == nil {
				names[tag] = m.EventName()
				break
			}
		}
	}
	return names
}
