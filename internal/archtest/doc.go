// Package archtest states the architecture as a test: who may import whom, who
// alone may touch the network or a process, and which packages must behave the
// same on every run. docs/ARCHITECTURE.md gives the reasons.
//
// The one opinion it holds: the rules are an allow-list. A package that nobody
// listed fails, so that a new one is placed on purpose.
//
// It reads source and the go command's answers; it runs nothing of the project.
package archtest
