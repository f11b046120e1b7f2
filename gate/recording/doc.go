// Package recording is the bundle: the one record of a measurement that
// everything downstream reads. It writes, reads and verifies bundles, and
// turns benchmark output into samples and back.
package recording
