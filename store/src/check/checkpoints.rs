//! The checkpoints: whether they are whole, and what they say of everything else.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{Check, What};
use crate::checkpoint::{self, Beginning, Ending, Loaded, Skim};
use crate::disk::is_unfinished;
use crate::error::OpenError;

/// What the checkpoints say.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// The newest whole one, which a start takes.
    pub(super) taken: Option<Taken>,
    /// Whether there are checkpoints and none is whole: then nobody knows what is needed.
    pub(super) lost: bool,
    /// The data files that older ones name.
    pub(super) older: BTreeSet<u64>,
}

/// The checkpoint that a start takes.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) path: PathBuf,
    pub(super) number: u64,
    pub(super) beginning: Beginning,
    pub(super) ending: Ending,
}

impl Check<'_> {
    /// Checks the checkpoints in `dir`, which has `names` in it.
    pub(super) fn checkpoints(&mut self, dir: &Path, names: &[String]) -> Known {
        let numbers = checkpoint::numbers(names);
        for name in names {
            let file = dir.join(name);
            if is_unfinished(name) {
                self.note(What::Unfinished { file });
            } else if !numbers
                .iter()
                .any(|number| checkpoint::path(dir, *number) == file)
            {
                self.note(What::Unknown { file });
            }
        }
        let mut known = Known::default();
        for number in numbers.into_iter().rev() {
            let file = checkpoint::path(dir, number);
            let begin = |_: &Beginning| Ok(Skim::default());
            match checkpoint::read(self.disk, dir, number, begin) {
                Ok(loaded) => self.whole(file, loaded, &mut known),
                Err(OpenError::Disk(fault)) => self.unread(fault),
                Err(error) => self.damage(What::Checkpoint(error)),
            }
            known.lost = known.taken.is_none();
        }
        known
    }

    /// Takes note of a checkpoint whose every byte is right.
    fn whole(&mut self, file: PathBuf, loaded: Loaded<Skim>, known: &mut Known) {
        let Loaded {
            written,
            beginning,
            ending,
            content: Skim { streams },
        } = loaded;
        let totals = &mut self.summary.totals;
        totals.checkpoints += 1;
        totals.streams += streams;
        totals.bytes += written.len;
        if let Some(what) = contradiction(&beginning, &ending, streams) {
            let pos = 0;
            let error = OpenError::Checkpoint { file, pos, what };
            return self.damage(What::Checkpoint(error));
        }
        if known.taken.is_some() {
            known
                .older
                .extend(beginning.files.iter().map(|file| file.number));
            return self.note(What::Superseded { file });
        }
        known.taken = Some(Taken {
            path: file,
            number: written.number,
            beginning,
            ending,
        });
    }
}

/// What cannot be in a checkpoint, whatever the streams are.
fn contradiction(beginning: &Beginning, ending: &Ending, streams: u64) -> Option<&'static str> {
    let numbers = || beginning.files.iter().map(|file| file.number);
    let different: BTreeSet<u64> = numbers().collect();
    [
        (
            ending.keep > beginning.from,
            "it keeps less of the log than it replays",
        ),
        (ending.until < beginning.from, "it ended before it began"),
        (
            beginning.history.below(beginning.from) != beginning.history,
            "it knows an epoch of the future",
        ),
        (
            ending.streams != streams,
            "not as many streams as there should be",
        ),
        (
            numbers().any(|number| number >= beginning.next_file),
            "it names a data file of the future",
        ),
        (
            different.len() < beginning.files.len(),
            "it names a data file twice",
        ),
    ]
    .into_iter()
    .find_map(|(is, what)| is.then_some(what))
}
