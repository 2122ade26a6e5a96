//! Opening: recognises a host of another wire or protocol by the first bytes of a connection of the `postcard` wire. Without it,
//! they are the beginning of a frame whose end never comes.

/// How many bytes decide: a length of the `json` wire, and the beginning of an object.
pub(super) const LENGTH: usize = 6;

/// Can these not be the first bytes of a `postcard` host? There, after zeros, come the code of a COBS group and the kind of a message, a
/// small number; texts begin otherwise.
pub(super) fn is_foreign(opening: &[u8]) -> bool {
    if opening.get(4..LENGTH) == Some(br#"{""#) {
        return true;
    }
    let begin = opening.iter().position(|byte| *byte != 0).unwrap_or(opening.len());
    // A group of code 1 has no byte of its own.
    matches!(opening.get(begin..), Some([2..=255, b' '..=255, ..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_of_another_wire_is_recognised_by_its_first_bytes() {
        for foreign in
            [&b"\0\0\x01\x41{\"input\""[..], b"{\"", b"SSH-2.0-", b"HTTP/1.1", b"220 mail", b"\xff\xff"]
        {
            assert!(is_foreign(foreign), "{foreign:?}");
        }
        for own in [
            &b""[..],
            b"\0",
            b"{",
            b"\x05\x02\x02\x01",
            b"\0\x05\x02\x02\x01\x01",
            b"\x01\x7b\x22",
            b"\0\0\x01\x41",
        ] {
            assert!(!is_foreign(own), "{own:?}");
        }
    }
}
