//! The check sum of frames, of what is stored and of what was answered: CRC-32/ISO-HDLC, the one of Ethernet and zip.

/// Bytes of it.
pub(crate) const LENGTH: usize = 4;

/// The check sum of some bytes, little-endian.
#[cfg(feature = "crc-table")]
pub(crate) fn checksum(bytes: &[u8]) -> [u8; LENGTH] {
    // 16 KiB of tables: for desktops.
    const CRC: crc::Crc<u32, crc::Table<16>> = crc::Crc::<u32, crc::Table<16>>::new(&crc::CRC_32_ISO_HDLC);
    CRC.checksum(bytes).to_le_bytes()
}

/// The check sum of some bytes, little-endian.
///
/// By half a byte at a time, which the crc crate does not have: it goes by bits (60 instructions a byte on a Cortex-M3) or
/// by a table of 1 KiB. This takes 64 bytes.
#[cfg(not(feature = "crc-table"))]
pub(crate) fn checksum(bytes: &[u8]) -> [u8; LENGTH] {
    let half = |sum: u32| TABLE.get(sum as usize % TABLE.len()).map_or(0, |entry| entry ^ sum >> 4);
    (!bytes.iter().fold(u32::MAX, |sum, byte| half(half(sum ^ u32::from(*byte))))).to_le_bytes()
}

/// What four zero bits behind each value of half a byte make of it.
#[cfg(not(feature = "crc-table"))]
static TABLE: [u32; 16] = {
    // The polynomial of CRC-32, reflected.
    const POLYNOMIAL: u32 = 0xedb8_8320;
    let mut table = [0; 16];
    let mut rest: &mut [u32] = &mut table;
    let mut value = 0;
    while let Some((entry, more)) = rest.split_first_mut() {
        let (mut sum, mut bit) = (value, 0);
        while bit < 4 {
            sum = if sum & 1 == 1 { sum >> 1 ^ POLYNOMIAL } else { sum >> 1 };
            bit += 1;
        }
        *entry = sum;
        value += 1;
        rest = more;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    #[test]
    fn it_is_the_one_of_ethernet() {
        // The check value that the catalogue of CRCs gives for "123456789".
        assert_eq!(checksum(b"123456789"), 0xcbf4_3926u32.to_le_bytes());
        assert_eq!(checksum(b""), [0; LENGTH]);
    }

    proptest! {
        #[test]
        fn it_is_what_the_reference_makes_of_any_bytes(bytes in any::<Vec<u8>>()) {
            let reference = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(&bytes);
            prop_assert_eq!(checksum(&bytes), reference.to_le_bytes());
        }
    }
}
