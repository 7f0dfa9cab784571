//! A request that outlives the input it came in, for commands that run later.

use super::{Request, Span};

/// A copy of a [`Request`].
#[derive(Clone, Default)]
pub struct OwnedRequest {
    bytes: Box<[u8]>,
    words: Box<[Span]>,
    wire_bytes: usize,
}

impl Request<'_> {
    /// Copies the words, and nothing of the input around them.
    #[must_use]
    pub fn to_owned(&self) -> OwnedRequest {
        let start = self.bulks;
        let moved = |span: &Span| Span::new(span.start as usize - start, span.end as usize - start);
        OwnedRequest {
            bytes: self.raw_from(0).into(),
            words: self.words.iter().map(moved).collect(),
            wire_bytes: self.wire_bytes,
        }
    }
}

impl OwnedRequest {
    /// The request, to be read like any other.
    #[must_use]
    pub fn as_request(&self) -> Request<'_> {
        Request {
            bytes: &self.bytes,
            words: &self.words,
            bulks: 0,
            wire_bytes: self.wire_bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{Decoder, Limits};

    #[test]
    fn a_copy_reads_like_the_request_it_was_made_of() {
        for input in [
            &b"*2\r\n$4\r\nXLEN\r\n$1\r\nk\r\n*1\r\n"[..],
            b"xlen k\r\nPING\r\n",
        ] {
            let mut decoder = Decoder::new();
            let found = decoder.decode(input, &Limits::new(1 << 20)).unwrap();
            assert!(found.is_some());
            let request = decoder.request(input);
            let copy = request.to_owned();
            assert!(copy.as_request().words().eq(request.words()));
            assert_eq!(copy.as_request().raw_from(1), b"$1\r\nk\r\n");
            assert_eq!(copy.as_request().wire_bytes(), request.wire_bytes());
        }
    }
}
