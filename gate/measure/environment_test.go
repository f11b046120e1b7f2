package measure

import (
	"strings"
	"testing"
)

// credentials of a store of baselines, which the process that measures may
// hold and nothing that it starts may see.
// The last three may be meant for the go command, which fetches private modules.
var credentials = []string{
	"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_WEB_IDENTITY_TOKEN_FILE",
	"ACTIONS_RUNTIME_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "GITHUB_ENV", "GITHUB_OUTPUT", "GITHUB_PATH", "GITHUB_STATE", "GITHUB_STEP_SUMMARY",
	"GITHUB_TOKEN", "GH_TOKEN", "GOOGLE_APPLICATION_CREDENTIALS",
}

func TestABenchmarkSeesNoCredentials(t *testing.T) {
	for _, name := range credentials {
		t.Setenv(name, "hush")
	}
	for _, entry := range environment(1) {
		if strings.Contains(entry, "hush") {
			t.Errorf("a benchmark is given %s", entry)
		}
	}
}

func TestTheGoCommandSeesNoCredentialsOfTheStoreAndTheRunner(t *testing.T) {
	for _, name := range credentials[:len(credentials)-3] {
		t.Setenv(name, "hush")
	}
	for _, entry := range (Toolchain{}).command(t.Context(), ".", "version").Env {
		if strings.Contains(entry, "hush") {
			t.Errorf("the go command is given %s", entry)
		}
	}
}
