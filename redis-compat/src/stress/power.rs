//! The server on a machine that loses its power.
//!
//! ```text
//!  this process                         User-mode Linux: a whole kernel as a process
//!    workers ----- TCP over a tap ------> server --> file system --> page cache --> /dev/nbd0
//!    disk with a volatile cache <---------- NBD over the same tap --------------------'
//!
//!  cut: the disk stops and loses what chance will, and SIGKILL ends the kernel with its page cache
//! ```
//!
//! The machine's root is this one's file system, read-only, so the program under test runs in it as
//! it is. The workers and their models stay outside: what was acknowledged is not forgotten.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use super::disk::Disk;
use super::stage::Stage;
use super::victim::{Fault, Gone, Victim, judge_words};
use crate::chance::Chance;
use crate::cleanup;
use crate::process::{Process, serve};

/// More than a run writes: the disk is not to be full.
const DISK_BYTES: u64 = 4 << 30;
const MEMORY: &str = "mem=256M";
const PORT: u16 = 6379;

/// What is needed beside the program under test, and Debian's packages that have it.
const NEEDED: [(&str, &str); 6] = [
    ("linux.uml", "user-mode-linux"),
    ("nbd-client", "nbd-client"),
    ("mkfs.ext4", "e2fsprogs"),
    ("mkfs.xfs", "xfsprogs"),
    ("insmod", "kmod"),
    ("ip", "iproute2"),
];

/// Which file system the data lies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum FileSystem {
    Ext4,
    Xfs,
}

/// A machine and its disk.
pub(super) struct Machine {
    process: Process,
    program: PathBuf,
    directives: Vec<String>,
    dir: PathBuf,
    file_system: FileSystem,
    disk: Disk,
    tap: Tap,
    /// How much all lives before this one have printed.
    printed: usize,
    /// Writes that the last cut caught before they were flushed.
    caught: usize,
}

impl Machine {
    /// Makes the disk and the network. Installs what is missing.
    ///
    /// # Errors
    ///
    /// When this is not root, or not Debian, or has no `/dev/net/tun`.
    pub(super) fn new(
        program: PathBuf,
        dir: &Path,
        directives: Vec<String>,
        file_system: FileSystem,
    ) -> Result<Self, Fault> {
        install()?;
        let image = dir.join("disk");
        fs::File::create(&image)?.set_len(DISK_BYTES)?;
        match file_system {
            FileSystem::Ext4 => run("mkfs.ext4", &["-q".as_ref(), image.as_os_str()])?,
            FileSystem::Xfs => run("mkfs.xfs", &["-q".as_ref(), image.as_os_str()])?,
        }
        let tap = Tap::new()?;
        Ok(Self {
            process: Process::new(dir.join("console")),
            program,
            directives,
            dir: dir.to_owned(),
            file_system,
            disk: Disk::serve(&image, tap.outside())?,
            tap,
            printed: 0,
            caught: 0,
        })
    }

    /// What the machine does: it mounts its disk, serves, and switches itself off.
    fn script(&self, chance: Option<&mut Chance>) -> String {
        let (inside, outside) = (self.tap.inside(), self.tap.outside());
        let kind = match self.file_system {
            FileSystem::Ext4 => "ext4",
            FileSystem::Xfs => "xfs",
        };
        let options = match (self.file_system, chance) {
            (FileSystem::Ext4, Some(chance)) => {
                chance.one_of(&["commit=1", "commit=5", "commit=999"])
            }
            _ => "rw",
        };
        let mut server = serve(
            &self.program,
            SocketAddr::from((inside, PORT)),
            Path::new("/run/disk/data"),
            &self.directives,
        );
        server.args(["--protected-mode", "no"]);
        let words: Vec<_> = std::iter::once(server.get_program())
            .chain(server.get_args())
            .map(quoted)
            .collect();
        format!(
            "#!/bin/sh\n\
             export PATH=/usr/sbin:/usr/bin:/sbin:/bin\n\
             mount -t proc proc /proc\n\
             mount -t sysfs sys /sys\n\
             mount -t tmpfs run /run\n\
             mkdir /run/disk\n\
             ip link set lo up\n\
             ip addr add {inside}/30 dev vec0\n\
             ip link set vec0 up\n\
             insmod /usr/lib/uml/modules/$(uname -r)/kernel/drivers/block/nbd.ko nbds_max=1\n\
             nbd-client -N disk {outside} {port} /dev/nbd0 &&\n\
             mount -t {kind} -o {options} /dev/nbd0 /run/disk &&\n\
             {server} &&\n\
             umount /run/disk &&\n\
             echo the server ended well\n\
             echo o >/proc/sysrq-trigger\n\
             sleep 60\n",
            port = self.disk.port(),
            server = words.join(" "),
        )
    }
}

impl Victim for Machine {
    fn address(&self) -> SocketAddr {
        SocketAddr::from((self.tap.inside(), PORT))
    }

    fn prelude(&self) -> u64 {
        2000
    }

    fn start(&mut self, chance: Option<&mut Chance>) -> Result<(), Fault> {
        self.printed = self.process.printed();
        let script = self.dir.join("init");
        fs::write(&script, self.script(chance))?;
        run("chmod", &["+x".as_ref(), script.as_os_str()])?;
        let mut machine = Command::new("linux.uml");
        machine.args([
            MEMORY,
            "root=none",
            "rootfstype=hostfs",
            "hostfs=/",
            "ro",
            "quiet",
        ]);
        machine.args(["con=null", "con0=null,fd:1"]);
        machine.arg(format!("vec0:transport=tap,gro=1,ifname={}", self.tap.name));
        machine.arg(option("init=", &script));
        machine.arg(option("uml_dir=", &self.dir.join("uml")));
        self.process.start(&mut machine)?;
        Ok(())
    }

    fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.process.ended()
    }

    fn kill(&mut self, chance: &mut Chance) -> Result<Gone, Fault> {
        self.caught = self.disk.cut(chance)?;
        self.process.kill()?;
        Ok(Gone::Everybody)
    }

    fn judge(&mut self, stage: &Stage, ended: Option<ExitStatus>) -> Result<(), String> {
        stage.totals.caught(std::mem::take(&mut self.caught));
        judge_words(&self.last_words(), ended)
    }

    fn last_words(&self) -> String {
        self.process.said_from(self.printed)
    }
}

/// A network of two: this machine, and the one inside. It goes when the value is dropped.
struct Tap {
    name: String,
    /// The third number of its addresses.
    net: u8,
}

impl Tap {
    fn new() -> Result<Self, Fault> {
        let pid = std::process::id();
        let tap = Self {
            name: format!("hw{pid}"),
            net: u8::try_from(pid % 250).unwrap_or_default(),
        };
        let (name, address) = (&*tap.name, format!("{}/30", tap.outside()));
        let ip = |words: &str| run("ip", &words.split(' ').map(OsStr::new).collect::<Vec<_>>());
        ip(&format!("tuntap add dev {name} mode tap"))?;
        cleanup::at_the_end(&["ip", "link", "delete", name]);
        ip(&format!("addr add {address} dev {name}"))?;
        ip(&format!("link set {name} up"))?;
        Ok(tap)
    }

    fn outside(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 213, self.net, 1)
    }

    fn inside(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 213, self.net, 2)
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        let words = ["link", "delete", &self.name].map(OsStr::new);
        // It may be gone.
        let _ = run("ip", &words);
    }
}

/// Installs Debian's packages of what is missing.
fn install() -> Result<(), Fault> {
    let has = |program: &str| {
        let dirs = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];
        dirs.iter().any(|dir| Path::new(dir).join(program).exists())
    };
    let missing = NEEDED.iter().filter(|(program, _)| !has(program));
    let packages: Vec<&OsStr> = missing.map(|(_, package)| OsStr::new(package)).collect();
    if packages.is_empty() {
        return Ok(());
    }
    let quiet = ["-qq", "-o", "Dpkg::Use-Pty=0"].map(OsStr::new);
    run("apt-get", &[&quiet[..], &["update".as_ref()]].concat())?;
    let install = ["install", "--yes", "--no-install-recommends"].map(OsStr::new);
    run("apt-get", &[&quiet[..], &install, &packages].concat())
}

fn run(program: &str, words: &[&OsStr]) -> Result<(), Fault> {
    let output = Command::new(program).args(words).output();
    let why = match output {
        Ok(output) if output.status.success() => return Ok(()),
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => error.to_string(),
    };
    let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    Err(Fault::Setting(format!(
        "{program} {}: {why}; cutting the power wants root, Debian and /dev/net/tun",
        words.join(" ")
    )))
}

fn option(name: &str, path: &Path) -> std::ffi::OsString {
    let mut option = std::ffi::OsString::from(name);
    option.push(path);
    option
}

/// A word for the shell.
fn quoted(word: &OsStr) -> String {
    format!("'{}'", word.to_string_lossy().replace('\'', r"'\''"))
}
