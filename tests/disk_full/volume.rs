//! A small disk of our own: an ext4 image on a loop device.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// Says that nothing can be mounted on this machine, so that these tests prove nothing.
const NO_MOUNT: &str = "HEADWATER_NO_MOUNT";

/// A mounted file system. Dropping it takes it away; nothing may use it any more then.
pub(crate) struct Volume {
    /// Where the image lies, and the point where it is mounted.
    dir: TempDir,
    device: String,
}

impl Volume {
    /// Makes a file system of so many bytes that becomes read-only when something is wrong with
    /// it. `None` when the environment says that nothing can be mounted here.
    ///
    /// # Panics
    ///
    /// It cannot be made.
    pub(crate) fn new(bytes: u64) -> Option<Self> {
        if std::env::var_os(NO_MOUNT).is_some() {
            println!("SKIPPED: {NO_MOUNT} is set, so nothing is known of disks that fill up");
            return None;
        }
        let dir = TempDir::new().unwrap();
        let image = dir.path().join("image");
        File::create(&image).unwrap().set_len(bytes).unwrap();
        let image = image.to_str().unwrap();
        // No blocks are kept for root, which this is.
        run(&["mkfs.ext4", "-q", "-m", "0", image]);
        let device = run(&["losetup", "--find", "--show", image]);
        let volume = Self {
            device: device.trim().to_owned(),
            dir,
        };
        fs::create_dir(volume.path()).unwrap();
        volume.mount();
        Some(volume)
    }

    /// Where it is mounted.
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("mounted")
    }

    fn mount(&self) {
        let path = self.path();
        let path = path.to_str().unwrap();
        run(&["mount", "-o", "errors=remount-ro", &self.device, path]);
    }

    /// Repairs it and mounts it again, as after a restart of the machine.
    pub(crate) fn remount(&self) {
        run(&["umount", self.path().to_str().unwrap()]);
        // 1: there was something to repair, and it is.
        let checked = Command::new("e2fsck").args(["-fy", &self.device]).output();
        let checked = checked.unwrap();
        assert!(matches!(checked.status.code(), Some(0 | 1)), "{checked:?}");
        self.mount();
    }

    /// Makes the kernel find the file system broken, whereupon nothing is written any more.
    pub(crate) fn break_down(&self) {
        let name = Path::new(&self.device).file_name().unwrap();
        let name = name.to_str().unwrap();
        fs::write(format!("/sys/fs/ext4/{name}/trigger_fs_error"), "1").unwrap();
    }

    /// Bytes that are free.
    pub(crate) fn free(&self) -> u64 {
        let found = rustix::fs::statvfs(self.path().as_path()).unwrap();
        found.f_bavail * found.f_frsize
    }

    /// A file that takes space. Removing it gives the space back.
    pub(crate) fn ballast(&self, bytes: u64) -> PathBuf {
        let path = self.path().join("ballast");
        let file = File::create(&path).unwrap();
        let zero = rustix::fs::FallocateFlags::empty();
        rustix::fs::fallocate(&file, zero, 0, bytes).unwrap();
        path
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        // Nothing can be done about what fails.
        drop(Command::new("umount").arg(self.path()).status());
        drop(Command::new("losetup").args(["-d", &self.device]).status());
    }
}

/// Runs a command and returns what it prints.
fn run(words: &[&str]) -> String {
    let output = Command::new(words[0]).args(&words[1..]).output();
    let explain = |what: String| -> ! {
        panic!(
            "{words:?}: {what}. This test mounts a small ext4 image: it needs root, loop devices \
             and e2fsprogs. Where that is impossible, {NO_MOUNT}=1 leaves it out"
        )
    };
    match output {
        Ok(output) if output.status.success() => String::from_utf8(output.stdout).unwrap(),
        Ok(output) => explain(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(error) => explain(error.to_string()),
    }
}
