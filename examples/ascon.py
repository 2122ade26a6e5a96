# Ascon-XOF128 (NIST SP 800-232) in plain Python, for examples/sealed_terminal.py. `python3 examples/ascon.py` checks it against
# the published answers. It takes a time that depends on its input: no code for a machine that others use too.
import struct

MASK = (1 << 64) - 1


def rotate(word, count):
    return word >> count | word << 64 - count & MASK


def permute(x0, x1, x2, x3, x4):
    """Ascon's permutation of 12 rounds (SP 800-232, section 3)."""
    for constant in range(0xF0, 0x4A, -0x0F):
        x0, x4, x2 = x0 ^ x4, x4 ^ x3, x2 ^ constant ^ x1
        t0, t1, t2, t3, t4 = ~x0 & x1, ~x1 & x2, ~x2 & x3, ~x3 & x4, ~x4 & x0
        x0, x1, x2, x3, x4 = x0 ^ t1, x1 ^ t2, x2 ^ t3, x3 ^ t4, x4 ^ t0
        x1, x0, x3, x2 = x1 ^ x0, x0 ^ x4, x3 ^ x2, ~x2 & MASK
        x0 ^= rotate(x0, 19) ^ rotate(x0, 28)
        x1 ^= rotate(x1, 61) ^ rotate(x1, 39)
        x2 ^= rotate(x2, 1) ^ rotate(x2, 6)
        x3 ^= rotate(x3, 10) ^ rotate(x3, 17)
        x4 ^= rotate(x4, 7) ^ rotate(x4, 41)
    return x0, x1, x2, x3, x4


def xof(message, length):
    """Ascon-XOF128 (SP 800-232, section 5.2)."""
    state = permute(0x0000080000CC0003, 0, 0, 0, 0)
    padded = message + b"\1" + bytes(-(len(message) + 1) % 8)
    for (block,) in struct.iter_unpack("<Q", padded):
        state = permute(state[0] ^ block, *state[1:])
    output = struct.pack("<Q", state[0])
    while len(output) < length:
        state = permute(*state)
        output += struct.pack("<Q", state[0])
    return output[:length]


# Length of the message 00 01 02 …, and the output: published by Ascon's authors (LWC_XOF_KAT of ascon-c).
KNOWN = {
    0: "473d5e6164f58b39dfd84aacdb8ae42ec2d91fed33388ee0d960d9b3993295c6",
    1: "51430e0438ecdf642b393630d977625f5f337656ba58ab1e960784ac32a16e0d",
    7: "7ae562db37212a9acd2673ecfd5b4f1c5cb2e6f64ebf00aa7f6ef8dc82c448d5",
    8: "8d1886f5d3ec4af8d15b44bc62b74da6ea91bc28fb82f9c34079b5ed6e38b6c9",
    9: "db3013bfbbd132dc1d3152fd955ed48f7cbb675e9ad2a2fecf92b74c957592e0",
    16: "10bfedc5f6442d3e1d8c324878ce1ddf73b01cafc365589283ac4cbb98e48de3",
    17: "233af64f97ca9bd97bae06270571e57215c5cb5ba4038536c5c128da1d3a379a",
    31: "0517ba0498a2bcb8198492cd6022b91283dbdb4464ee3b2859aac793c948bed6",
    32: "2e5f3403f4171471cc7934b51982cece8d6628435db70e89880f3be4e0b7b052",
    33: "fef74b7ebd183ba1d87bf414000b29258d6a2233a2a03ed519c646b351bc0084",
    64: "0865c2fa92c71058e79e5c4214f3a1505540411586920536ccee85fbf2940b9f",
    127: "5a1164f907bcd43176e9e879c51452118074d78a0c7137b96a86516d2d0feac2",
}



def check():
    for length, answer in KNOWN.items():
        assert xof(bytes(range(length)), 32).hex() == answer, length


if __name__ == "__main__":
    check()
