//! What the kernel knows about the process of a server: processor time, memory, files, storage.

use super::{fault::Fault, machine::value_of};
use rustix::process::Pid;
use std::{fs, io, os::unix::fs::MetadataExt as _, path::Path, time::Duration};

/// Bytes of memory a process holds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Memory {
    /// Its own (`RssAnon`): what no page cache can give back.
    pub(super) anonymous: u64,
    /// All that is resident (`VmRSS`), with the files it maps.
    pub(super) resident: u64,
}

/// Bytes that a process has made the storage move, whole pages or sectors, since it began.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Storage {
    /// What was not in the page cache.
    pub(super) read: u64,
    /// What it has changed in the page cache, or written past it.
    pub(super) written: u64,
}

/// A process, looked at from outside.
#[derive(Clone, Copy, Debug)]
pub(super) struct Process(Pid);

impl Process {
    /// The process of this number.
    pub(super) fn of(pid: Pid) -> Self {
        Self(pid)
    }

    /// How long its threads have been on a processor, those that have ended left out.
    ///
    /// # Errors
    ///
    /// When it has ended; so for all of them.
    pub(super) fn cpu(self) -> Result<Duration, Fault> {
        let mut nanos = 0;
        for task in fs::read_dir(self.path("task"))? {
            // A thread may end between the two looks.
            let text = fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
            nanos += text
                .split(' ')
                .next()
                .and_then(|time| time.parse().ok())
                .unwrap_or(0);
        }
        Ok(Duration::from_nanos(nanos))
    }

    /// What it holds in memory.
    pub(super) fn memory(self) -> Result<Memory, Fault> {
        let status = fs::read_to_string(self.path("status"))?;
        let bytes = |name| {
            let text = value_of(&status, name)?;
            Some(text.strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
        };
        Ok(Memory {
            anonymous: bytes("RssAnon").unwrap_or_default(),
            resident: bytes("VmRSS").unwrap_or_default(),
        })
    }

    /// What it has moved to and from storage.
    pub(super) fn storage(self) -> Result<Storage, Fault> {
        let text = fs::read_to_string(self.path("io"))?;
        let bytes = |name| value_of(&text, name).and_then(|bytes| bytes.parse().ok());
        match (bytes("read_bytes"), bytes("write_bytes")) {
            (Some(read), Some(written)) => Ok(Storage { read, written }),
            _ => Err(Fault::Wrong("read_bytes and write_bytes in /proc/PID/io")),
        }
    }

    /// How many descriptors it has open.
    pub(super) fn descriptors(self) -> Result<u64, Fault> {
        Ok(fs::read_dir(self.path("fd"))?.count() as u64)
    }

    fn path(self, name: &str) -> String {
        format!("/proc/{}/{name}", self.0.as_raw_nonzero())
    }
}

/// Bytes that the files below `dir` take on disk. What is removed meanwhile takes none.
///
/// # Errors
///
/// What the file system returns.
pub(super) fn disk_bytes(dir: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    let Some(entries) = there(fs::read_dir(dir))? else {
        return Ok(0);
    };
    for entry in entries {
        let entry = entry?;
        if let Some(metadata) = there(entry.metadata())? {
            bytes += if metadata.is_dir() {
                disk_bytes(&entry.path())?
            } else {
                metadata.blocks() * 512
            };
        }
    }
    Ok(bytes)
}

/// What there is, if it is there.
fn there<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn a_process_has_memory_descriptors_and_storage() {
        let us = Process::of(rustix::process::getpid());
        let memory = us.memory().unwrap();
        assert!(0 < memory.anonymous && memory.anonymous < memory.resident);
        let before = us.descriptors().unwrap();
        let files: Vec<File> = (0..50).map(|_| File::open("/dev/null").unwrap()).collect();
        // Other tests of this process open and close some, too.
        assert!(us.descriptors().unwrap() >= before + 25);
        drop(files);
        assert!(us.storage().is_ok());
        assert!(us.cpu().unwrap() > Duration::ZERO);
    }

    #[test]
    fn the_space_of_a_directory_includes_what_lies_deeper() {
        let dir = tempfile::tempdir().unwrap();
        let deeper = dir.path().join("a/b");
        fs::create_dir_all(&deeper).unwrap();
        let before = disk_bytes(dir.path()).unwrap();
        fs::write(deeper.join("file"), vec![1; 1 << 20]).unwrap();
        File::open(deeper.join("file")).unwrap().sync_all().unwrap();
        assert!(disk_bytes(dir.path()).unwrap() >= before + (1 << 20));
        assert_eq!(disk_bytes(&dir.path().join("gone")).unwrap(), 0);
    }
}
