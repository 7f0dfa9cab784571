//! The data files: each for itself, and against the checkpoint that names it.

use std::collections::BTreeMap;
use std::path::Path;

use super::checkpoints::Known;
use super::streams::Extents;
use super::{Check, Severity, What};
use crate::data::{ExtentRow, Name, verify};
use crate::error::{DataError, Flaw};

impl Check<'_> {
    /// Checks the data files in `dir`, which has `names` in it, and that all are there that are
    /// needed. Returns the extents of those that are whole.
    pub(super) fn data(&mut self, dir: &Path, names: &[String], known: &Known) -> Extents {
        let mut extents = Extents::new();
        let named = known.taken.iter().flat_map(|taken| &taken.beginning.files);
        let mut named: BTreeMap<u64, u64> = named.map(|file| (file.number, file.len)).collect();
        for name in names {
            match Name::parse(name) {
                Some(Name::Whole(number)) => {
                    let made = named.remove(&number);
                    let rows = self.data_file(dir, number, made, known);
                    if let (Some(rows), Some(_)) = (rows, made) {
                        extents.insert(number, rows);
                    }
                }
                Some(unfinished @ Name::Unfinished(_)) => {
                    let file = unfinished.path(dir);
                    self.note(What::Unfinished { file });
                }
                None => {
                    let file = dir.join(name);
                    self.note(What::Unknown { file });
                }
            }
        }
        for number in named.into_keys() {
            let taken = known.taken.as_ref().expect("a checkpoint names it");
            self.damage(What::Missing {
                file: Name::Whole(number).path(dir),
                checkpoint: taken.path.clone(),
            });
        }
        extents
    }

    /// Checks a data file that the checkpoint says has `made` bytes, if it names the file. Returns
    /// its extents, if nothing is wrong with it.
    fn data_file(
        &mut self,
        dir: &Path,
        number: u64,
        made: Option<u64>,
        known: &Known,
    ) -> Option<Vec<ExtentRow>> {
        let file = Name::Whole(number).path(dir);
        let is_needed = made.is_some() || known.lost;
        if known.older.contains(&number) && !is_needed {
            self.note(What::Superseded { file: file.clone() });
        } else if !is_needed {
            self.note(What::Orphan { file: file.clone() });
        }
        let verdict = verify(self.disk, dir, number);
        let totals = &mut self.summary.totals;
        totals.data_files += 1;
        totals.extents += verdict.extents.len() as u64;
        totals.entries += { verdict.extents.iter() }
            .map(|extent| u64::from(extent.entries))
            .sum::<u64>();
        totals.bytes += verdict.len;
        let mut findings = verdict.findings;
        if let Some(made) = made.filter(|made| *made != verdict.len && findings.is_empty()) {
            let flaw = Flaw::Length {
                len: verdict.len,
                made,
            };
            findings.push(DataError::Corrupt { file, pos: 0, flaw });
        }
        let is_whole = findings.is_empty();
        for finding in findings {
            let severity = match &finding {
                _ if !is_needed => Severity::Note,
                DataError::Corrupt { .. } => Severity::Damage,
                DataError::Disk(_) => Severity::Unread,
            };
            self.found(severity, What::Data(finding));
        }
        is_whole.then_some(verdict.extents)
    }
}
