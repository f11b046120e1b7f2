package cli

import "testing"

func TestTheMeasuringProcessKeepsNoVariableThatMayHoldASecret(t *testing.T) {
	for _, name := range []string{
		"GITHUB_TOKEN", "GH_TOKEN", "GITHUB_ENV", "GITHUB_OUTPUT", "GITHUB_EVENT_PATH", "ACTIONS_RUNTIME_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_URL",
		"INPUT_GITHUB-TOKEN", "RUNNER_TEMP", "PERFGATE_COMMAND", "GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_OAUTH_ACCESS_TOKEN", "GOVEE_KEY",
		"AZURE_CLIENT_SECRET", "NPM_TOKEN", "NODE_AUTH_TOKEN", "DOCKER_PASSWORD", "SSH_AUTH_SOCK", "GIT_ASKPASS", "GIT_CONFIG_VALUE_0", "GIT_SSH_COMMAND",
		"LD_PRELOAD", "BASH_ENV", "", "PATHOLOGY",
	} {
		if kept(name) {
			t.Errorf("%s is kept", name)
		}
	}
	for _, name := range []string{"PATH", "HOME", "GOPROXY", "GOPRIVATE", "GOMODCACHE", "GOFLAGS", "CGO_CFLAGS", "https_proxy", "LC_ALL", "AWS_REGION"} {
		if !kept(name) {
			t.Errorf("%s is not kept, and the go command, git or the store of baselines needs it", name)
		}
	}
}
