package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// The layout of Pebble's log files (package record of Pebble v2): blocks of
// 32 KiB, filled with chunks that do not cross their borders. A chunk is a masked
// CRC-32C (4 bytes) over all that follows the length, the payload's length (2),
// a type (1), the low half of the file's number (4), in newer chunks the offset
// that was synced (8), and the payload. A record is one chunk, or several: first,
// middle …, last. A file may have been used before, as another log; what is left
// of that bears another number.
const (
	logBlockBytes     = 32 << 10
	chunkHeaderLegacy = 7  // Types 1 to 4, which no log of ours has.
	chunkHeaderOld    = 11 // Types 5 to 8: full, first, middle, last.
	chunkHeaderSynced = 19 // Types 9 to 12, the same.
	chunkTypeOld      = 5
	chunkTypeSynced   = 9
)

// The four kinds of chunks, in the order of their types.
const (
	chunkFull = iota
	chunkFirst
	chunkMiddle
	chunkLast
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checkLogs refuses a directory in which a log file is damaged before a group.
// Pebble would take the damage for the log's end.
func checkLogs(fsys vfs.FS, dir string, mark secret) error {
	names, err := fsys.List(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		digits, isLog := strings.CutSuffix(name, ".log")
		if !isLog {
			continue
		}
		number, err := strconv.ParseUint(digits, 10, 64)
		if err != nil {
			return fmt.Errorf("log file %s has no number for a name", name)
		}
		if err := checkLog(fsys, fsys.PathJoin(dir, name), uint32(number), mark); err != nil {
			return err
		}
	}
	return nil
}

func checkLog(fsys vfs.FS, path string, number uint32, mark secret) error {
	f, err := fsys.Open(path)
	if err != nil {
		return err
	}
	log, err := io.ReadAll(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	end := soundLogBytes(log, number)
	if at, found := findGroup(log, end, number, mark); found {
		return fmt.Errorf("%s is %w at byte %d: a later group begins at byte %d", path, ErrCorrupt, end, at)
	}
	return nil
}

// soundLogBytes is where the first record begins that is not whole and sound, or
// should begin: the end of the log if nothing is damaged.
func soundLogBytes(log []byte, number uint32) int {
	recordAt, inRecord := 0, false
	for at := 0; ; {
		at = nextChunk(log, at)
		if !inRecord {
			recordAt = at
		}
		kind, next, ok := readChunk(log, at, number)
		if !ok || inRecord != (kind == chunkMiddle || kind == chunkLast) {
			return recordAt
		}
		at, inRecord = next, kind == chunkFirst || kind == chunkMiddle
	}
}

// nextChunk skips the end of a block that is too short for a chunk.
func nextChunk(log []byte, at int) int {
	left := logBlockBytes - at%logBlockBytes
	if left >= chunkHeaderSynced || at+left > len(log) {
		return at
	}
	// Pebble looks at what is left only if the shortest header that it knows fits.
	if left < chunkHeaderLegacy || len(bytes.Trim(log[at:at+left], "\x00")) == 0 {
		return at + left
	}
	return at
}

// readChunk tells the kind of the chunk at a place and where it ends.
func readChunk(log []byte, at int, number uint32) (kind, next int, ok bool) {
	kind, header, ok := chunkHeader(log, at, number)
	if !ok {
		return 0, 0, false
	}
	next = at + header + int(binary.LittleEndian.Uint16(log[at+4:]))
	if next > len(log) || next > at-at%logBlockBytes+logBlockBytes {
		return 0, 0, false
	}
	sum := crc32.Checksum(log[at+6:next], castagnoli)
	return kind, next, binary.LittleEndian.Uint32(log[at:]) == (sum>>15|sum<<17)+0xa282ead8
}

// chunkHeader reads a chunk's header without its checksum.
func chunkHeader(log []byte, at int, number uint32) (kind, bytes int, ok bool) {
	if at < 0 || at+chunkHeaderOld > len(log) {
		return 0, 0, false
	}
	kind, bytes = int(log[at+6])-chunkTypeOld, chunkHeaderOld
	if log[at+6] >= chunkTypeSynced {
		kind, bytes = int(log[at+6])-chunkTypeSynced, chunkHeaderSynced
	}
	ok = kind >= chunkFull && kind <= chunkLast && at+bytes <= len(log) &&
		binary.LittleEndian.Uint32(log[at+7:]) == number
	return kind, bytes, ok
}

// findGroup looks for the beginning of a group of this log behind the record at
// end, and tells where its mark is. It asks for no checksum: that something was
// written there is all that it must prove.
func findGroup(log []byte, end int, number uint32, mark secret) (at int, found bool) {
	pattern := groupPrefix(mark)
	for from := end; ; {
		i := bytes.Index(log[min(from, len(log)):], pattern)
		if i < 0 {
			break
		}
		if begins, ok := beginsGroup(log, from+i, number); ok && begins > end {
			return from + i, true
		}
		from += i + 1
	}
	// Between two blocks, a chunk's header may split the mark.
	for border := (end/logBlockBytes + 1) * logBlockBytes; border < len(log); border += logBlockBytes {
		left := max(border-len(pattern)+1, end)
		for _, header := range []int{chunkHeaderOld, chunkHeaderSynced} {
			right := log[min(border+header, len(log)):min(border+header+len(pattern)-1, len(log))]
			i := bytes.Index(append(bytes.Clone(log[left:border]), right...), pattern)
			if i < 0 {
				continue
			}
			if begins, ok := beginsGroup(log, left+i, number); ok && begins > end {
				return left + i, true
			}
		}
	}
	return 0, false
}

// beginsGroup tells where the chunk begins whose payload has the mark at a
// place where a group has it.
func beginsGroup(log []byte, mark int, number uint32) (at int, ok bool) {
	for _, want := range []int{chunkHeaderOld, chunkHeaderSynced} {
		at := mark - batchHeaderBytes - want
		if kind, _, ok := chunkHeader(log, at, number); at/logBlockBytes < mark/logBlockBytes ||
			ok && kind > chunkFirst && at%logBlockBytes == 0 {
			at -= want // The border of the blocks, and a chunk's header, is between.
		}
		if kind, header, ok := chunkHeader(log, at, number); ok && header == want && kind <= chunkFirst {
			return at, true
		}
	}
	return 0, false
}
