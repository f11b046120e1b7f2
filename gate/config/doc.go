// Package config reads perfgate.yml, strictly, into validated settings.
package config
