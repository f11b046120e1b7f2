// Package e2e holds the pull request's path against parts that are not ours: the
// workflows and the action run in act, the client's requests are held against
// GitHub's own description of its API, the workflows against GitHub's own parser,
// and the reading of events against GitHub's own examples of payloads. It has
// nothing but tests.
//
// The opinion it holds: a double that we wrote cannot show that we misread GitHub.
// So here as much as possible is somebody else's. What is real:
//
//   - the composite action, built from its own folder as a runner does it, and the
//     workflows that `perfgate init` writes;
//   - git, the go command, the benchmarks and their measurement;
//   - act (github.com/nektos/act) as the runner: expressions, matrices, outputs,
//     job results and workflow commands are its own. Its jobs run on this machine,
//     without a container;
//   - Prism over the OpenAPI description that GitHub publishes, GitHub's workflow
//     parser and GitHub's webhook examples, pinned in tools/node.
//
// What is not:
//
//   - the API. gate/github/githubtest serves it on the loopback interface;
//   - actions/checkout, actions/setup-go, actions/upload-artifact and
//     actions/download-artifact, which are small actions in testdata/actions that
//     do the same with a local repository, the go command of the machine, and a
//     folder. They refuse what they do not do;
//   - what GitHub does between two workflows: the tests write the event of a pull
//     request, zip what a job uploaded, and start the workflow that follows with an
//     event made from the first one's result. Permissions of a token are
//     githubtest's; concurrency and caches are not there at all.
//
// A test whose part is missing says so in one line and is skipped; REQUIRE_ALL
// makes it fail. .ci/run installs the parts.
package e2e
