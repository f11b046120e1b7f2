package artifact

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"strings"
)

// ReadZip reads a results folder from the archive that an upload has made of it.
func ReadZip(n Name, data []byte) (Shard, error) {
	t, err := readZip(data)
	if err != nil {
		return Shard{}, fmt.Errorf("reading artifact %s: %w", n, err)
	}
	s, err := t.shard(n)
	if err != nil {
		return Shard{}, fmt.Errorf("reading artifact %s: %w", n, err)
	}
	return s, nil
}

func readZip(data []byte) (*tree, error) {
	if len(data) > ZipBytesMax {
		return nil, fmt.Errorf("it has %d bytes, at most %d are read", len(data), ZipBytesMax)
	}
	if err := checkDirectory(data); err != nil {
		return nil, err
	}
	archive, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, fmt.Errorf("it is no zip archive: %w", err)
	}
	t := newTree()
	for _, f := range archive.File {
		if err := t.addZipped(f); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// addZipped takes in one entry of an archive.
func (t *tree) addZipped(f *zip.File) error {
	// Bit 0: encrypted; 5: patched data; 6: strongly encrypted; 13: a masked directory.
	const refused = 1<<0 | 1<<5 | 1<<6 | 1<<13
	mode := f.Mode()
	name, slash := strings.CutSuffix(f.Name, "/")
	switch {
	case f.Flags&refused != 0:
		return fmt.Errorf("%+q is encrypted, or patched", clipped(f.Name))
	case f.Method != zip.Store && f.Method != zip.Deflate:
		return fmt.Errorf("%+q is packed by method %d, which is not read", clipped(f.Name), f.Method)
	case mode.Type()&^fs.ModeDir != 0 || mode.IsDir() != slash:
		return fmt.Errorf("%+q %w", clipped(f.Name), errNotRegular)
	}
	if err := t.admit(name, slash); err != nil {
		return err
	}
	if slash {
		if f.UncompressedSize64 != 0 {
			return fmt.Errorf("%+q is a folder of %d bytes", name, f.UncompressedSize64)
		}
		return nil
	}
	r, err := f.Open()
	if err != nil {
		return fmt.Errorf("%+q: %w", name, err)
	}
	defer r.Close()
	if err := t.fill(name, r); err != nil {
		return err
	}
	// Package zip compares sizes and sums as well, but takes a sum of 0 for none.
	content := t.files[name]
	if uint64(len(content)) != f.UncompressedSize64 || crc32.ChecksumIEEE(content) != f.CRC32 {
		return fmt.Errorf("%+q: the size or sum is not the one that the archive says", name)
	}
	return nil
}

// clipped is the beginning of a name that was not checked yet.
func clipped(name string) string {
	if len(name) > 100 {
		return name[:100] + "…"
	}
	return name
}

// The parts of a zip archive that checkDirectory looks at, by the format's own
// description (APPNOTE 6.3, 4.3.7, 4.3.12 and 4.3.16).
const (
	localSignature     = "PK\x03\x04"
	directorySignature = "PK\x01\x02"
	endSignature       = "PK\x05\x06"
	localBytes         = 30
	directoryBytes     = 46
	endBytes           = 22
	// beyond16 and beyond32 refer to the 64-bit form of the archive, which none of
	// this size needs.
	beyond16 = 0xffff
	beyond32 = 0xffffffff
)

var errNoZip = errors.New("it is no zip archive of one piece, without a comment and with one directory at its end")

// checkDirectory goes through the archive's directory before package zip makes a
// list of it: a few bytes per entry here are hundreds there, and that package
// reads as many as follow each other, whatever their number is said to be. It
// also wants the name of an entry to be the same at both its places, so that all
// readers of the archive see one and the same.
func checkDirectory(data []byte) error {
	if len(data) < endBytes {
		return errNoZip
	}
	end := data[len(data)-endBytes:]
	count := binary.LittleEndian.Uint16(end[10:])
	size, start := binary.LittleEndian.Uint32(end[12:]), binary.LittleEndian.Uint32(end[16:])
	whole := bytes.Equal(end[4:8], []byte{0, 0, 0, 0}) && bytes.Equal(end[8:10], end[10:12]) && bytes.Equal(end[20:22], []byte{0, 0})
	switch {
	case string(end[:4]) != endSignature || !whole || count == beyond16 || size == beyond32 || start == beyond32:
		return errNoZip
	case int64(start)+int64(size) != int64(len(data)-endBytes):
		return errNoZip
	case count > EntriesMax:
		return fmt.Errorf("it has %d entries, at most %d are read", count, EntriesMax)
	}
	directory := data[start : len(data)-endBytes]
	for range count {
		rest, err := checkEntry(data[:start], directory)
		if err != nil {
			return err
		}
		directory = rest
	}
	if len(directory) > 0 {
		return errNoZip
	}
	return nil
}

// checkEntry checks the first entry of the directory, and gives the others.
func checkEntry(content, directory []byte) (rest []byte, err error) {
	if len(directory) < directoryBytes || string(directory[:4]) != directorySignature {
		return nil, errNoZip
	}
	at := func(offset int) int { return int(binary.LittleEndian.Uint16(directory[offset:])) }
	nameLen, total := at(28), directoryBytes+at(28)+at(30)+at(32)
	if total > len(directory) {
		return nil, errNoZip
	}
	name := directory[directoryBytes : directoryBytes+nameLen]
	start := int64(binary.LittleEndian.Uint32(directory[42:]))
	if start+localBytes+int64(nameLen) > int64(len(content)) {
		return nil, errNoZip
	}
	local := content[start:]
	if string(local[:4]) != localSignature || int(binary.LittleEndian.Uint16(local[26:])) != nameLen ||
		!bytes.Equal(local[localBytes:localBytes+nameLen], name) {
		return nil, fmt.Errorf("%+q is called otherwise where it stands", clipped(string(name)))
	}
	return directory[total:], nil
}
