//! Values that can be checked: each tells the number of its entry and has letters of its own.
//!
//! ```text
//! 0                  20                                             len
//! | number, 0-padded | letters, from a place that the number gives  |
//! ```
//!
//! The letters are drawn by chance from a seed, so that a value that was cut, shifted, mixed up
//! with another or taken from elsewhere is told from the right one, and neighbours have little in
//! common that a compressor could use. Making and comparing one is little more than copying and
//! comparing memory.

use super::{
    client::Client,
    entry::{self, STAMP_LEN, stamp_on},
    fault::Fault,
};
use crate::chance::Chance;

/// How many places letters may begin at: a prime, so that all are used.
const PLACES: u64 = 65_521;
/// From the place of one number to that of the next, going round.
const STRIDE: u64 = 40_503;

/// The values of numbered entries.
pub(super) struct Values {
    letters: Vec<u8>,
    len: usize,
}

impl Values {
    /// Values of `len` bytes, or as many as the number needs.
    pub(super) fn new(len: usize, seed: u64) -> Self {
        let len = len.max(STAMP_LEN);
        let mut chance = Chance::new(seed);
        let alphabet: Vec<u8> = (b'a'..=b'z').collect();
        let places = usize::try_from(PLACES).expect("a small number");
        let letters = (0..len + places)
            .map(|_| chance.one_of(&alphabet))
            .collect();
        Self { letters, len }
    }

    /// Bytes of a value.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The value of the entry with this number.
    pub(super) fn of(&self, number: u64) -> Vec<u8> {
        let mut value = vec![0; STAMP_LEN];
        stamp_on(&mut value, number);
        value.extend_from_slice(self.letters_of(number));
        value
    }

    /// Whether this is the value of the entry with this number.
    pub(super) fn is(&self, value: &[u8], number: u64) -> bool {
        let mut stamp = [0; STAMP_LEN];
        stamp_on(&mut stamp, number);
        value.strip_prefix(&stamp) == Some(self.letters_of(number))
    }

    /// Asks for entries with XRANGE or the like, and compares them: the `nth` must be the one with
    /// the number `must_be(nth)`. How many came.
    ///
    /// # Errors
    ///
    /// [`Fault::Wrong`] if one is another; what the server answers.
    pub(super) fn read(
        &self,
        client: &mut Client,
        words: &[&[u8]],
        must_be: impl Fn(u64) -> u64,
    ) -> Result<u64, Fault> {
        let bulks = client.bulks(words, |nth, bytes| {
            let number = must_be(u64::from(nth / 3));
            let is_right = match nth % 3 {
                0 => entry::number(bytes) == Some(number),
                1 => true,
                _ => self.is(bytes, number),
            };
            let wrong = || Fault::Wrong("the entries that were put there");
            is_right.then_some(()).ok_or_else(wrong)
        })?;
        Ok(u64::from(bulks / 3))
    }

    fn letters_of(&self, number: u64) -> &[u8] {
        let place = usize::try_from(number % PLACES * STRIDE % PLACES).expect("a small number");
        &self.letters[place..place + self.len - STAMP_LEN]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::wire;
    use std::{io::Write as _, net::TcpListener};

    #[test]
    fn a_value_is_that_of_its_number_only() {
        for len in [0, 20, 21, 100, 5000] {
            let values = Values::new(len, 7);
            let value = values.of(1234);
            assert_eq!(value.len(), values.len());
            assert!(values.is(&value, 1234));
            assert!(!values.is(&value, 1235));
            assert!(!values.is(&value[1..], 1234));
            assert!(!values.is(&[], 1234));
        }
    }

    #[test]
    fn a_changed_byte_is_seen_wherever_it_is() {
        let values = Values::new(100, 7);
        for at in 0..100 {
            let mut value = values.of(99);
            value[at] ^= 1;
            assert!(!values.is(&value, 99), "{at}");
        }
    }

    #[test]
    fn the_tail_of_one_value_is_not_that_of_another() {
        let values = Values::new(100, 7);
        let mut mixed = values.of(1);
        mixed[STAMP_LEN..].copy_from_slice(&values.of(11)[STAMP_LEN..]);
        assert!(!values.is(&mixed, 1));
    }

    /// Asks a server that answers with the entry of one number for the entry of another.
    fn read(answered: u64, asked: u64) -> Result<u64, Fault> {
        let values = Values::new(30, 7);
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let mut client = Client::connect(listener.local_addr()?)?;
        let mut socket = listener.accept()?.0;
        let (id, value) = (entry::id(answered), values.of(answered));
        let mut reply = b"*1\r\n*2\r\n".to_vec();
        wire::bulk(&mut reply, id.as_bytes());
        reply.extend_from_slice(b"*2\r\n");
        wire::bulk(&mut reply, b"f");
        wire::bulk(&mut reply, &value);
        socket.write_all(&reply)?;
        values.read(&mut client, &[b"XRANGE"], |nth| asked + nth)
    }

    #[test]
    fn an_entry_that_is_another_is_a_fault() {
        assert_eq!(read(7, 7).unwrap(), 1);
        let fault = read(8, 7).unwrap_err().to_string();
        assert_eq!(
            fault,
            "wrong reply: expected the entries that were put there"
        );
    }
}
