package githubtest

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

const defaultPerPage = 30

// paged cuts one page out of a list and links to its neighbours.
func paged[T any](c *call, all []T) []T {
	query := c.r.URL.Query()
	size := number(query.Get("per_page"), defaultPerPage)
	size = min(size, c.MaxPerPage)
	page := number(query.Get("page"), 1)
	last := max(1, (len(all)+size-1)/size)
	var links []string
	link := func(rel string, to int) {
		q := url.Values{"page": {fmt.Sprint(to)}}
		for name, values := range query { // maprange: url.Values orders what it encodes
			if name != "page" {
				q[name] = values
			}
		}
		links = append(links, fmt.Sprintf(`<%s%s?%s>; rel="%s"`, c.URL, c.r.URL.Path, q.Encode(), rel))
	}
	if page > 1 {
		link("prev", page-1)
		link("first", 1)
	}
	if page < last {
		link("next", page+1)
		link("last", last)
	}
	if len(links) > 0 {
		c.w.Header().Set("Link", strings.Join(links, ", "))
	}
	from := min(len(all), (page-1)*size)
	return append([]T{}, all[from:min(len(all), from+size)]...)
}

func number(s string, otherwise int) int {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		return otherwise
	}
	return n
}
