//! A stream as a checkpoint has it.
//!
//! ```text
//!  stream   last_id, max_deleted, entries_added, entries (see entries/image),
//!           groups, for each: name, group (see group)
//! ```

use super::Stream;
use crate::codec::{id, integer, name, put_id, put_integer, put_name};
use crate::error::Malformed;
use crate::id::StreamNo;
use crate::lsn::Lsn;
use crate::state::entries::{Entries, Files};
use crate::state::group::Group;

impl Stream {
    /// Appends the image of all but the number and what has been seen.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put_id(out, self.last_id);
        put_id(out, self.max_deleted);
        put_integer(out, self.entries_added);
        self.entries.encode(out);
        put_integer(out, self.groups.len() as u64);
        for (name, group) in &self.groups {
            put_name(out, name);
            group.encode(out);
        }
    }

    /// The stream of this number that an image shows, all of the input. It has seen the log up to
    /// `changed`.
    ///
    /// # Errors
    ///
    /// When the bytes are no image, or the image of a stream that cannot be.
    pub(crate) fn decode(
        number: StreamNo,
        changed: Lsn,
        mut input: &[u8],
        files: Files<'_>,
    ) -> Result<Self, Malformed> {
        let input = &mut input;
        let mut stream = Self::new(number);
        stream.note_changed(changed);
        stream.last_id = id(input)?;
        stream.max_deleted = id(input)?;
        stream.entries_added = integer(input)?;
        stream.entries = Entries::decode(input, files)?;
        for _ in 0..integer(input)? {
            let name = name(input)?;
            let taken = stream.groups.insert(name.into(), Group::decode(input)?);
            if taken.is_some() {
                return Err(Malformed {
                    what: "two groups of one name",
                });
            }
        }
        let top = stream.entries.last_id();
        if !input.is_empty() || top.is_some_and(|top| top > stream.last_id) {
            return Err(Malformed {
                what: "a stream that cannot be",
            });
        }
        Ok(stream)
    }
}
