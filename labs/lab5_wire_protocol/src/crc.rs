//! CRC-32C (Castagnoli), the checksum of a record batch.
//!
//! A CRC is the remainder of a division without carry: bit after bit is shifted out, and whenever a 1 falls out, the
//! polynomial is subtracted, which is an exclusive or. The table does eight such steps at once.
//!
//! Not the CRC-32 of zip files: the polynomial is another, and CPUs have an instruction for this one. Real clients use
//! that; this table is for reading.

/// The polynomial of CRC-32C, bits in reverse order. The one of zip files would be 0xedb8_8320.
pub const CASTAGNOLI: u32 = 0x82f6_3b78;

/// The checksum of `bytes`.
pub fn crc(polynomial: u32, bytes: &[u8]) -> u32 {
    let table = table(polynomial);
    let mut crc = !0;
    for byte in bytes {
        crc = table[usize::from(crc as u8 ^ byte)] ^ (crc >> 8);
    }
    !crc
}

/// What eight steps do to each possible byte.
const fn table(polynomial: u32) -> [u32; 256] {
    let mut table = [0; 256];
    let mut n = 0;
    while n < 256 {
        let mut crc = n as u32;
        let mut step = 0;
        while step < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ polynomial } else { crc >> 1 };
            step += 1;
        }
        table[n] = crc;
        n += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_check_value_of_the_catalogue() {
        assert_eq!(crc(CASTAGNOLI, b"123456789"), 0xe306_9283);
        assert_eq!(crc(0xedb8_8320, b"123456789"), 0xcbf4_3926);
    }

    proptest! {
        #[test]
        fn the_same_as_the_cpu_computes(bytes: Vec<u8>) {
            prop_assert_eq!(crc(CASTAGNOLI, &bytes), crc32c::crc32c(&bytes));
        }
    }
}
