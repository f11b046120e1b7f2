// Package actions speaks with the runner of GitHub Actions, by the means that the
// runner offers to a step: environment variables, the event's file, the files for
// outputs and for the job summary, and commands on standard output.
//
// The one opinion it holds: whatever comes from the code under test may try to be
// a command. Values go into files between delimiters drawn for the occasion,
// messages are escaped, and everything else that a step prints stands behind a
// fence that stops the runner from looking for commands.
//
// It uses no network (package github does) and decides nothing.
package actions
