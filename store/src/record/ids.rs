//! Lists of IDs in records: either the caller's slice, or bytes of the log that are decoded on the
//! way.
//!
//! The IDs of one command tend to be close together, so each is written as its distance from the
//! one before: two or three bytes instead of seven. Distances wrap, hence any order is possible.

use std::fmt;

use crate::codec::{integer, put_integer, small, unzigzag, zigzag};
use crate::error::Malformed;
use crate::id::StreamId;

/// IDs, in any order.
#[derive(Copy, Clone)]
pub struct Ids<'a>(List<'a, StreamId>);

/// Entries that change hands, each with its number of deliveries from then on.
#[derive(Copy, Clone)]
pub struct Claims<'a>(List<'a, Claim>);

/// One entry that changes hands.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Claim {
    /// The entry.
    pub id: StreamId,
    /// How many times it counts as delivered from now on.
    pub deliveries: u64,
}

#[derive(Copy, Clone)]
enum List<'a, T> {
    /// Whole items, decoded once when the record was.
    Encoded {
        count: u32,
        bytes: &'a [u8],
    },
    Slice(&'a [T]),
}

/// An item of a list: knows its bytes, given the ID of the item before.
trait Item: Copy {
    fn id(&self) -> StreamId;
    fn put(&self, before: StreamId, out: &mut Vec<u8>);
    fn take(before: StreamId, input: &mut &[u8]) -> Result<Self, Malformed>;
}

impl Item for StreamId {
    fn id(&self) -> StreamId {
        *self
    }

    fn put(&self, before: StreamId, out: &mut Vec<u8>) {
        put_integer(out, zigzag(before.ms, self.ms));
        let same = before.ms == self.ms;
        put_integer(
            out,
            if same {
                zigzag(before.seq, self.seq)
            } else {
                self.seq
            },
        );
    }

    fn take(before: StreamId, input: &mut &[u8]) -> Result<Self, Malformed> {
        let ms = unzigzag(before.ms, integer(input)?);
        let seq = integer(input)?;
        Ok(Self::new(
            ms,
            if ms == before.ms {
                unzigzag(before.seq, seq)
            } else {
                seq
            },
        ))
    }
}

impl Item for Claim {
    fn id(&self) -> StreamId {
        self.id
    }

    fn put(&self, before: StreamId, out: &mut Vec<u8>) {
        self.id.put(before, out);
        put_integer(out, self.deliveries);
    }

    fn take(before: StreamId, input: &mut &[u8]) -> Result<Self, Malformed> {
        Ok(Self {
            id: StreamId::take(before, input)?,
            deliveries: integer(input)?,
        })
    }
}

impl<'a, T: Item> List<'a, T> {
    fn len(self) -> usize {
        match self {
            Self::Encoded { count, .. } => count as usize,
            Self::Slice(items) => items.len(),
        }
    }

    fn iter(self) -> Items<'a, T> {
        Items {
            rest: self,
            before: StreamId::MIN,
        }
    }

    fn encode(self, out: &mut Vec<u8>) {
        put_integer(out, self.len() as u64);
        let mut before = StreamId::MIN;
        for item in self.iter() {
            item.put(before, out);
            before = item.id();
        }
    }

    fn decode(input: &mut &'a [u8]) -> Result<Self, Malformed> {
        let count = small(integer(input)?)?;
        let start = *input;
        let mut before = StreamId::MIN;
        // Each item takes at least two bytes, so a wrong count runs into the end of the input.
        for _ in 0..count {
            before = T::take(before, input)?.id();
        }
        let bytes = &start[..start.len() - input.len()];
        Ok(Self::Encoded { count, bytes })
    }
}

struct Items<'a, T> {
    rest: List<'a, T>,
    before: StreamId,
}

impl<T: Item> Iterator for Items<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        match &mut self.rest {
            List::Encoded { count, bytes } => {
                *count = count.checked_sub(1)?;
                let item =
                    T::take(self.before, bytes).expect("the list was decoded with its record");
                self.before = item.id();
                Some(item)
            }
            List::Slice(items) => {
                let (first, rest) = items.split_first()?;
                *items = rest;
                Some(*first)
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.rest.len(), Some(self.rest.len()))
    }
}

macro_rules! list {
    ($list:ident, $item:ident, $iter:ident, $what:literal) => {
        impl<'a> $list<'a> {
            /// How many.
            #[must_use]
            pub fn len(&self) -> usize {
                self.0.len()
            }

            /// Whether there are none.
            #[must_use]
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            #[doc = concat!("The ", $what, ", in the order in which they were given.")]
            #[must_use]
            pub fn iter(&self) -> $iter<'a> {
                $iter(self.0.iter())
            }

            pub(super) fn encode(self, out: &mut Vec<u8>) {
                self.0.encode(out);
            }

            pub(super) fn decode(input: &mut &'a [u8]) -> Result<Self, Malformed> {
                List::decode(input).map(Self)
            }
        }

        impl<'a, S: AsRef<[$item]> + ?Sized> From<&'a S> for $list<'a> {
            fn from(items: &'a S) -> Self {
                Self(List::Slice(items.as_ref()))
            }
        }

        impl<'a> IntoIterator for $list<'a> {
            type Item = $item;
            type IntoIter = $iter<'a>;

            fn into_iter(self) -> $iter<'a> {
                self.iter()
            }
        }

        impl PartialEq for $list<'_> {
            fn eq(&self, other: &Self) -> bool {
                self.iter().eq(other.iter())
            }
        }

        impl Eq for $list<'_> {}

        impl fmt::Debug for $list<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_list().entries(self.iter()).finish()
            }
        }

        #[doc = concat!("The ", $what, " of a record.")]
        pub struct $iter<'a>(Items<'a, $item>);

        impl Iterator for $iter<'_> {
            type Item = $item;

            fn next(&mut self) -> Option<$item> {
                self.0.next()
            }

            fn size_hint(&self) -> (usize, Option<usize>) {
                self.0.size_hint()
            }
        }

        impl ExactSizeIterator for $iter<'_> {}
    };
}

list!(Ids, StreamId, IdsIter, "IDs");
list!(Claims, Claim, ClaimsIter, "claimed entries");
