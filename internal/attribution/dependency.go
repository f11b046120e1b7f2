package main

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// serve puts the edited dependency into a module proxy in a folder, as a version
// just above the one it comes from, and gives the environment in which the go
// command asks there first. It keeps a module cache of its own: the user's must not
// hold a version that nobody has released. The user's cache is asked as a proxy, so
// that nothing is downloaded twice.
func serve(ctx context.Context, work string, u *Upstream) ([]string, error) {
	from, err := download(ctx, u.Module, u.Version)
	if err != nil {
		return nil, err
	}
	version, err := u.slower()
	if err != nil {
		return nil, err
	}
	edited := filepath.Join(work, "dependency")
	if err := copyModule(edited, from); err != nil {
		return nil, err
	}
	changed, err := applyEdits(os.DirFS(edited), u.Edits)
	if err != nil {
		return nil, fmt.Errorf("dependency: %w", err)
	}
	if err := writeFiles(edited, changed); err != nil {
		return nil, err
	}
	proxy := filepath.Join(work, "proxy")
	if err := publish(proxy, u.Module, version, edited); err != nil {
		return nil, fmt.Errorf("serving %s %s: %w", u.Module, version, err)
	}
	out, err := runIn(ctx, os.TempDir(), []string{"GOWORK=off"}, "go", "env", "-json", "GOMODCACHE", "GOPROXY", "GONOSUMDB", "GOFLAGS")
	if err != nil {
		return nil, err
	}
	var now struct{ GOMODCACHE, GOPROXY, GONOSUMDB, GOFLAGS string }
	if err := json.Unmarshal([]byte(out), &now); err != nil {
		return nil, err
	}
	cached := filepath.ToSlash(filepath.Join(now.GOMODCACHE, "cache", "download"))
	return []string{
		"GOMODCACHE=" + filepath.Join(work, "modules"),
		"GOPROXY=file://" + filepath.ToSlash(proxy) + ",file://" + cached + "," + now.GOPROXY,
		"GONOSUMDB=" + strings.TrimPrefix(now.GONOSUMDB+","+u.Module, ","),
		// So that the folder can be removed.
		"GOFLAGS=" + strings.TrimSpace(now.GOFLAGS+" -modcacherw"),
	}, nil
}

var version = regexp.MustCompile(`^v(\d+)\.(\d+)\.(\d+)(-[0-9A-Za-z.-]+)?$`)

// slower is the version of the edited module: above the one it comes from, before
// the next release, and with a hash of the edits, so that no two contents have one
// name.
func (u *Upstream) slower() (string, error) {
	m := version.FindStringSubmatch(u.Version)
	if m == nil {
		return "", fmt.Errorf("dependency: version %s is none such as v1.2.3", u.Version)
	}
	patch, err := strconv.Atoi(m[3])
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(u)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return fmt.Sprintf("v%s.%s.%d-slower.h%s", m[1], m[2], patch+1, hex.EncodeToString(sum[:4])), nil
}

// publish writes the files that a module proxy serves for one version:
// https://go.dev/ref/mod#goproxy-protocol.
func publish(proxy, module, version, dir string) (err error) {
	at := filepath.Join(proxy, filepath.FromSlash(escaped(module)), "@v")
	if err := os.MkdirAll(at, 0o755); err != nil {
		return err
	}
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if nilIfAbsent(err) != nil {
		return err
	}
	if err != nil { // a module from before there were any
		mod = []byte("module " + module + "\n")
	}
	info, err := json.Marshal(map[string]any{"Version": version, "Time": time.Unix(0, 0).UTC()})
	if err != nil {
		return err
	}
	if err := writeFiles(at, map[string][]byte{"list": []byte(version + "\n"), version + ".info": info, version + ".mod": mod}); err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(at, version+".zip"))
	if err != nil {
		return err
	}
	defer func() {
		if e := f.Close(); err == nil {
			err = e
		}
	}()
	return zipModule(f, module+"@"+version, dir)
}

// zipModule packs a folder below a prefix.
func zipModule(f *os.File, prefix, dir string) error {
	z := zip.NewWriter(f)
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		if err != nil {
			return err
		}
		w, err := z.Create(path.Join(prefix, name))
		if err != nil {
			return err
		}
		_, err = w.Write(text)
		return err
	})
	if err != nil {
		return err
	}
	return z.Close()
}

// escaped is a module's path in a proxy: "!a" for "A".
func escaped(module string) string {
	var b strings.Builder
	for _, r := range module {
		if unicode.IsUpper(r) {
			b.WriteByte('!')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// require lets the module at dir require the slower version, and completes go.sum
// for the packages that are measured.
func require(ctx context.Context, dir string, in *Injection, env []string) error {
	version, err := in.Dependency.slower()
	if err != nil {
		return err
	}
	if _, err := runIn(ctx, dir, env, "go", "mod", "edit", "-require="+in.Dependency.Module+"@"+version); err != nil {
		return err
	}
	_, err = runIn(ctx, dir, env, "go", append([]string{"list", "-mod=mod", "-deps", "-test"}, in.Packages...)...)
	return err
}
