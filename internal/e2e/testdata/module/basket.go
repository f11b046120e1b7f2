// Package shop is what the pull requests of the end-to-end tests change.
package shop

// Basket holds the prices of what somebody buys.
type Basket struct{ prices []*int }

// Fill puts n things into a basket, one allocation each.
func Fill(n int) Basket {
	b := Basket{prices: make([]*int, 0, n)}
	for i := range n {
		price := i
		b.prices = append(b.prices, &price)
	}
	return b
}

// Total is what the basket costs.
func (b Basket) Total() int {
	total := 0
	for _, p := range b.prices {
		total += *p
	}
	return total
}
