package report

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// nameRunesMax bounds a name that is shown: the longest of this suite has about
// 80, and 200 leave a table readable.
const nameRunesMax = 200

// marksMax is how many combining marks may follow a letter. No script needs
// more, and a pile of them is drawn over the lines around it.
const marksMax = 4

// clean makes a string from the measured code safe to print: control, format
// (bidi, zero-width), invisible and unassigned characters, line breaks, strange
// spaces, piles of combining marks and invalid UTF-8 become U+FFFD, and what is
// too long is cut.
func clean(s string) string { return visible(clip(s, nameRunesMax)) }

// visible is clean for strings that must stay whole, such as a path that is to
// be copied.
func visible(s string) string {
	marks := 0
	return strings.Map(func(r rune) rune {
		if !unicode.Is(unicode.M, r) {
			marks = 0
		} else if marks++; marks > marksMax {
			return utf8.RuneError
		}
		if !unicode.IsGraphic(r) || invisible(r) || r != ' ' && unicode.Is(unicode.Zs, r) {
			return utf8.RuneError
		}
		return r
	}, s)
}

// shellWord quotes a path for a command that is to be copied into a shell.
func shellWord(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+:@%,", r)
	}
	if s != "" && strings.TrimFunc(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(visible(s), "'", `'\''`) + "'"
}

// invisible characters count as graphic in Unicode, but show nothing: variation
// selectors, Hangul fillers, the braille blank and the Khmer inherent vowels.
func invisible(r rune) bool {
	switch {
	case r >= 0xFE00 && r <= 0xFE0F, r >= 0xE0100 && r <= 0xE01EF, r >= 0x180B && r <= 0x180F:
		return true
	case r == 0x115F, r == 0x1160, r == 0x3164, r == 0xFFA0, r == 0x2800, r == 0x034F, r == 0x17B4, r == 0x17B5:
		return true
	}
	return false
}

// clip cuts a string after n characters.
func clip(s string, n int) string {
	count := 0
	for i := range s {
		if count == n {
			return s[:i] + "…"
		}
		count++
	}
	return s
}

// code puts a string into a code span of markdown, the only place where an
// untrusted string appears: fenced longer than any run of backticks inside. In a
// table it is to be a cell.
func code(s string) string { return span(clean(s)) }

// cell is code in a table, with the pipe escaped: a table is split before its
// code spans are read.
func cell(s string) string { return escapePipes(code(s)) }

// span is code of a string that is visible, and shown whole.
func span(s string) string {
	if s == "" {
		return "(none)"
	}
	longest, run := 0, 0
	for _, r := range s {
		if r == '`' {
			run++
			longest = max(longest, run)
		} else {
			run = 0
		}
	}
	fence := strings.Repeat("`", longest+1)
	if strings.HasPrefix(s, "`") || strings.HasSuffix(s, "`") || strings.TrimSpace(s) == "" {
		s = " " + s + " " // one space on each side is not part of the span
	}
	return fence + s + fence
}

// linesMax is how many lines of a text are shown.
const linesMax = 8

// eachLine shows a text of several lines, each by itself.
func eachLine(s string, show func(string) string, between string) string {
	all := strings.SplitN(strings.TrimSpace(s), "\n", linesMax+1)
	var shown []string
	for i, line := range all {
		if i == linesMax {
			shown = append(shown, fmt.Sprintf("and %s more", plural(strings.Count(line, "\n")+1, "line")))
			break
		}
		if line = strings.TrimRight(strings.ReplaceAll(line, "\t", "    "), " \r"); line != "" {
			shown = append(shown, show(line))
		}
	}
	if len(shown) == 0 {
		return show("")
	}
	return strings.Join(shown, between)
}

// escapePipes writes | as \|. A backslash that already stands before a pipe
// would pair with ours and set the pipe free, so it becomes U+FFFD.
func escapePipes(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && strings.HasPrefix(strings.TrimLeft(s[i:], `\`), "|"):
			b.WriteRune(utf8.RuneError)
		case s[i] == '|':
			b.WriteString(`\|`)
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String()
}
