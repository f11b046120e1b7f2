package archtest

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestEveryLocalLinkInTheDocumentsResolves(t *testing.T) {
	docs := documents(t)
	if len(docs) == 0 {
		t.Fatal("no document was found")
	}
	for _, doc := range docs {
		for _, broken := range brokenLinks(doc) {
			t.Error(broken)
		}
	}
}

// documents are the pages at the root and everything below docs.
func documents(t *testing.T) []string {
	t.Helper()
	docs, err := filepath.Glob(filepath.Join(root, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(filepath.Join(root, "docs"), func(path string, d os.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".md" {
			docs = append(docs, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return docs
}

// link matches [text](target) and ![text](target "title").
var link = regexp.MustCompile(`\]\(([^)\s]+)(?:\s+"[^"]*")?\)`)

// brokenLinks names the links of a page to files, and to headings, that are not there.
func brokenLinks(doc string) []string {
	data, err := os.ReadFile(doc)
	if err != nil {
		return []string{err.Error()}
	}
	var broken []string
	for i, line := range proseLines(string(data)) {
		for _, match := range link.FindAllStringSubmatch(line, -1) {
			if why := resolve(doc, match[1]); why != "" {
				broken = append(broken, fmt.Sprintf("%s:%d: link to %s: %s", doc, i+1, match[1], why))
			}
		}
	}
	return broken
}

// proseLines blanks fenced blocks, so that line numbers stay.
func proseLines(text string) []string {
	lines := strings.Split(text, "\n")
	fenced := false
	for i, line := range lines {
		fence := strings.HasPrefix(strings.TrimSpace(line), "```")
		if fenced || fence {
			lines[i] = ""
		}
		if fence {
			fenced = !fenced
		}
	}
	return lines
}

func resolve(doc, target string) string {
	u, err := url.Parse(target)
	if err != nil {
		return err.Error()
	}
	if u.Scheme != "" {
		return "" // elsewhere
	}
	path := doc
	if u.Path != "" {
		path = filepath.Join(filepath.Dir(doc), filepath.FromSlash(u.Path))
	}
	data, err := os.ReadFile(path)
	switch info, statErr := os.Stat(path); {
	case statErr != nil:
		return "no such file"
	case u.Fragment == "" || info.IsDir():
		return ""
	case err != nil:
		return err.Error()
	}
	for _, line := range proseLines(string(data)) {
		if strings.HasPrefix(line, "#") && anchor(line) == u.Fragment {
			return ""
		}
	}
	return "no such heading"
}

// anchor is the name that a page on GitHub gives a heading.
func anchor(heading string) string {
	text := strings.ToLower(strings.TrimSpace(strings.TrimLeft(heading, "#")))
	kept := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(text, "")
	return strings.ReplaceAll(kept, " ", "-")
}

func TestBrokenLinksAreReported(t *testing.T) {
	dir := t.TempDir()
	page := "# Some `title`, here\n[a](other.md) [b](other.md#second-part) [c](#some-title-here) [d](https://example.com/x)\n" +
		"```\n[code](nowhere.md)\n```\n[gone](nowhere.md) [anchor](other.md#third) ![picture](gone.png \"title\")\n"
	for name, text := range map[string]string{"page.md": page, "other.md": "## Second part\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got := brokenLinks(filepath.Join(dir, "page.md"))
	expect(t, got, []string{"page.md:6: link to nowhere.md: no such file", "page.md:6: link to other.md#third: no such heading", "page.md:6: link to gone.png: no such file"})
}
