// Package github talks to GitHub's REST API about one repository.
package github
