//! The fields of an entry, made from its serial number.
//!
//! So nobody has to remember them, and an entry that was never sent, or is another one's, is seen
//! by what it says: it begins with the number, and the rest follows from that.

use crate::chance::Chance;

/// The name of the first field, which holds the serial number.
const SERIAL: &[u8] = b"serial";

/// Names and values in turn, of the entry with this number of the stream with this seed.
pub(super) fn fields(stream: u64, serial: u64) -> Vec<Vec<u8>> {
    let mut chance = Chance::new(stream ^ serial.wrapping_mul(0x2545_f491_4f6c_dd1d));
    let mut fields = vec![SERIAL.to_vec(), serial.to_string().into_bytes()];
    for pair in 0..chance.below(4) {
        // Mostly small; now and then larger than a read; seldom larger than any block of a file.
        let longest = match chance.below(1000) {
            0 => 200_000,
            1..=9 => 20_000,
            _ => 200,
        };
        let length = usize::try_from(chance.below(longest)).expect("far below usize::MAX");
        fields.push(format!("field-{pair}").into_bytes());
        fields.push(bytes(&mut chance, length));
    }
    fields
}

/// The serial number that an entry says it has.
pub(super) fn serial(fields: &[&[u8]]) -> Option<u64> {
    match fields {
        [SERIAL, serial, ..] => std::str::from_utf8(serial).ok()?.parse().ok(),
        _ => None,
    }
}

fn bytes(chance: &mut Chance, length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend_from_slice(&chance.next().to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_says_which_one_it_is_and_no_other() {
        for number in 0..500 {
            let made = fields(7, number);
            let slices: Vec<&[u8]> = made.iter().map(Vec::as_slice).collect();
            assert_eq!(serial(&slices), Some(number));
            assert!(made.len().is_multiple_of(2));
            assert_eq!(made, fields(7, number));
        }
        assert_ne!(fields(7, 3)[2..], fields(8, 3)[2..]);
    }
}
