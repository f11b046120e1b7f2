package shop

import (
	"fmt"
	"testing"
)

func BenchmarkFill(b *testing.B) {
	b.ReportAllocs()
	// What a benchmark prints is no command to the runner.
	fmt.Println("::error::forged by a benchmark")
	got := 0
	for b.Loop() {
		got += Fill(9).Total()
	}
	if got == 0 {
		b.Fatal("no work was done")
	}
}

func BenchmarkTotal(b *testing.B) {
	b.ReportAllocs()
	basket, got := Fill(9), 0
	for b.Loop() {
		got += basket.Total()
	}
	if got == 0 {
		b.Fatal("no work was done")
	}
}
