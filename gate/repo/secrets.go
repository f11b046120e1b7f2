package repo

import (
	"slices"
	"strings"
)

// secrets begin the names of variables that hold credentials of the store of
// baselines.
var secrets = []string{"AWS_"}

// WithoutSecrets is an environment for a child process: without the
// credentials of the store of baselines, which nothing that handles the code
// under test needs.
func WithoutSecrets(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(entry string) bool {
		return slices.ContainsFunc(secrets, func(prefix string) bool { return strings.HasPrefix(entry, prefix) })
	})
}
