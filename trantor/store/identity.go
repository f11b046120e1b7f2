package store

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/cespare/xxhash/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/perfgate/perfgate/trantor/types"
)

// identityName is the file that says whose directory it is.
const identityName = "TRANTOR"

// formatVersion is the version of the directory's layout. A store refuses a newer
// one, which it might misread.
const formatVersion = 1

// identityBytesMax bounds what is read of the identity's file.
const identityBytesMax = 64 << 10

// Identity says which replica of which system a directory belongs to.
type Identity struct {
	System  string // Names the system: one line, at most 255 bytes.
	Replica types.NodeID
}

func (id Identity) validate() error {
	if id.System == "" || len(id.System) > 255 || strings.ContainsAny(id.System, "\r\n") {
		return fmt.Errorf("system ID %q: want one line of 1 to 255 bytes", id.System)
	}
	return nil
}

// secret marks the groups of one store. Nobody else knows it, so that no
// payload of a client can look like the beginning of a group.
type secret [8]byte

// identityFile is the content of the file TRANTOR.
type identityFile struct {
	Identity
	secret secret
	groups uint64 // At least so many groups are durable.
}

// newIdentity is that of a new store.
func newIdentity(id Identity) identityFile {
	f := identityFile{Identity: id}
	_, _ = rand.Read(f.secret[:]) // It never returns an error.
	return f
}

func (f identityFile) encode() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "trantor store %d\nsystem %s\nreplica %d\nsecret %x\ngroups %d\n",
		formatVersion, f.System, f.Replica, f.secret, f.groups)
	fmt.Fprintf(&b, "sum %016x\n", xxhash.Sum64(b.Bytes()))
	return b.Bytes()
}

// decodeIdentity reads what encode wrote. The first line comes first: a newer
// format may have any others.
func decodeIdentity(b []byte) (identityFile, error) {
	var version int
	if _, err := fmt.Sscanf(string(b), "trantor store %d\n", &version); err != nil {
		return identityFile{}, errors.New("its first line is damaged")
	}
	if version > formatVersion {
		return identityFile{}, fmt.Errorf("it has format %d, and this program knows formats up to %d: use the program that wrote it, or a newer one",
			version, formatVersion)
	}
	var f identityFile
	var digits string
	lines := strings.Split(string(b), "\n")
	if len(lines) != 7 {
		return identityFile{}, errors.New("it is damaged")
	}
	f.System = strings.TrimPrefix(lines[1], "system ")
	_, err1 := fmt.Sscanf(lines[2], "replica %d", &f.Replica)
	_, err2 := fmt.Sscanf(lines[3], "secret %s", &digits)
	_, err3 := fmt.Sscanf(lines[4], "groups %d", &f.groups)
	mark, err4 := hex.DecodeString(digits)
	copy(f.secret[:], mark)
	// Writing it again tells every other deviation, and covers the checksum.
	if err := errors.Join(err1, err2, err3, err4); err != nil || !bytes.Equal(f.encode(), b) {
		return identityFile{}, errors.New("it is damaged")
	}
	return f, nil
}

// readIdentity reads the file of dir. It reports false where there is none.
func readIdentity(fsys vfs.FS, dir string) (identityFile, bool, error) {
	path := fsys.PathJoin(dir, identityName)
	file, err := fsys.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return identityFile{}, false, nil
	}
	if err != nil {
		return identityFile{}, false, err
	}
	b, err := io.ReadAll(io.LimitReader(file, identityBytesMax))
	if err = errors.Join(err, file.Close()); err != nil {
		return identityFile{}, false, fmt.Errorf("reading %s: %w", path, err)
	}
	id, err := decodeIdentity(b)
	if err != nil {
		return identityFile{}, false, fmt.Errorf("reading %s: %w", path, err)
	}
	return id, true, nil
}

// writeIdentity replaces the file of dir durably, and wholly or not at all.
func writeIdentity(fsys vfs.FS, dir string, id identityFile) error {
	path := fsys.PathJoin(dir, identityName)
	if err := writeSynced(fsys, path+".new", id.encode()); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := fsys.Rename(path+".new", path); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := syncDir(fsys, dir); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

// syncDir makes the names in a directory durable.
func syncDir(fsys vfs.FS, dir string) error {
	d, err := fsys.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func writeSynced(fsys vfs.FS, path string, content []byte) error {
	f, err := fsys.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
