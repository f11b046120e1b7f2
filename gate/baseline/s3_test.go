package baseline

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// s3Program is a server that speaks S3 over a folder: `go build -C tools/s3`
// makes it, and .ci/run puts it on the PATH.
const s3Program = "versitygw"

// What every request of the tests is signed with.
const s3User, s3Secret = "tester", "a-secret-of-the-tests"

// TestAgainstAnS3Server runs what every object store has to do against a real
// server on the loopback interface.
func TestAgainstAnS3Server(t *testing.T) {
	program, err := exec.LookPath(s3Program)
	if err != nil {
		if os.Getenv("REQUIRE_ALL") != "" {
			t.Fatal("REQUIRE_ALL is set and this machine has no ", s3Program)
		}
		t.Skip("this machine has no ", s3Program)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", s3User)
	t.Setenv("AWS_SECRET_ACCESS_KEY", s3Secret)
	endpoint, root := serveS3(t, program)
	buckets := 0
	open := func(t *testing.T) *objects {
		buckets++
		name := fmt.Sprintf("bucket%d", buckets)
		if err := os.Mkdir(filepath.Join(root, name), 0o755); err != nil {
			t.Fatal(err)
		}
		return openAt(t, endpoint, name)
	}
	t.Run("keeps the chain", func(t *testing.T) { keepsTheChain(t, open(t)) })
	t.Run("recorders at once follow each other", func(t *testing.T) { followEachOther(t, open(t), 5) })
	t.Run("a recorder dies between any two writes", func(t *testing.T) { diesBetweenAnyTwoWrites(t, open) })
	t.Run("pruning", func(t *testing.T) { prunes(t, open(t)) })
	t.Run("an absent bucket is unreachable", func(t *testing.T) {
		if _, err := openAt(t, endpoint, "absent").Load(t.Context(), "smoke", "c0ffee"); !isUnreachable(err) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("the wrong secret is unreachable and not shown", func(t *testing.T) {
		t.Setenv("AWS_SECRET_ACCESS_KEY", "a-wrong-secret")
		_, err := openAt(t, endpoint, "bucket1").Load(t.Context(), "smoke", "c0ffee")
		if !isUnreachable(err) || strings.Contains(err.Error(), "a-wrong-secret") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("credentials come from no file", func(t *testing.T) {
		home := t.TempDir()
		text := "[default]\naws_access_key_id = " + s3User + "\naws_secret_access_key = " + s3Secret + "\n"
		if err := os.MkdirAll(filepath.Join(home, ".aws"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(home, ".aws", "credentials"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Setenv("HOME", home)
		for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} {
			t.Setenv(name, "")
		}
		if _, err := openAt(t, endpoint, "bucket1").Load(t.Context(), "smoke", "c0ffee"); !isUnreachable(err) {
			t.Errorf("error %v", err)
		}
	})
}

func openAt(t *testing.T, endpoint, bucket string) *objects {
	t.Helper()
	query := url.Values{"region": {"us-east-1"}, "endpoint": {endpoint}, "use_path_style": {"true"}}
	s, err := OpenURL(t.Context(), "s3://"+bucket+"/below/here?"+query.Encode())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s.(*objects)
}

// serveS3 starts the server over an empty folder and waits until it answers.
func serveS3(t *testing.T, program string) (endpoint, root string) {
	t.Helper()
	root = t.TempDir()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	ctx, stop := context.WithCancel(context.Background())
	server := exec.CommandContext(ctx, program, "--quiet", "--port", address, "--access", s3User, "--secret", s3Secret,
		"posix", "--sidecar", t.TempDir(), root)
	var out strings.Builder
	server.Stdout, server.Stderr = &out, &out
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = server.Wait(); close(ended) }()
	t.Cleanup(func() { stop(); <-ended })
	for {
		response, err := http.Get("http://" + address)
		if err == nil {
			response.Body.Close()
			return "http://" + address, root
		}
		select {
		case <-ended:
			t.Fatalf("the server ended: %s", out.String())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func TestFilesInAFolderAreABucketToo(t *testing.T) {
	open := func(t *testing.T) *objects {
		s, err := OpenURL(t.Context(), "file://"+filepath.ToSlash(t.TempDir()))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s.(*objects)
	}
	t.Run("keeps the chain", func(t *testing.T) { keepsTheChain(t, open(t)) })
	t.Run("recorders at once follow each other", func(t *testing.T) { followEachOther(t, open(t), 5) })
	t.Run("pruning", func(t *testing.T) { prunes(t, open(t)) })
}

func TestWhatIsNoStoreIsRefusedWithoutItsSecrets(t *testing.T) {
	for place, want := range map[string]string{
		"gs://bucket":                        "s3:// and file:// are known",
		"https://example.org/x":              "s3:// and file:// are known",
		"s3://id:hush@bucket":                "credentials do not belong",
		"s3://":                              "no bucket",
		"s3://bucket?profile=root":           "region, endpoint and use_path_style are known",
		"s3://bucket?region=a&region=b":      "each once",
		"s3://bucket?use_path_style=yes":     "want true or false",
		"s3://bucket?endpoint=ftp://example": "want a URL such as https://s3.example.org",
		"s3://bucket?endpoint=http://a:b@c":  "want a URL such as https://s3.example.org",
		"file://host/folder":                 "an absolute path",
		"file:///folder?x=1":                 "an absolute path",
	} {
		_, err := OpenURL(t.Context(), place)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: error %v, want one naming %q", place, err, want)
		}
	}
	if _, err := OpenURL(t.Context(), "file:///no/such/folder"); !isUnreachable(err) {
		t.Errorf("an absent folder: error %v", err)
	}
}
