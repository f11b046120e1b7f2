package actions

import (
	"fmt"
	"strconv"
)

// Runner is what the runner tells a step about itself. Its zero value is no
// runner: outputs, summaries and annotations then go nowhere.
type Runner struct {
	// On: the process is a step of a job.
	On bool
	// APIURL and ServerURL are those of this GitHub, also on an enterprise server.
	APIURL, ServerURL string
	Repository        string // "owner/name"
	RunID             int64  // 0 where the runner gave none
	RunAttempt        int    // from 1; 0 where the runner gave none
	Temp              string // a folder that is emptied with each job

	eventName, eventPath    string
	outputPath, summaryPath string
}

// New reads the environment. Numbers that are none are left at zero: only what a
// command needs is missed, and by that command.
func New(getenv func(string) string) Runner {
	r := Runner{
		On:     getenv("GITHUB_ACTIONS") == "true",
		APIURL: getenv("GITHUB_API_URL"), ServerURL: getenv("GITHUB_SERVER_URL"), Repository: getenv("GITHUB_REPOSITORY"),
		Temp:      getenv("RUNNER_TEMP"),
		eventName: getenv("GITHUB_EVENT_NAME"), eventPath: getenv("GITHUB_EVENT_PATH"),
		outputPath: getenv("GITHUB_OUTPUT"), summaryPath: getenv("GITHUB_STEP_SUMMARY"),
	}
	if !r.On {
		return Runner{}
	}
	r.RunID, _ = strconv.ParseInt(getenv("GITHUB_RUN_ID"), 10, 64)
	r.RunAttempt, _ = strconv.Atoi(getenv("GITHUB_RUN_ATTEMPT"))
	return r
}

// RunURL is the page of this run, or empty where the runner did not say.
func (r Runner) RunURL() string {
	if r.ServerURL == "" || r.Repository == "" || r.RunID == 0 {
		return ""
	}
	return fmt.Sprintf("%s/%s/actions/runs/%d", r.ServerURL, r.Repository, r.RunID)
}
