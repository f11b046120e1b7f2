// Package profdiff compares the profiles of two versions of a program, function
// by function, and says which differences are more than chance.
//
// The one opinion it holds: a profile is a sample. Each side brings several
// replicates at the same number of operations, and the scatter between them, not
// the count alone, says how much a function's count may vary.
//
//   - What is compared is the cost of an operation: counts divided by iterations.
//     Machines are not equally fast at all times, so that the head side is divided
//     by a size factor: the ratio that the gate has measured, where the caller knows
//     it, and else the median over the functions of head/base, weighted by
//     their counts. A function with more than a third of all counts could decide
//     that median alone; then there is no size factor.
//   - Counts are quasi-Poisson: their variance is a multiple of their mean, the
//     dispersion, which is estimated from the replicates, of the function and of
//     all together, and is at least 1 (McCullagh and Nelder, Generalized Linear
//     Models, 1989, section 6.2).
//     Given both sides' sum, the head side's part is binomial under "no change";
//     its standardised value is compared with Student's t.
//   - Functions with fewer than 20 counts on both sides together are not tested.
//     The others are, and Benjamini and Hochberg's procedure holds the share of
//     false ones among those flagged at 1 % (J. R. Stat. Soc. B 57, 1995). What
//     changed by less than 5 %, or by less than a thousandth of everything, is not
//     shown.
//   - How many counts a slowdown takes to be found is known beforehand (Needed), so
//     that a profile that was too small says so and not "nothing".
//
// It knows nothing of the change that caused a difference; package culprit does.
package profdiff
