// Package artifact reads what the measuring jobs of a pull request have
// uploaded: for each shard a results folder with outcome.json and, where it came
// that far, a bundle.
//
// The one opinion it holds: an artifact is the work of a stranger. The code that
// was measured ran beside the code that wrote it, and a fork may have rewritten
// the workflow. So everything has a limit with a name, sizes are counted while
// they are inflated and not believed, nothing is skipped or repaired, and what
// cannot be read leaves its shard missing, with the reason. A missing shard is
// never a shard without a regression.
//
// It does no more than read. It opens no connection and no file of its own;
// whether the bundles belong to the pull request, and what they say about it, is
// for its callers to find out. Texts that it hands on (Missing.Why,
// Outcome.Message, errors) may quote the artifact: show them in code spans, or
// cleaned.
package artifact
