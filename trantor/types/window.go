package types

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"slices"
)

// MaxWindow is the greatest window size; a larger one costs MaxWindow/8 bytes
// (8 KiB) for every client.
const MaxWindow = 1 << 16

// Window remembers which numbers of a sequence have been taken, in memory that
// does not grow: everything below Low is taken, nothing from Low+Size on is,
// and a bitset says which of those between are.
//
// Invariant: Low itself is not taken.
type Window struct {
	low  uint64
	size uint64
	bits []uint64 // bit no%size says whether no is taken
}

// NewWindow makes an empty window from 0. Size is 1 to MaxWindow.
func NewWindow(size int) *Window {
	if size < 1 || size > MaxWindow {
		panic(fmt.Sprintf("types: window of size %d, want 1 to %d", size, MaxWindow))
	}
	return &Window{size: uint64(size), bits: make([]uint64, (size+63)/64)}
}

// Clone is a copy that shares nothing.
func (w *Window) Clone() *Window {
	return &Window{low: w.low, size: w.size, bits: slices.Clone(w.bits)}
}

// Low is the lowest number that is not taken.
func (w *Window) Low() uint64 { return w.low }

// Has tells whether no is taken.
func (w *Window) Has(no uint64) bool {
	if no < w.low {
		return true
	}
	return w.InReach(no) && w.bit(no)
}

// InReach tells whether no lies below Low+Size, so that it can be taken or is.
func (w *Window) InReach(no uint64) bool {
	return no < w.low || no-w.low < w.size
}

// Count is how many numbers are taken.
func (w *Window) Count() uint64 {
	count := w.low
	for _, word := range w.bits {
		count += uint64(bits.OnesCount64(word))
	}
	return count
}

// Add takes no, which must be in reach, and moves Low up to the next number
// that is not taken. It tells whether no was free.
func (w *Window) Add(no uint64) bool {
	if !w.InReach(no) {
		panic(fmt.Sprintf("types: invariant broken: %d added to a window of [%d, +%d)", no, w.low, w.size))
	}
	if w.Has(no) {
		return false
	}
	w.flip(no)
	for w.bit(w.low) {
		w.flip(w.low)
		w.low++
	}
	return true
}

func (w *Window) bit(no uint64) bool {
	i := no % w.size
	return w.bits[i/64]&(1<<(i%64)) != 0
}

func (w *Window) flip(no uint64) {
	i := no % w.size
	w.bits[i/64] ^= 1 << (i % 64)
}

// AppendWire appends the window's content; its size is not part of it.
func (w *Window) AppendWire(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, w.low)
	taken := 0
	for _, word := range w.bits {
		taken += bits.OnesCount64(word)
	}
	dst = binary.LittleEndian.AppendUint32(dst, uint32(taken))
	for off := uint64(0); off < w.size && taken > 0; off++ {
		if w.bit(w.low + off) {
			dst = binary.LittleEndian.AppendUint32(dst, uint32(off))
			taken--
		}
	}
	return dst
}

// WindowWireBytesMin is the size of an empty window's encoding.
const WindowWireBytesMin = 8 + 4

// ReadWindow reads what AppendWire of a window of that size wrote.
func ReadWindow(r *Reader, size int) *Window {
	w := NewWindow(size)
	w.low = r.U64()
	if w.low > math.MaxUint64-w.size { // Offsets would wrap around; no sequence gets there.
		r.Fail(fmt.Errorf("window from %d with size %d", w.low, w.size))
		return w
	}
	n := r.Count(size-1, 4)
	last := uint64(0)
	for range n {
		off := uint64(r.U32())
		if off <= last || off >= w.size {
			r.Fail(fmt.Errorf("window offset %d after %d, size %d", off, last, size))
			return w
		}
		w.flip(w.low + off)
		last = off
	}
	return w
}
