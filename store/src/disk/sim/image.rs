//! The bytes of one file.
//!
//! Crashes are tried by the hundred thousand, each on a disk of its own. So copies share their
//! bytes until one of them is written, and zeros at the end of a file, of which space that is
//! allocated ahead consists, are not kept.

use std::ops::Range;
use std::sync::Arc;

/// What a file holds.
#[derive(Clone, Default)]
pub(super) struct Image {
    /// The bytes in front; those behind are zeros.
    bytes: Arc<Vec<u8>>,
    len: usize,
}

impl Image {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Cuts off what is behind `len`, or adds zeros up to there.
    pub(super) fn resize(&mut self, len: usize) {
        if len < self.bytes.len() {
            Arc::make_mut(&mut self.bytes).truncate(len);
        }
        self.len = len;
    }

    /// Writes at a position; the file grows if need be.
    pub(super) fn write(&mut self, pos: usize, bytes: &[u8]) {
        let end = pos + bytes.len();
        self.len = self.len.max(end);
        if pos >= self.bytes.len() && bytes.iter().all(|byte| *byte == 0) {
            return;
        }
        let own = Arc::make_mut(&mut self.bytes);
        if own.len() < end {
            own.resize(end, 0);
        }
        own[pos..end].copy_from_slice(bytes);
    }

    /// The bytes of a range; `None` when the file ends before.
    pub(super) fn read(&self, range: Range<usize>) -> Option<Vec<u8>> {
        let mut bytes = vec![0; range.len()];
        self.read_at(range.start, &mut bytes).then_some(bytes)
    }

    /// Reads from a position on; whether the file has so many bytes.
    pub(super) fn read_at(&self, pos: usize, into: &mut [u8]) -> bool {
        if pos + into.len() > self.len {
            return false;
        }
        let kept = self.bytes.get(pos..).unwrap_or_default();
        let kept = &kept[..kept.len().min(into.len())];
        into[..kept.len()].copy_from_slice(kept);
        into[kept.len()..].fill(0);
        true
    }

    /// The bytes up to the zeros at the end.
    pub(super) fn without_zeros(&self) -> &[u8] {
        let last = self.bytes.iter().rposition(|byte| *byte != 0);
        &self.bytes[..last.map_or(0, |last| last + 1)]
    }
}

#[cfg(test)]
mod tests {
    use super::Image;

    #[test]
    fn an_image_has_the_bytes_that_were_written_and_zeros() {
        let mut image = Image::default();
        image.resize(10);
        image.write(4, &[0, 0]);
        assert!(image.bytes.is_empty() && image.without_zeros().is_empty());
        image.write(2, &[1, 2, 3]);
        let before = image.clone();
        image.write(4, &[0, 9]);
        assert_eq!(image.read(0..10), Some(vec![0, 0, 1, 2, 0, 9, 0, 0, 0, 0]));
        assert_eq!(before.read(3..6), Some(vec![2, 3, 0]));
        assert_eq!(image.read(8..11), None);
        image.write(9, &[7, 7]);
        assert_eq!((image.len(), image.read(8..11)), (11, Some(vec![0, 7, 7])));
        image.resize(4);
        image.resize(6);
        assert_eq!(image.read(0..6), Some(vec![0, 0, 1, 2, 0, 0]));
        image.write(3, &[0]);
        assert_eq!(image.without_zeros(), [0, 0, 1]);
    }
}
