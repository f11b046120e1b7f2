package repo

import (
	"slices"
	"testing"
)

func TestGitGetsNoCredentialsOfTheStoreAndTheRunner(t *testing.T) {
	for _, name := range []string{
		"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_WEB_IDENTITY_TOKEN_FILE",
		"ACTIONS_RUNTIME_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "GITHUB_ENV", "GITHUB_OUTPUT", "GITHUB_PATH", "GITHUB_STEP_SUMMARY",
	} {
		t.Setenv(name, "hush")
	}
	t.Setenv("GIT_AUTHOR_NAME", "kept")
	env := callersEnv()
	if slices.ContainsFunc(env, func(entry string) bool { return entry[max(0, len(entry)-4):] == "hush" }) {
		t.Error("git is given a credential")
	}
	if !slices.Contains(env, "GIT_AUTHOR_NAME=kept") {
		t.Error("git is not given what it needs")
	}
}
