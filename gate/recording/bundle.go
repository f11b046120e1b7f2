package recording

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// fileBytesMax bounds one file of a bundle. A long nightly run of 200
// benchmarks x 250 pairs x 4 metrics at about 250 bytes a sample makes 12 MiB
// a side; 256 MiB is a file that nobody meant.
const fileBytesMax = 256 << 20

// Write writes b as the new directory dir, whole or not at all: it is put
// together beside dir and renamed. The files' hashes, the schema and the
// checksum in the manifest are filled in here.
//
// A verdict that must agree with its replay to the byte is taken from the
// bundle that Read gives back, since text that is no UTF-8 is repaired on the way.
func Write(dir string, b Bundle) (err error) {
	files, err := encode(b)
	if err != nil {
		return fmt.Errorf("writing bundle %s: %w", dir, err)
	}
	if _, err := os.Lstat(dir); err == nil {
		return fmt.Errorf("writing bundle %s: it exists already", dir)
	}
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return fmt.Errorf("writing bundle %s: %w", dir, err)
	}
	tmp, err := os.MkdirTemp(parent, ".perfgate-*")
	if err != nil {
		return fmt.Errorf("writing bundle %s: %w", dir, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("writing bundle %s: %w", dir, err), os.RemoveAll(tmp))
		}
	}()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		file := filepath.Join(tmp, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, files[name], 0o644); err != nil {
			return err
		}
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	return os.Rename(tmp, dir)
}

// Encode gives the files of a bundle, by slash-separated path, as Write writes
// them. The hashes, the schema and the checksum are filled in.
func Encode(b Bundle) (map[string][]byte, error) {
	files, err := encode(b)
	if err != nil {
		return nil, fmt.Errorf("encoding the bundle: %w", err)
	}
	return files, nil
}

// ReadFiles verifies and reads the files of a bundle, by slash-separated path: a
// bundle that never lay on a disk, such as one in an archive that a stranger has
// made. How large they may be is for its caller to bound; what they say is
// checked here as strictly as by Read.
func ReadFiles(files map[string][]byte) (Bundle, error) {
	b, err := decode(files)
	if err != nil {
		return Bundle{}, fmt.Errorf("reading the bundle: %w", err)
	}
	return b, nil
}

// HashFiles is Hash for files as Encode gives them.
func HashFiles(files map[string][]byte) string { return sum(files[manifestFile]) }

func encode(b Bundle) (map[string][]byte, error) {
	m := b.Manifest
	m.Schema = Schema
	if err := checkManifest(&m); err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	if err := encodeSides(files, &m, false, b.Samples); err != nil {
		return nil, err
	}
	if len(b.Canary) > 0 {
		if err := encodeSides(files, &m, true, b.Canary); err != nil {
			return nil, fmt.Errorf("canary: %w", err)
		}
	}
	if err := encodeAttachments(files, &b); err != nil {
		return nil, err
	}
	m.Files = map[string]string{}
	for name, data := range files {
		m.Files[name] = sum(data)
	}
	data, err := encodeManifest(m)
	if err != nil {
		return nil, err
	}
	files[manifestFile] = data
	// What cannot be read again (a line beyond the reader's limit, say) must
	// show now, while the measurement is still there.
	if _, err := decode(files); err != nil {
		return nil, fmt.Errorf("it would not be readable: %w", err)
	}
	return files, nil
}

// encodeSides adds the two files of the samples, or of the canary.
func encodeSides(files map[string][]byte, m *Manifest, canary bool, unsorted []Sample) error {
	samples := slices.Clone(unsorted)
	Canonical(samples)
	checkers := map[Side]*sampleChecker{Base: newSampleChecker(m), Head: newSampleChecker(m)}
	for i := range samples {
		c := checkers[samples[i].Side]
		if c == nil {
			return fmt.Errorf("a sample of %s has side %q", samples[i].Key, samples[i].Side)
		}
		if err := c.check(&samples[i]); err != nil {
			return err
		}
	}
	name := samplesFile
	if canary {
		name = canaryFile
	}
	for _, side := range []Side{Base, Head} {
		data, err := encodeSamples(m, side, canary, samples)
		if err != nil {
			return err
		}
		files[name(side)] = data
	}
	return nil
}

// Read reads and verifies a bundle: a directory, or a tar of one. Its samples
// are in the order of Canonical. Any difference from what Write wrote is an
// error that names the file and, where there is one, the line.
func Read(path string) (Bundle, error) {
	files, err := load(path)
	if err != nil {
		return Bundle{}, fmt.Errorf("reading bundle %s: %w", path, err)
	}
	b, err := decode(files)
	if err != nil {
		return Bundle{}, fmt.Errorf("reading bundle %s: %w", path, err)
	}
	return b, nil
}

// Hash is the bundle's identity: the sha256, in hex, of its manifest, which
// holds the hashes of all other files. It does not verify them.
func Hash(path string) (string, error) {
	files, err := load(path)
	if err != nil {
		return "", fmt.Errorf("hashing bundle %s: %w", path, err)
	}
	data, ok := files[manifestFile]
	if !ok {
		return "", fmt.Errorf("hashing bundle %s: it has no %s", path, manifestFile)
	}
	return sum(data), nil
}

// Pack writes the bundle at path to w as a tar. The same bundle gives the same
// bytes: no times, owners or order of a directory enter.
func Pack(w io.Writer, path string) error {
	files, err := load(path)
	if err == nil {
		_, err = decode(files)
	}
	if err != nil {
		return fmt.Errorf("packing bundle %s: %w", path, err)
	}
	tw := tar.NewWriter(w)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(files[name])), Format: tar.FormatUSTAR}
		if err := tw.WriteHeader(h); err != nil {
			return fmt.Errorf("packing bundle %s: %w", path, err)
		}
		if _, err := tw.Write(files[name]); err != nil {
			return fmt.Errorf("packing bundle %s: %w", path, err)
		}
	}
	return tw.Close()
}

// decode verifies the files against the manifest and reads them.
func decode(files map[string][]byte) (Bundle, error) {
	data, ok := files[manifestFile]
	if !ok {
		return Bundle{}, fmt.Errorf("it has no %s", manifestFile)
	}
	m, err := decodeManifest(data)
	if err != nil {
		return Bundle{}, err
	}
	if err := checkFiles(&m, files); err != nil {
		return Bundle{}, err
	}
	b := Bundle{Manifest: m}
	for _, side := range []Side{Base, Head} {
		samples, err := decodeSamples(&m, side, false, files[samplesFile(side)])
		if err != nil {
			return Bundle{}, err
		}
		b.Samples = append(b.Samples, samples...)
		if data, ok := files[canaryFile(side)]; ok {
			samples, err := decodeSamples(&m, side, true, data)
			if err != nil {
				return Bundle{}, err
			}
			b.Canary = append(b.Canary, samples...)
		}
	}
	Canonical(b.Samples)
	Canonical(b.Canary)
	return b, decodeAttachments(&b, files)
}

func checkFiles(m *Manifest, files map[string][]byte) error {
	want := []string{samplesFile(Base), samplesFile(Head)}
	if m.Files[canaryFile(Base)] != "" {
		want = append([]string{canaryFile(Base), canaryFile(Head)}, want...)
	}
	want = append(want, m.attachments()...)
	slices.Sort(want)
	if have := slices.Sorted(maps.Keys(m.Files)); !slices.Equal(have, want) {
		return fmt.Errorf("%s: it lists the files %q, want %q", manifestFile, have, want)
	}
	for _, name := range want {
		data, ok := files[name]
		if !ok {
			return fmt.Errorf("%s is missing", name)
		}
		if sum(data) != m.Files[name] {
			return fmt.Errorf("%s was changed, or damaged: its sha256 is not the one in %s", name, manifestFile)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if name != manifestFile && !slices.Contains(want, name) {
			return fmt.Errorf("%s does not belong to it", name)
		}
	}
	return nil
}

func load(path string) (map[string][]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return loadDir(path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return loadTar(f)
}

// filesMax bounds the entries that are looked at: besides its profiles a bundle
// has six files, so whoever has more is not one and is refused by name anyway.
// An entry that is a folder counts in a tar.
const filesMax = 64 + 2*profilesMax

func loadDir(dir string) (map[string][]byte, error) {
	files := map[string][]byte{}
	err := filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, file)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(rel)
		if !d.Type().IsRegular() {
			return fmt.Errorf("%s is no regular file", name)
		}
		if len(files) == filesMax {
			return fmt.Errorf("it has more than %d files", filesMax)
		}
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		defer f.Close()
		files[name], err = readCapped(f, name)
		return err
	})
	return files, err
}

func loadTar(r io.Reader) (map[string][]byte, error) {
	files := map[string][]byte{}
	tr := tar.NewReader(r)
	for entries := 0; ; entries++ {
		h, err := tr.Next()
		if err == io.EOF {
			return stripFolder(files), nil
		}
		if err != nil {
			return nil, fmt.Errorf("it is neither a directory nor a tar of one: %w", err)
		}
		if entries == filesMax {
			return nil, fmt.Errorf("it has more than %d files", filesMax)
		}
		name := path.Clean(h.Name)
		switch h.Typeflag {
		case tar.TypeDir:
			continue
		case tar.TypeReg:
		default:
			return nil, fmt.Errorf("%q is no regular file", name)
		}
		if !fs.ValidPath(name) {
			return nil, fmt.Errorf("%q is no path inside it", name)
		}
		if _, twice := files[name]; twice {
			return nil, fmt.Errorf("%q is in it twice", name)
		}
		if files[name], err = readCapped(tr, name); err != nil {
			return nil, err
		}
	}
}

// stripFolder takes off the one folder that "tar cf BUNDLE.tar BUNDLE" puts
// ahead of every name.
func stripFolder(files map[string][]byte) map[string][]byte {
	if _, ok := files[manifestFile]; ok {
		return files
	}
	for name := range files {
		folder, rest, ok := strings.Cut(name, "/")
		if !ok || rest != manifestFile {
			continue
		}
		stripped := map[string][]byte{}
		for name, data := range files {
			rest, ok := strings.CutPrefix(name, folder+"/")
			if !ok {
				return files
			}
			stripped[rest] = data
		}
		return stripped
	}
	return files
}

func readCapped(r io.Reader, name string) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, fileBytesMax+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(data) > fileBytesMax {
		return nil, fmt.Errorf("%s is larger than %d bytes", name, fileBytesMax)
	}
	return data, nil
}
