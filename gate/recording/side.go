package recording

import "slices"

// EncodeSide is the form that a bundle's samples/SIDE.txt has, for a record that
// keeps one side only (a stored baseline): benchmark format that benchstat
// reads, in the order of Canonical.
func EncodeSide(m *Manifest, side Side, samples []Sample) ([]byte, error) {
	samples = slices.Clone(samples)
	Canonical(samples)
	checker := newSampleChecker(m)
	for i := range samples {
		if samples[i].Side != side {
			continue
		}
		if err := checker.check(&samples[i]); err != nil {
			return nil, err
		}
	}
	return encodeSamples(m, side, false, samples)
}

// DecodeSide reads what EncodeSide wrote with the same manifest, and nothing else.
func DecodeSide(m *Manifest, side Side, data []byte) ([]Sample, error) {
	return decodeSamples(m, side, false, data)
}
