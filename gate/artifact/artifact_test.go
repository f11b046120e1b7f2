package artifact

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/perfgate/perfgate/gate/recording"
)

// bundle is a small one: shard index of count, or the whole where count is 0.
func bundle(index, count int) recording.Bundle {
	key := recording.Key{Pkg: "example.org/m/pool", Name: fmt.Sprintf("BenchmarkSubmit%d", index), Procs: 1}
	revision := func(digit string) recording.Revision {
		return recording.Revision{Ref: "HEAD", Commit: strings.Repeat(digit, 40), Tree: strings.Repeat(digit, 40)}
	}
	b := recording.Bundle{Manifest: recording.Manifest{
		Tool: "perfgate test", Command: "check", Module: "example.org/m", Base: revision("a"), Head: revision("b"),
		Machine:    recording.Machine{ClassID: "0123abcd", Class: map[string]string{"goos": "linux"}},
		Benchmarks: []recording.Benchmark{{Key: key, Channel: recording.CoRun, N: 100, ExactN: 100}},
		Family:     []recording.Test{{Key: key, Unit: "allocs/op", Channel: recording.Exact}},
	}}
	if count > 0 {
		b.Manifest.Shard = &recording.Shard{Index: index, Count: count, FamilyMin: 3}
	}
	for _, side := range []recording.Side{recording.Base, recording.Head} {
		for pair := 1; pair <= recording.ExactRuns; pair++ {
			b.Samples = append(b.Samples, recording.Sample{Side: side, Channel: recording.Exact, Key: key, Pair: pair, Round: 1,
				Order: 1, Core: -1, N: 100, Values: []recording.Value{{Unit: "allocs/op", Value: 3}}})
		}
	}
	return b
}

// results are the files of a results folder.
func results(t testing.TB, b recording.Bundle) map[string][]byte {
	t.Helper()
	n := Name{1, 1, 1}
	if s := b.Manifest.Shard; s != nil {
		n = Name{1, s.Index, s.Count}
	}
	files, err := recording.Encode(b)
	if err != nil {
		t.Fatal(err)
	}
	folder := map[string][]byte{OutcomeFile: outcome(t, Outcome{Shard: n.Shard()})}
	for name, data := range files {
		folder["bundle/"+name] = data
	}
	return folder
}

func outcome(t testing.TB, o Outcome) []byte {
	t.Helper()
	data, err := EncodeOutcome(o)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// packed is a zip of files, with what add puts behind them.
func packed(t testing.TB, files map[string][]byte, add ...func(w *zip.Writer) error) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	w.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, flate.BestSpeed) })
	for _, name := range slices.Sorted(maps.Keys(files)) {
		add = append([]func(*zip.Writer) error{put(name, string(files[name]))}, add...)
	}
	for _, f := range add {
		if err := f(w); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func put(name, content string) func(*zip.Writer) error {
	return func(w *zip.Writer) error {
		f, err := w.Create(name)
		if err == nil {
			_, err = io.WriteString(f, content)
		}
		return err
	}
}

// raw puts an entry with a header of its own, as it stands.
func raw(h zip.FileHeader, content string) func(*zip.Writer) error {
	return func(w *zip.Writer) error {
		f, err := w.CreateRaw(&h)
		if err == nil {
			_, err = io.WriteString(f, content)
		}
		return err
	}
}

var one = Name{1, 1, 1}

func TestAnArchiveIsReadAsTheFolderItWasMadeOf(t *testing.T) {
	files := results(t, bundle(1, 0))
	folders := func(w *zip.Writer) error { _, err := w.Create("bundle/canary/"); return err }
	got, err := ReadZip(one, packed(t, files, folders))
	if err != nil {
		t.Fatal(err)
	}
	want, err := recording.Encode(*got.Bundle)
	if err != nil || got.Hash != recording.HashFiles(want) || !bytes.Equal(want["manifest.json"], files["bundle/manifest.json"]) {
		t.Errorf("another bundle came back: %v", err)
	}
	if got.Outcome != (Outcome{Schema: 1, Shard: "1/1"}) || got.Name != one {
		t.Errorf("got %+v, %+v", got.Name, got.Outcome)
	}
	inFolder, err := ReadFS(one, mapFS(files))
	if err != nil || !reflect.DeepEqual(inFolder, got) {
		t.Errorf("the folder reads otherwise: %v", err)
	}
}

func TestAJobWithoutABundleSaysWhy(t *testing.T) {
	files := map[string][]byte{OutcomeFile: outcome(t, Outcome{Exit: 3, Message: "base does not compile", Shard: "1/1"})}
	got, err := ReadZip(one, packed(t, files))
	if err != nil || got.Bundle != nil || got.Outcome.Message != "base does not compile" {
		t.Errorf("got %+v, %v", got, err)
	}
}

// zeros is a reader of n zero bytes: a bomb of a few kilobytes.
func zeros(name string, n int64) func(*zip.Writer) error {
	return func(w *zip.Writer) error {
		f, err := w.Create(name)
		if err == nil {
			_, err = io.Copy(f, io.LimitReader(zero{}, n))
		}
		return err
	}
}

type zero struct{}

func (zero) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestReadZipRefuses(t *testing.T) {
	link := zip.FileHeader{Name: "bundle/link"}
	link.SetMode(fs.ModeSymlink | 0o777)
	device := zip.FileHeader{Name: "bundle/device"}
	device.SetMode(fs.ModeDevice | 0o666)
	folder := zip.FileHeader{Name: "bundle/x"}
	folder.SetMode(fs.ModeDir | 0o777)
	header := func(h zip.FileHeader) func(*zip.Writer) error { return raw(h, "") }
	text := func(h zip.FileHeader) func(*zip.Writer) error { return raw(h, "text") }
	const textSum = 0x3fd60a6a // of another text
	tests := []struct {
		name string
		add  func(*zip.Writer) error
		want string
	}{
		{"bomb", zeros("bundle/bomb", FileBytesMax+1), "a file may have 67108864 bytes"},
		{"bombs", func(w *zip.Writer) error {
			for i := range 3 {
				if err := zeros(fmt.Sprintf("bundle/%d", i), FileBytesMax/3*2+1<<20)(w); err != nil {
					return err
				}
			}
			return nil
		}, "all files together 134217728"},
		{"100,000 entries", func(w *zip.Writer) error {
			for i := range 100_000 {
				if err := header(zip.FileHeader{Name: fmt.Sprint(i)})(w); err != nil {
					return err
				}
			}
			return nil
		}, "no zip archive of one piece"}, // their number does not fit the plain form
		{"a few too many entries", func(w *zip.Writer) error {
			for i := range EntriesMax {
				if err := header(zip.FileHeader{Name: fmt.Sprint(i)})(w); err != nil {
					return err
				}
			}
			return nil
		}, "at most 4096 are read"},
		{"parent folder", put("../x", ""), `"../x" is no path inside`},
		{"parent in the middle", put("bundle/../../x", ""), "is no path inside"},
		{"absolute", put("/etc/passwd", ""), `"/etc/passwd" is no path inside`},
		{"drive", put("C:/x", ""), "is no path inside"},
		{"backslash", put(`..\x`, ""), "is no path inside"},
		{"empty element", put("bundle//x", ""), "is no path inside"},
		{"empty name", put("", ""), "is no path inside"},
		{"dot", put(".", ""), "is no path inside"},
		{"line break", put("bundle/x\ny", ""), "control characters"},
		{"no UTF-8", raw(zip.FileHeader{Name: "bundle/\xff", NonUTF8: true}, ""), "no UTF-8"},
		{"long name", put("bundle/"+strings.Repeat("x", NameBytesMax), ""), "a name of 519 bytes"},
		{"deep", put(strings.Repeat("a/", NameDepthMax)+"x", ""), "deeper than 8"},
		{"link", header(link), "neither a file nor a folder"},
		{"device", header(device), "neither a file nor a folder"},
		{"folder without its slash", header(folder), "neither a file nor a folder"},
		{"folder with content", header(zip.FileHeader{Name: "bundle/x/", UncompressedSize64: 4, CompressedSize64: 4}), "a folder of 4 bytes"},
		{"twice", put(OutcomeFile, ""), `"outcome.json" is in it twice`},
		{"twice but for case", put("Outcome.JSON", ""), "differ in case only"},
		{"folder twice but for case", put("BUNDLE/x", ""), "differ in case only"},
		{"twice but for another K", func(w *zip.Writer) error {
			if err := put("bundle/k", "")(w); err != nil {
				return err
			}
			return put("bundle/\u212a", "")(w) // the sign of kelvin
		}, "differ in case only"},
		{"file in a file", put("outcome.json/x", ""), "is a file and a folder"},
		{"file where a folder is", put("bundle", ""), "is a file and a folder"},
		{"encrypted", text(zip.FileHeader{Name: "x", Flags: 1, UncompressedSize64: 4, CompressedSize64: 4}), "encrypted"},
		{"strongly encrypted", text(zip.FileHeader{Name: "x", Flags: 1 << 6, UncompressedSize64: 4, CompressedSize64: 4}), "encrypted"},
		{"another method", text(zip.FileHeader{Name: "x", Method: 14, UncompressedSize64: 4, CompressedSize64: 4}), "method 14"},
		{"size too large", text(zip.FileHeader{Name: "x", UncompressedSize64: 5, CompressedSize64: 4}), "unexpected EOF"},
		{"size too small", text(zip.FileHeader{Name: "x", UncompressedSize64: 3, CompressedSize64: 4}), "not a valid zip file"},
		{"beyond the archive", text(zip.FileHeader{Name: "x", UncompressedSize64: 1 << 30, CompressedSize64: 1 << 30}), "EOF"},
		{"wrong sum", text(zip.FileHeader{Name: "x", CRC32: textSum + 1, UncompressedSize64: 4, CompressedSize64: 4}), "checksum error"},
		{"no sum", text(zip.FileHeader{Name: "x", UncompressedSize64: 4, CompressedSize64: 4}), "not the one that the archive says"},
		{"damaged stream", text(zip.FileHeader{Name: "x", Method: zip.Deflate, UncompressedSize64: 4, CompressedSize64: 4}), `"x": `},
		{"stranger", put("README.md", ""), `"README.md" does not belong`},
		{"stranger in the bundle", put("bundle/README.md", ""), "README.md does not belong"},
		{"comment", func(w *zip.Writer) error { return w.SetComment("hello") }, "without a comment"},
	}
	files := results(t, bundle(1, 0))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ReadZip(one, packed(t, files, tt.add))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %+v, %v, want %q", got.Outcome, err, tt.want)
			}
			if err != nil && strings.ContainsAny(err.Error(), "\n\x1b") {
				t.Errorf("the error is more than a line: %q", err)
			}
		})
	}
}

func TestReadZipRefusesWhatIsNoArchiveOfOnePiece(t *testing.T) {
	sound := packed(t, results(t, bundle(1, 0)))
	rename := bytes.Replace(sound, []byte("outcome.json"), []byte("outcomf.json"), 1) // the local header comes first
	for name, data := range map[string][]byte{
		"nothing":                {},
		"text":                   []byte("<html>no artifact here</html>"),
		"cut":                    sound[:len(sound)-1],
		"something behind":       append(slices.Clone(sound), 0),
		"something ahead":        append([]byte("#!/bin/sh\n"), sound...),
		"another name in place":  rename,
		"larger than a download": make([]byte, ZipBytesMax+1),
	} {
		if _, err := ReadZip(one, data); err == nil {
			t.Errorf("%s: read", name)
		}
	}
}

// Whatever is done to an archive, it is refused or says the same.
func TestDamagedArchivesNeverReadAsOthers(t *testing.T) {
	sound := packed(t, results(t, bundle(1, 0)))
	want, err := ReadZip(one, sound)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(7, 8))
	refused := 0
	for i := range 3000 {
		data := slices.Clone(sound)
		at := rng.IntN(len(data))
		switch i % 3 {
		case 0:
			data[at] ^= 1 << rng.IntN(8)
		case 1:
			data = data[:at]
		case 2:
			data = slices.Insert(data, at, data[rng.IntN(len(data))])
		}
		switch got, err := ReadZip(one, data); {
		case err != nil:
			refused++
		case !reflect.DeepEqual(got, want):
			t.Fatalf("damage %d at %d: reads as %+v", i, at, got)
		}
	}
	if refused < 2000 {
		t.Errorf("%d refused: cutting and inserting must always be", refused)
	}
}

func TestOutcomeIsReadStrictly(t *testing.T) {
	const sound = `{"schema":1,"exit":3,"message":"a\nb","shard":"1/2"}`
	if o, err := DecodeOutcome([]byte(" " + sound + "\n")); err != nil || o != (Outcome{1, 3, "a\nb", "1/2"}) {
		t.Fatalf("got %+v, %v", o, err)
	}
	for name, edit := range map[string][2]string{
		"unknown key":       {`"exit":3`, `"exit":3,"pr":7`},
		"key twice":         {`"exit":3`, `"exit":0,"exit":3`},
		"another case":      {`"exit":3`, `"Exit":3`},
		"key missing":       {`"exit":3,`, ``},
		"another schema":    {`"schema":1`, `"schema":2`},
		"no such exit":      {`"exit":3`, `"exit":4`},
		"negative":          {`"exit":3`, `"exit":-1`},
		"fraction":          {`"exit":3`, `"exit":3.0`},
		"exponent":          {`"exit":3`, `"exit":3e0`},
		"huge":              {`"exit":3`, `"exit":1e999`},
		"null":              {`"exit":3`, `"exit":null`},
		"text for a number": {`"exit":3`, `"exit":"3"`},
		"number for a text": {`"a\nb"`, `7`},
		"object for a text": {`"a\nb"`, `{"a":"b"}`},
		"deep":              {`"a\nb"`, strings.Repeat("[", 10_000)},
		"no UTF-8":          {`"a\nb"`, "\"\xff\""},
		"long message":      {`"a\nb"`, `"` + strings.Repeat("x", MessageBytesMax+1) + `"`},
		"10 MB message":     {`"a\nb"`, `"` + strings.Repeat("x", 10<<20) + `"`},
		"long shard":        {`"1/2"`, `"1/2000000000"`},
		"something follows": {`"1/2"}`, `"1/2"}{}`},
		"ends early":        {`"1/2"}`, `"1/2"`},
		"a list":            {sound, `[` + sound + `]`},
		"nothing":           {sound, ``},
	} {
		text := strings.Replace(sound, edit[0], edit[1], 1)
		if text == sound {
			t.Fatalf("%s changes nothing", name)
		}
		if o, err := DecodeOutcome([]byte(text)); err == nil {
			t.Errorf("%s: read as %+v", name, o)
		}
	}
}

func TestEncodedOutcomeIsReadBack(t *testing.T) {
	long := Outcome{Exit: 2, Message: strings.Repeat("ä", MessageBytesMax) + "\xff", Shard: "2/2"}
	got, err := DecodeOutcome(outcome(t, long))
	if err != nil || got.Exit != 2 || got.Shard != "2/2" || !strings.HasSuffix(got.Message, "ä…") {
		t.Errorf("got exit %d, shard %s, %d bytes, %v", got.Exit, got.Shard, len(got.Message), err)
	}
	if _, err := EncodeOutcome(Outcome{Exit: 5}); err == nil {
		t.Error("an exit code that does not exist was written")
	}
}

func FuzzReadZip(f *testing.F) {
	f.Add(packed(f, results(f, bundle(1, 0))))
	f.Add(packed(f, map[string][]byte{OutcomeFile: outcome(f, Outcome{Exit: 3, Message: "x", Shard: "1/1"})}))
	f.Add([]byte("PK\x05\x06" + strings.Repeat("\x00", 18)))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := ReadZip(one, data)
		if err != nil {
			return
		}
		again, err := EncodeOutcome(s.Outcome)
		if err != nil {
			t.Fatalf("read an outcome that cannot be written: %v", err)
		}
		if back, err := DecodeOutcome(again); err != nil || back != s.Outcome {
			t.Fatalf("read %+v, written and read %+v, %v", s.Outcome, back, err)
		}
		if s.Bundle == nil {
			return
		}
		if files, err := recording.Encode(*s.Bundle); err != nil || recording.HashFiles(files) != s.Hash {
			t.Fatalf("read a bundle that is written otherwise: %v", err)
		}
	})
}

// FuzzReadBundleInZip builds the archive around files that the fuzzer makes, so
// that it gets past the archive's own checks.
func FuzzReadBundleInZip(f *testing.F) {
	files := results(f, bundle(1, 0))
	f.Add(files["bundle/manifest.json"], files["bundle/samples/base.txt"], files[OutcomeFile])
	f.Fuzz(func(t *testing.T, manifest, base, end []byte) {
		edited := maps.Clone(files)
		edited["bundle/manifest.json"], edited["bundle/samples/base.txt"], edited[OutcomeFile] = manifest, base, end
		s, err := ReadZip(one, packed(t, edited))
		if err == nil && !bytes.Equal(base, files["bundle/samples/base.txt"]) {
			t.Fatalf("samples were read whose hash cannot be in the manifest: %+v", s.Outcome)
		}
	})
}
