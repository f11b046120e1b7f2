// Package config reads perfgate.yml, strictly, into validated settings. Its
// opinion is that a policy which is half understood is worse than none: every
// mistake is an error that names its line and what to write instead.
package config
