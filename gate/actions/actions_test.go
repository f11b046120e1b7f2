package actions

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// newRunner is a runner whose files are in a folder of the test.
func newRunner(t *testing.T, env map[string]string) Runner {
	t.Helper()
	all := map[string]string{
		"GITHUB_ACTIONS": "true", "GITHUB_OUTPUT": filepath.Join(t.TempDir(), "output"),
		"GITHUB_STEP_SUMMARY": filepath.Join(t.TempDir(), "summary"),
	}
	for name, value := range env {
		all[name] = value
	}
	return New(func(name string) string { return all[name] })
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// outputs reads a file of outputs as the runner does: NAME<<DELIMITER, lines, and
// the delimiter alone on a line; or NAME=VALUE.
func outputs(t *testing.T, text string) map[string]string {
	t.Helper()
	got := map[string]string{}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		if name, delimiter, ok := strings.Cut(lines[i], "<<"); ok {
			var value []string
			for i++; i < len(lines) && lines[i] != delimiter; i++ {
				value = append(value, lines[i])
			}
			if i == len(lines) {
				t.Fatalf("the delimiter of %s does not come again in %q", name, text)
			}
			got[name] = strings.Join(value, "\n")
			continue
		}
		name, value, ok := strings.Cut(lines[i], "=")
		if !ok {
			t.Fatalf("line %q is no output in %q", lines[i], text)
		}
		got[name] = value
	}
	return got
}

func TestAnOutputsValueCannotSetAnother(t *testing.T) {
	for _, value := range []string{
		"", "no change", "two\nlines", "x\nverdict=passed", "x\nEOF\nverdict<<EOF\npassed\nEOF", "x\r\nverdict=passed\r\n",
		"verdict<<x", "\n\n", "perfgate-\nverdict=passed", "bad \xff byte",
	} {
		r := newRunner(t, nil)
		if err := r.SetOutput("verdict", "regressed"); err != nil {
			t.Fatal(err)
		}
		if err := r.SetOutput("result-path", value); err != nil {
			t.Fatal(err)
		}
		got := outputs(t, read(t, r.outputPath))
		if len(got) != 2 || got["verdict"] != "regressed" {
			t.Errorf("value %q makes the outputs %q", value, got)
		}
		if want := strings.ToValidUTF8(value, "\uFFFD"); got["result-path"] != want {
			t.Errorf("value %q arrives as %q", value, got["result-path"])
		}
	}
}

func TestEachOutputHasADelimiterOfItsOwn(t *testing.T) {
	r := newRunner(t, nil)
	for range 2 {
		if err := r.SetOutput("verdict", "passed"); err != nil {
			t.Fatal(err)
		}
	}
	lines := strings.Split(read(t, r.outputPath), "\n")
	if lines[0] == lines[3] {
		t.Errorf("two outputs share the delimiter of %q", lines[0])
	}
}

func TestASummaryStaysBelowTheLimit(t *testing.T) {
	r := newRunner(t, nil)
	row := strings.Repeat("😀", 25) + "\n" // 101 bytes: no multiple of any limit
	for range 3 {
		if err := r.AddSummary(strings.Repeat(row, 6000)); err != nil {
			t.Fatal(err)
		}
	}
	text := read(t, r.summaryPath)
	if len(text) > 1<<20 {
		t.Errorf("the summary has %d bytes", len(text))
	}
	if !strings.Contains(text, "too long for a job summary") {
		t.Error("nothing says that the summary was cut")
	}
	for i, line := range strings.Split(strings.Split(text, summaryCut)[0], "\n") {
		if line != "" && line != strings.TrimSuffix(row, "\n") {
			t.Fatalf("line %d is cut: %q", i+1, line)
		}
	}
}

func TestOutsideARunnerNothingIsWritten(t *testing.T) {
	r := New(func(name string) string {
		return map[string]string{"GITHUB_OUTPUT": filepath.Join(t.TempDir(), "no", "folder")}[name]
	})
	if r.On || r.SetOutput("verdict", "passed") != nil || r.AddSummary("text") != nil || r.RunURL() != "" {
		t.Errorf("a process that is no step of a job acts as one: %+v", r)
	}
}

func TestTheRunsPageIsOnThisServer(t *testing.T) {
	r := newRunner(t, map[string]string{"GITHUB_SERVER_URL": "https://github.example.org", "GITHUB_REPOSITORY": "shop/cart", "GITHUB_RUN_ID": "42", "GITHUB_RUN_ATTEMPT": "3"})
	if got, want := r.RunURL(), "https://github.example.org/shop/cart/actions/runs/42"; got != want || r.RunAttempt != 3 {
		t.Errorf("the page is %s, attempt %d, want %s", got, r.RunAttempt, want)
	}
}

func TestAnAnnotationIsOneCommand(t *testing.T) {
	var out strings.Builder
	err := Annotate(&out, []Annotation{{
		Path: "a,b:c\n::error::x.go", Line: 7, Title: "Sum: 50% slower,\nreally", Message: "first\n::set-output name=verdict::passed\r##[warning]\u202e100%"}})
	if err != nil {
		t.Fatal(err)
	}
	want := "::warning file=a%2Cb%3Ac%0A%3A%3Aerror%3A%3Ax.go,line=7,title=Sum%3A 50%25 slower%2C%0Areally::" +
		"first%0A::set-output name=verdict::passed\uFFFD##[warning]\uFFFD100%25\n"
	if out.String() != want {
		t.Errorf("the command is\n%q, want\n%q", out.String(), want)
	}
}

func TestAtMostTenAnnotationsAreShown(t *testing.T) {
	var out strings.Builder
	if err := Annotate(&out, make([]Annotation, 25)); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "\n"); n != 10 {
		t.Errorf("%d annotations are shown", n)
	}
}

// commands reads a log as the runner does: between ::stop-commands::TOKEN and
// ::TOKEN:: no line is a command.
func commands(log string) []string {
	var found []string
	stopped := ""
	for _, line := range strings.Split(log, "\n") {
		trimmed := strings.TrimLeft(line, " \t")
		switch {
		case stopped != "" && trimmed == "::"+stopped+"::":
			stopped = ""
		case stopped != "":
		case strings.HasPrefix(trimmed, "::stop-commands::"):
			stopped = strings.TrimPrefix(trimmed, "::stop-commands::")
		case strings.HasPrefix(trimmed, "::") || strings.Contains(line, "##["):
			found = append(found, line)
		}
	}
	return found
}

func TestNothingWithinAFenceIsACommand(t *testing.T) {
	for _, hostile := range []string{
		"::set-env name=PATH::/tmp\n", "  ::error::x\n", "##[add-path]/tmp\n", "::stop-commands::mine\n::mine::\n::error::x\n",
		"::stop-commands::\n::::\n::error::x\n", "no line end", "::perfgate-::\n::error::x",
	} {
		var log strings.Builder
		fence, err := NewFence(&log)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fence.Write([]byte(hostile)); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := fence.Close(); err != nil {
				t.Fatal(err)
			}
		}
		log.WriteString("::warning::ours\n")
		if got := commands(log.String()); len(got) != 1 || got[0] != "::warning::ours" {
			t.Errorf("of %q the runner takes the commands %q", log.String(), got)
		}
	}
}

func TestEachFenceHasATokenOfItsOwn(t *testing.T) {
	var first, second strings.Builder
	for _, log := range []*strings.Builder{&first, &second} {
		if _, err := NewFence(log); err != nil {
			t.Fatal(err)
		}
	}
	if first.String() == second.String() {
		t.Errorf("two fences begin with %q", first.String())
	}
}
