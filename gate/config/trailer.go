package config

import (
	"strings"
)

// Trailers gives the values of a trailer in a commit message, in their order, as
// `git interpret-trailers --parse` does: trailers are the last paragraph, which is
// not the first one, and either all of its lines are some, or a quarter of them
// with one that git itself writes. A value that goes on in an indented line is
// joined.
func Trailers(message, key string) []string {
	lines := lastParagraph(message)
	var values []string
	trailers, others, ofGit, ours := 0, 0, false, false
	for _, line := range lines {
		if line[0] == ' ' || line[0] == '\t' {
			if ours {
				values[len(values)-1] += " " + strings.TrimSpace(line)
			}
			continue
		}
		name, value, ok := trailer(line)
		ofGit = ofGit || strings.HasPrefix(line, "Signed-off-by: ") || strings.HasPrefix(line, "(cherry picked from commit ")
		if ours = ok && strings.EqualFold(name, key); ours {
			values = append(values, strings.TrimSpace(value))
		}
		if ok {
			trailers++
		} else {
			others++
		}
	}
	if others > 0 && (!ofGit || 3*trailers < others) {
		return nil
	}
	return values
}

// lastParagraph is empty where a message has one paragraph only, its title.
func lastParagraph(message string) []string {
	lines := strings.Split(strings.ReplaceAll(strings.TrimRight(message, " \t\r\n"), "\r\n", "\n"), "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		if strings.TrimSpace(lines[i]) == "" {
			return lines[i+1:]
		}
	}
	return nil
}

// trailer splits "Key: value". A key is letters, digits and hyphens.
func trailer(line string) (name, value string, ok bool) {
	name, value, ok = strings.Cut(line, ":")
	name = strings.TrimRight(name, " \t")
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-'
	}
	return name, value, ok && name != "" && strings.TrimFunc(name, plain) == ""
}
