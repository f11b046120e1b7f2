package repo

import (
	"slices"
	"strings"
)

// secrets begin the entries that hold credentials of the store of baselines, the
// tokens that a workflow's runner hands to some steps, and the names of the files
// through which a step tells its runner what to set for the next.
var secrets = []string{
	"AWS_",
	"ACTIONS_",
	"GITHUB_ENV=", "GITHUB_OUTPUT=", "GITHUB_PATH=", "GITHUB_STATE=", "GITHUB_STEP_SUMMARY=",
}

// WithoutSecrets is an environment for a child process: without credentials that
// nothing which handles the code under test needs. A token for private modules
// stays, since the go command and git may need it.
func WithoutSecrets(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(entry string) bool {
		return slices.ContainsFunc(secrets, func(prefix string) bool { return strings.HasPrefix(entry, prefix) })
	})
}
