package crypto

import (
	"crypto/ed25519"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/perfgate/perfgate/trantor/types"
)

// speccheck are the twelve vectors of Chalkias, Garillot and Nikolaenko, "Taming
// the many EdDSAs" (SSR 2020), with what ZIP-215 says of each.
// Implementations of RFC 8032 differ on most of them.
var speccheck = []struct {
	name          string
	valid         bool
	msg, key, sig string
}{
	{
		name: "S is 0, key and R of small order", valid: true,
		msg: "8c93255d71dcab10e8f379c26200f3c7bd5f09d9bc3068d3ef4edeb4853022b6",
		key: "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
		sig: "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a" +
			"0000000000000000000000000000000000000000000000000000000000000000",
	},
	{
		name: "key of small order", valid: true,
		msg: "9bd9f44f4dcc75bd531b56b2cd280b0bb38fc1cd6d1230e14861d861de092e79",
		key: "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
		sig: "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43" +
			"a5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04",
	},
	{
		name: "R of small order", valid: true,
		msg: "aebf3f2601a0c8c5d39cc7d8911642f740b78168218da8471772b35f9d35b9ab",
		key: "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43",
		sig: "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa" +
			"8c4bd45aecaca5b24fb97bc10ac27ac8751a7dfe1baff8b953ec9f5833ca260e",
	},
	{
		name: "key and R of mixed order, both equations hold", valid: true,
		msg: "9bd9f44f4dcc75bd531b56b2cd280b0bb38fc1cd6d1230e14861d861de092e79",
		key: "cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d",
		sig: "9046a64750444938de19f227bb80485e92b83fdb4b6506c160484c016cc1852f" +
			"87909e14428a7a1d62e9f22f3d3ad7802db02eb2e688b6c52fcd6648a98bd009",
	},
	{
		name: "mixed order, only the cofactored equation holds", valid: true,
		msg: "e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec4011eaccd55b53f56c",
		key: "cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d",
		sig: "160a1cb0dc9c0258cd0a7d23e94d8fa878bcb1925f2c64246b2dee1796bed512" +
			"5ec6bc982a269b723e0668e540911a9a6a58921d6925e434ab10aa7940551a09",
	},
	{
		name: "mixed order, fails where 8k is reduced first", valid: true,
		msg: "e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec4011eaccd55b53f56c",
		key: "cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d",
		sig: "21122a84e0b5fca4052f5b1235c80a537878b38f3142356b2c2384ebad4668b7" +
			"e40bc836dac0f71076f9abe3a53f9c03c1ceeeddb658d0030494ace586687405",
	},
	{
		name: "S is not below the group order", valid: false,
		msg: "85e241a07d148b41e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec40",
		key: "442aad9f089ad9e14647b1ef9099a1ff4798d78589e66f28eca69c11f582a623",
		sig: "e96f66be976d82e60150baecff9906684aebb1ef181f67a7189ac78ea23b6c0e" +
			"547f7690a0e2ddcd04d87dbc3490dc19b3b3052f7ff0538cb68afb369ba3a514",
	},
	{
		name: "S is far above the group order", valid: false,
		msg: "85e241a07d148b41e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec40",
		key: "442aad9f089ad9e14647b1ef9099a1ff4798d78589e66f28eca69c11f582a623",
		sig: "8ce5b96c8f26d0ab6c47958c9e68b937104cd36e13c33566acd2fe8d38aa1942" +
			"7e71f98a473474f2f13f06f97c20d58cc3f54b8bd0d272f42b695dd7e89a8c22",
	},
	{
		name: "R not canonical, hashed as its canonical form", valid: false,
		msg: "9bedc267423725d473888631ebf45988bad3db83851ee85c85e241a07d148b41",
		key: "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43",
		sig: "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff" +
			"03be9678ac102edcd92b0210bb34d7428d12ffc5df5f37e359941266a4e35f0f",
	},
	{
		name: "R not canonical, hashed as it is", valid: true,
		msg: "9bedc267423725d473888631ebf45988bad3db83851ee85c85e241a07d148b41",
		key: "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43",
		sig: "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff" +
			"ca8c5b64cd208982aa38d4936621a4775aa233aa0505711d8fdcfdaa943d4908",
	},
	{
		name: "key not canonical, hashed as its canonical form", valid: true,
		msg: "e96b7021eb39c1a163b6da4e3093dcd3f21387da4cc4572be588fafae23c155b",
		key: "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
		sig: "a9d55260f765261eb9b84e106f665e00b867287a761990d7135963ee0a7d59dc" +
			"a5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04",
	},
	{
		name: "key not canonical, hashed as it is", valid: true,
		msg: "39a591f5321bbe07fd5a23dc2f39d025d74526615746727ceefd6e82ae65c06f",
		key: "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
		sig: "a9d55260f765261eb9b84e106f665e00b867287a761990d7135963ee0a7d59dc" +
			"a5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04",
	},
}

// smallOrder are all encodings of the eight points of small order that ZIP-215
// accepts: eight canonical ones and six that are not.
var smallOrder = []string{
	"01" + strings.Repeat("00", 31), "01" + strings.Repeat("00", 30) + "80",
	"ec" + strings.Repeat("ff", 30) + "7f", "ec" + strings.Repeat("ff", 31),
	"ed" + strings.Repeat("ff", 30) + "7f", "ed" + strings.Repeat("ff", 31),
	"ee" + strings.Repeat("ff", 30) + "7f", "ee" + strings.Repeat("ff", 31),
	strings.Repeat("00", 32), strings.Repeat("00", 31) + "80",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
}

func TestOneAndManyAgreeOnThePublishedEdgeCases(t *testing.T) {
	for _, v := range speccheck {
		t.Run(v.name, func(t *testing.T) {
			wantVerdict(t, unhex(t, v.key), unhex(t, v.msg), unhex(t, v.sig), v.valid)
		})
	}
}

// TestOneAndManyAgreeOnSmallOrder: with S = 0, and key and R of small order, the
// cofactored equation holds for every message (ZIP-215, test vectors).
func TestOneAndManyAgreeOnSmallOrder(t *testing.T) {
	for _, key := range smallOrder {
		for _, r := range smallOrder {
			wantVerdict(t, unhex(t, key), []byte("Zcash"), unhex(t, r+strings.Repeat("00", 32)), true)
		}
	}
}

// wantVerdict verifies a signature alone, in a batch of itself, twice in a batch,
// and on either side of good signatures.
func wantVerdict(t *testing.T, key ed25519.PublicKey, msg, sig []byte, valid bool) {
	t.Helper()
	if got := verifySigned(key, msg, sig); got != valid {
		t.Errorf("key %x, signature %x: alone %v, want %v", key, sig, got, valid)
	}
	private := DeriveEd25519(1, 1)[0].private
	good, goodKey := types.Signature{Sig: ed25519.Sign(private, msg)}, PublicKey(private)
	this := types.Signature{Sig: sig}
	for _, batch := range []struct {
		keys []ed25519.PublicKey
		sigs []types.Signature
	}{
		{[]ed25519.PublicKey{key}, []types.Signature{this}},
		{[]ed25519.PublicKey{key, key}, []types.Signature{this, this}},
		{[]ed25519.PublicKey{goodKey, key, goodKey}, []types.Signature{good, this, good}},
	} {
		if got := verifyAllSigned(batch.keys, msg, batch.sigs); got != valid {
			t.Errorf("key %x, signature %x: in a batch of %d %v, want %v", key, sig, len(batch.sigs), got, valid)
		}
	}
}

func unhex(t *testing.T, digits string) []byte {
	t.Helper()
	b, err := hex.DecodeString(digits)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
