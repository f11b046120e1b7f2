package report

// NoticeMarkdown is what a job summary says where there is nothing to report: a
// headline of the program's own, and a reason that may quote what others wrote.
func NoticeMarkdown(headline, reason string) string {
	return "### perfgate: " + headline + "\n\nReason: " + eachLine(reason, code, "<br>") + "\n"
}
