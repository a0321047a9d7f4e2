package main

import (
	"encoding/binary"
	"encoding/hex"
	"math/bits"

	"golang.org/x/crypto/blake2b"
)

// digest is what the live messages of one kind add up to.
type digest struct {
	Count int    `json:"count"`
	Hash  string `json:"hash"`
}

// mark stands for one live message: 128 bits, the more significant half first.
type mark [2]uint64

// fingerprint is BLAKE2b with 16 bytes of output, keyed with the subject, or with the subject's own BLAKE2b-512 where
// it is longer than a key may be.
func fingerprint(subject string, payload []byte) mark {
	key := []byte(subject)
	if len(key) > blake2b.Size {
		long := blake2b.Sum512(key)
		key = long[:]
	}
	hash, err := blake2b.New(16, key)
	if err != nil {
		panic(err) // only a key that is too long
	}
	hash.Write(payload)
	sum := hash.Sum(nil)
	return mark{binary.BigEndian.Uint64(sum[:8]), binary.BigEndian.Uint64(sum[8:])}
}

// digestOf adds up the fingerprints of one kind, modulo 2^128.
func digestOf(kind string, marks map[string]mark) digest {
	var count int
	var high, low, carry uint64
	for subject, one := range marks {
		if kindOf(subject) == kind {
			count++
			low, carry = bits.Add64(low, one[1], 0)
			high, _ = bits.Add64(high, one[0], carry)
		}
	}
	sum := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, high), low)
	return digest{Count: count, Hash: hex.EncodeToString(sum)}
}
