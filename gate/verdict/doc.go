// Package verdict decides: changes and policy in, a verdict out. It is pure.
package verdict
