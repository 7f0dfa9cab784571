//! One of two stores, and what lies between them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use headwater_store::disk::{Disk, SimDisk};
use headwater_store::log::LogOptions;
use headwater_store::{
    Agreement, Budgets, FramesError, HistoryId, Lsn, OpenError, Opening, Received, Store,
    StoreOptions,
};

/// Bytes of a frame's header.
pub(crate) const HEADER: usize = 36;

pub(crate) fn dir() -> &'static Path {
    Path::new("/store")
}

pub(crate) fn options(role: Opening) -> StoreOptions {
    StoreOptions {
        log: LogOptions {
            segment_bytes: 8192,
            reserve_bytes: 0,
            // What the other one may still need.
            retain: 1 << 30,
            ..LogOptions::default()
        },
        role,
        budgets: Budgets {
            settle_after: 0,
            checkpoint_after: 0,
        },
        cache_bytes: 64 << 10,
    }
}

/// An id that is drawn once.
pub(crate) fn id(number: u32) -> HistoryId {
    let mut bytes = [0; HistoryId::BYTES];
    bytes[..4].copy_from_slice(&number.to_le_bytes());
    HistoryId::new(bytes)
}

pub(crate) fn lead(number: u32) -> Opening {
    Opening::Lead(id(number))
}

/// Opens a store whose checkpoints wait for nobody.
pub(crate) fn open(disk: &SimDisk, role: Opening) -> Result<Arc<Store>, OpenError> {
    open_in(disk, dir(), role)
}

fn open_in(disk: &SimDisk, dir: &Path, role: Opening) -> Result<Arc<Store>, OpenError> {
    let store = Store::open(Arc::new(disk.clone()), dir, options(role))?;
    store.set_agreement(Agreement {
        upto: None,
        patience: Duration::ZERO,
    });
    Ok(store)
}

/// A store and its disk.
pub(crate) struct Node {
    pub(crate) disk: SimDisk,
    /// There is always one, save while it is opened again.
    store: Option<Arc<Store>>,
    /// What has arrived and was not a whole frame yet.
    pub(crate) arrived: Vec<u8>,
}

impl Node {
    pub(crate) fn new(role: Opening) -> Self {
        let disk = SimDisk::new();
        let store = Some(open(&disk, role).expect("the disk works"));
        Self {
            disk,
            store,
            arrived: Vec::new(),
        }
    }

    pub(crate) fn store(&self) -> &Arc<Store> {
        self.store.as_ref().expect("it is open")
    }

    pub(crate) fn end(&self) -> Lsn {
        self.store().log().appended()
    }

    pub(crate) fn dump(&self) -> String {
        self.store().dump().expect("the disk works")
    }

    pub(crate) fn reopen(&mut self, role: Opening) {
        self.store().close().expect("the disk works");
        self.become_disk(self.disk.clone(), role);
    }

    /// Closes the store, for somebody who changes the directory.
    pub(crate) fn close(&mut self) {
        self.store().close().expect("the disk works");
        self.store = None;
        self.arrived.clear();
    }

    /// Goes on from what is on a disk.
    pub(crate) fn become_disk(&mut self, disk: SimDisk, role: Opening) {
        self.store = None;
        self.arrived.clear();
        self.disk = disk;
        self.store = Some(open(&self.disk, role).expect("the disk works"));
    }

    /// Goes on from a copy that lies elsewhere on a disk.
    pub(crate) fn become_copy(&mut self, disk: &SimDisk, copy: &Path) {
        self.store = None;
        self.arrived.clear();
        self.disk = disk.after_kill();
        self.disk
            .rename(copy, Path::new("/replica"))
            .expect("it is there");
        let store = open_in(&self.disk, Path::new("/replica"), Opening::Follow);
        self.store = Some(store.expect("the disk works"));
    }

    /// Takes what has arrived, as far as it is whole frames.
    pub(crate) fn take(&mut self) -> Received {
        let received = self.store().receive(&self.arrived);
        let received = received.unwrap_or_else(|refused| panic!("{refused}"));
        self.arrived.drain(..received.consumed);
        received
    }

    /// Everything from `from` on that is written.
    pub(crate) fn frames(&self, from: Lsn) -> Result<Vec<u8>, FramesError> {
        let mut all = Vec::new();
        loop {
            let at = from.plus(all.len() as u64);
            let log = self.store().log();
            let more = log.frames(at, 1000, |frames| {
                all.extend_from_slice(frames);
                frames.len()
            })?;
            if more == 0 {
                return Ok(all);
            }
        }
    }
}

/// Cuts bytes into frames.
pub(crate) fn cut(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let len = u32::from_le_bytes(bytes[4..8].try_into().expect("it is four bytes long"));
        let (frame, rest) = bytes.split_at(HEADER + len as usize);
        frames.push(frame.to_vec());
        bytes = rest;
    }
    frames
}

/// What must be the same in both logs: all but the checksum and the witness.
pub(crate) fn shared(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = cut(bytes);
    for frame in &mut frames {
        frame[..4].fill(0);
        frame[16..24].fill(0);
    }
    frames
}
