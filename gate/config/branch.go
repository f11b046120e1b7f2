package config

import (
	"fmt"
	"regexp"
	"strings"
)

// branchPrefix begins a place of baselines that is a branch of the repository.
const branchPrefix = "branch:"

// DefaultBranch is the branch for baselines where somebody wants one and has no
// name for it.
const DefaultBranch = "perfgate-baselines"

// branchName is narrower than git's rules: what a shell, a URL or a command line
// would read otherwise has no business in it.
var branchName = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_-])?(/[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_-])?)*$`)

const branchBytesMax = 200

// Branch gives the name where a place of baselines is a branch: branch:NAME.
func Branch(place string) (name string, isBranch bool, err error) {
	name, isBranch = strings.CutPrefix(place, branchPrefix)
	if isBranch && (!branchName.MatchString(name) || strings.Contains(name, "..") || strings.HasSuffix(name, ".lock") || len(name) > branchBytesMax) {
		err = fmt.Errorf("baseline %q: write branch:NAME with a name of letters, digits, dots, hyphens and slashes, such as branch:%s", place, DefaultBranch)
	}
	return name, isBranch, err
}
