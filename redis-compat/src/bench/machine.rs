//! What the figures were measured on, and where a thread runs.
//!
//! A number without its machine is worth little: the report begins with these facts, and with the
//! time of one `fdatasync`, from which the rows with `always` can be checked by hand.

use super::{clock, fault::Fault};
use rustix::{
    fs::{fdatasync, statvfs, syncfs},
    system::uname,
    thread::{CpuSet, sched_setaffinity},
};
use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::Path,
    thread::available_parallelism,
    time::Duration,
};

/// Which processors the two sides run on.
#[derive(Clone, Debug)]
pub(super) struct Cores {
    pub(super) server: Vec<usize>,
    pub(super) load: Vec<usize>,
}

/// Confines the calling thread, and what it starts from now on, to these processors.
///
/// # Errors
///
/// When there is no such processor, or this process may not use it.
pub(super) fn pin(cores: &[usize]) -> Result<(), Fault> {
    let mut set = CpuSet::new();
    for &core in cores {
        if core >= CpuSet::MAX_CPU {
            return Err(io::Error::from(io::ErrorKind::InvalidInput).into());
        }
        set.set(core);
    }
    Ok(sched_setaffinity(None, &set)?)
}

/// The kernel, the processor and the file system of `dir`, in one line.
pub(super) fn facts(dir: &Path) -> String {
    let uname = uname();
    let cores = available_parallelism().map_or(1, usize::from);
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    format!(
        "{} {}, {cores} x {}, {}",
        uname.sysname().to_string_lossy(),
        uname.release().to_string_lossy(),
        value_of(&cpuinfo, "model name").unwrap_or("unknown processor"),
        file_system(dir).unwrap_or_else(|| "unknown file system".to_owned()),
    )
}

/// The kind of the file system that holds `dir`.
pub(super) fn file_system(dir: &Path) -> Option<String> {
    mounted_at(
        &fs::read_to_string("/proc/self/mountinfo").ok()?,
        &dir.canonicalize().ok()?,
    )
}

/// The median time of writing one page at the end of a file in `dir` and syncing it.
///
/// # Errors
///
/// What the file system returns.
pub(super) fn sync_time(dir: &Path) -> io::Result<Duration> {
    const TIMES: usize = 200;
    let path = dir.join("sync");
    let mut file = File::create(&path)?;
    let mut times = Vec::with_capacity(TIMES);
    for _ in 0..TIMES {
        let begun = clock::now();
        file.write_all(&[b'.'; 4096])?;
        fdatasync(&file)?;
        times.push(clock::elapsed(begun));
    }
    fs::remove_file(path)?;
    times.sort_unstable();
    Ok(times[TIMES / 2])
}

/// Writes all that is waiting for the file system of `dir`, and empties the page cache of the
/// machine: of all that no process has mapped, nothing is in memory afterwards.
///
/// # Errors
///
/// [`Fault::Setting`] for who may not do that; what the file system returns.
pub(super) fn drop_caches(dir: &Path) -> Result<(), Fault> {
    sync(dir)?;
    let all = fs::write("/proc/sys/vm/drop_caches", "3");
    all.map_err(|error| Fault::Setting(format!("emptying the page cache wants root: {error}")))
}

/// Writes all that is waiting for the file system of `dir`.
///
/// # Errors
///
/// What the file system returns.
pub(super) fn sync(dir: &Path) -> io::Result<()> {
    Ok(syncfs(File::open(dir)?)?)
}

/// Bytes that are free for files in `dir`.
///
/// # Errors
///
/// What the file system returns.
pub(super) fn free_bytes(dir: &Path) -> io::Result<u64> {
    let found = statvfs(dir)?;
    Ok(found.f_bavail * found.f_frsize)
}

/// How long it takes to read the files below `dir` one after the other, and nothing else, up to
/// `most` bytes, and how many bytes that were.
///
/// # Errors
///
/// What the file system returns.
pub(super) fn read_time(dir: &Path, most: u64) -> io::Result<(u64, Duration)> {
    let mut buffer = vec![0; 1 << 20];
    let (mut bytes, mut dirs) = (0, vec![dir.to_owned()]);
    let begun = clock::now();
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            if path.is_dir() {
                dirs.push(path);
                continue;
            }
            let mut file = File::open(path)?;
            while bytes < most {
                match file.read(&mut buffer)? {
                    0 => break,
                    read => bytes += read as u64,
                }
            }
        }
    }
    Ok((bytes, clock::elapsed(begun)))
}

/// How long these processors were not idle since the machine came up, whoever had them; the
/// machine's host too, where it tells. Counted in steps of 10 ms.
///
/// # Errors
///
/// When the kernel does not tell.
pub(super) fn busy(cores: &[usize]) -> io::Result<Duration> {
    let stat = fs::read_to_string("/proc/stat")?;
    Ok(cores
        .iter()
        .map(|&core| busy_in(&stat, core).unwrap_or_default())
        .sum())
}

/// The line of `core`: user, nice, system, idle, iowait, irq, softirq, steal; what follows is
/// contained in user and nice.
fn busy_in(stat: &str, core: usize) -> Option<Duration> {
    /// `USER_HZ`, the unit of the kernel's interface, is 1/100 s whatever its clock is.
    const STEP_MS: u64 = 10;
    let name = format!("cpu{core}");
    let line = stat
        .lines()
        .find(|line| line.split(' ').next() == Some(&name))?;
    let numbers = line.split(' ').skip(1).take(8).enumerate();
    let at_work = numbers.filter(|&(at, _)| at != 3 && at != 4);
    let steps: Option<u64> = at_work.map(|(_, number)| number.parse::<u64>().ok()).sum();
    Some(Duration::from_millis(steps? * STEP_MS))
}

/// The text behind `name` and a colon, in the manner of `/proc/cpuinfo` and `/proc/PID/status`.
pub(super) fn value_of<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim_end() == name).then(|| value.trim())
    })
}

/// The kind of the mount that lies deepest on the way to `dir`; of two at one place, the later.
fn mounted_at(mountinfo: &str, dir: &Path) -> Option<String> {
    mountinfo
        .lines()
        .filter_map(|line| {
            let (place, source) = line.split_once(" - ")?;
            let point = Path::new(place.split(' ').nth(4)?);
            let kind = source.split(' ').next()?;
            dir.starts_with(point)
                .then(|| (point.components().count(), kind.to_owned()))
        })
        .max_by_key(|&(depth, _)| depth)
        .map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_and_latest_mount_holds_a_directory() {
        let mounts = "22 1 254:0 / / rw - ext4 /dev/vda rw\n\
            23 22 0:5 / /dev rw,nosuid shared:2 - devtmpfs dev rw\n\
            24 22 0:6 / /home/a rw - tmpfs tmpfs rw\n\
            25 22 0:7 / /home/a rw - xfs /dev/vdb rw\n";
        for (dir, kind) in [
            ("/home/ab", "ext4"),
            ("/home/a/b", "xfs"),
            ("/dev", "devtmpfs"),
        ] {
            assert_eq!(
                mounted_at(mounts, Path::new(dir)).as_deref(),
                Some(kind),
                "{dir}"
            );
        }
    }

    #[test]
    fn a_processor_is_busy_while_it_neither_idles_nor_waits() {
        let stat = "cpu  9 9 9 9 9 9 9 9 9 9\ncpu0 5 5 5 5 5 5 5 5 5 5\n\
            cpu1 100 20 3 5000 6000 7 8 9 100 20\ncpu11 1 1 1 1 1 1 1 1 1 1\nintr 5\n";
        assert_eq!(busy_in(stat, 1), Some(Duration::from_millis(1470)));
        assert_eq!(busy_in(stat, 2), None);
    }

    #[test]
    fn a_value_is_what_follows_the_whole_name() {
        let status = "VmRSSx:\t1 kB\nVmRSS:\t  812 kB\nRssAnon:\t300 kB\n";
        assert_eq!(value_of(status, "VmRSS"), Some("812 kB"));
        assert_eq!(value_of(status, "Rss"), None);
    }
}
