//! The fields of an entry, in the form in which they are stored and sent.
//!
//! A request brings the words of `field value ...` as RESP bulk strings, back to back. They go into
//! the log in one copy and into replies in one copy: the disk's format is the wire's.
//!
//! ```text
//!  $4\r\ntask\r\n$4\r\nmail\r\n     words = 2
//! ```

/// Field and value words, alternating.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Fields<'a> {
    /// How many words: twice the number of fields.
    pub words: u32,
    /// The words as RESP bulk strings, back to back.
    pub resp: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Writes `words` behind what `buffer` holds and returns them as fields.
    ///
    /// For words that did not arrive as bulk strings, and for tests.
    ///
    /// # Panics
    ///
    /// With more than `u32::MAX` words.
    pub fn encode<W: AsRef<[u8]>>(
        words: impl IntoIterator<Item = W>,
        buffer: &'a mut Vec<u8>,
    ) -> Self {
        let start = buffer.len();
        let mut count: u32 = 0;
        for word in words {
            let word = word.as_ref();
            buffer.push(b'$');
            buffer.extend_from_slice(itoa::Buffer::new().format(word.len()).as_bytes());
            buffer.extend_from_slice(b"\r\n");
            buffer.extend_from_slice(word);
            buffer.extend_from_slice(b"\r\n");
            count = count.checked_add(1).expect("a request has fewer words");
        }
        Self {
            words: count,
            resp: &buffer[start..],
        }
    }

    /// The words, without their framing. Ends early where the bytes are no bulk strings.
    #[must_use]
    pub fn iter(&self) -> FieldWords<'a> {
        FieldWords { rest: self.resp }
    }
}

impl<'a> IntoIterator for Fields<'a> {
    type Item = &'a [u8];
    type IntoIter = FieldWords<'a>;

    fn into_iter(self) -> FieldWords<'a> {
        self.iter()
    }
}

/// The words of an entry, one after the other.
#[derive(Clone, Debug)]
pub struct FieldWords<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for FieldWords<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let mut rest = self.rest.strip_prefix(b"$")?;
        let mut length = 0_usize;
        while let Some((digit @ b'0'..=b'9', after)) = rest.split_first() {
            length = length
                .checked_mul(10)?
                .checked_add(usize::from(digit - b'0'))?;
            rest = after;
        }
        let (word, rest) = rest.strip_prefix(b"\r\n")?.split_at_checked(length)?;
        self.rest = rest.strip_prefix(b"\r\n")?;
        Some(word)
    }
}
