//! Checksum of frames, stored entries and answers: CRC-32/ISO-HDLC, as in Ethernet and zip.

/// Bytes of a checksum.
pub(crate) const LENGTH: usize = 4;

/// The checksum of some bytes, little-endian.
#[cfg(feature = "crc-table")]
pub(crate) fn checksum(bytes: &[u8]) -> [u8; LENGTH] {
    // 16 KiB of tables: for desktops.
    const CRC: crc::Crc<u32, crc::Table<16>> = crc::Crc::<u32, crc::Table<16>>::new(&crc::CRC_32_ISO_HDLC);
    CRC.checksum(bytes).to_le_bytes()
}

/// The checksum of some bytes, little-endian.
///
/// It works on 4 bits at a time with a table of 64 bytes. The crc crate works bit by bit (60 instructions a
/// byte on a Cortex-M3) or with a table of 1 KiB.
#[cfg(not(feature = "crc-table"))]
pub(crate) fn checksum(bytes: &[u8]) -> [u8; LENGTH] {
    let nibble = |crc: u32| TABLE.get(crc as usize % TABLE.len()).map_or(0, |entry| entry ^ crc >> 4);
    (!bytes.iter().fold(u32::MAX, |crc, byte| nibble(nibble(crc ^ u32::from(*byte))))).to_le_bytes()
}

/// The remainder for each value of 4 bits.
#[cfg(not(feature = "crc-table"))]
static TABLE: [u32; 16] = {
    // The polynomial of CRC-32, reflected.
    const POLYNOMIAL: u32 = 0xedb8_8320;
    let mut table = [0; 16];
    let mut rest: &mut [u32] = &mut table;
    let mut value = 0;
    while let Some((entry, more)) = rest.split_first_mut() {
        let (mut crc, mut bit) = (value, 0);
        while bit < 4 {
            crc = if crc & 1 == 1 { crc >> 1 ^ POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        *entry = crc;
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
    fn the_check_value_is_that_of_crc_32_iso_hdlc() {
        // The check value of the catalogue (<https://reveng.sourceforge.io/crc-catalogue/>) for "123456789".
        assert_eq!(checksum(b"123456789"), 0xcbf4_3926u32.to_le_bytes());
        assert_eq!(checksum(b""), [0; LENGTH]);
    }

    proptest! {
        #[test]
        fn any_bytes_agree_with_the_crc_crate(bytes in any::<Vec<u8>>()) {
            let reference = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(&bytes);
            prop_assert_eq!(checksum(&bytes), reference.to_le_bytes());
        }
    }
}
