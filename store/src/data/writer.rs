//! Writes one data file.
//!
//! ```text
//!  begin_extent  node entry entry ..  node entry ..  end_extent   begin_extent ..   finish
//! ```
//!
//! The file is a [fresh one](FreshFile) until it is finished: an error of the disk ends the writing
//! and nothing else, and dropping the writer removes it.

use std::sync::Arc;

use super::Data;
use super::block::{BlockBuilder, NodeHead};
use super::envelope::Address;
use super::extent::{Extent, ExtentRow};
use super::file::{self, DataFile};
use super::index::IndexBuilder;
use crate::disk::FreshFile;
use crate::error::DiskError;
use crate::id::{StreamId, StreamNo};
use crate::record::Fields;

/// Bytes that are written at once.
const STEP: usize = 1 << 20;

/// A data file in the making. Dropped before it is finished, it leaves nothing behind.
pub(crate) struct FileWriter {
    data: Arc<Data>,
    number: u64,
    file: FreshFile,
    /// Whole blocks that have not been written yet.
    buffer: Vec<u8>,
    making: Option<Making>,
    rows: Vec<ExtentRow>,
}

/// An extent in the making.
struct Making {
    stream: StreamNo,
    pos: u64,
    block: BlockBuilder,
    index: IndexBuilder,
    node: Option<Node>,
    nodes: u32,
}

/// The node that entries go to.
#[derive(Copy, Clone)]
struct Node {
    head: NodeHead,
    /// It has a piece in the block that is being made.
    placed: bool,
}

impl FileWriter {
    pub(super) fn create(data: &Arc<Data>, number: u64) -> Result<Self, DiskError> {
        Ok(Self {
            file: FreshFile::create(data.disk.clone(), &file::path(&data.dir, number))?,
            data: data.clone(),
            number,
            buffer: file::header(number).to_vec(),
            making: None,
            rows: Vec::new(),
        })
    }

    /// Begins an extent of this stream's entries.
    ///
    /// # Panics
    ///
    /// When one has been begun and not ended.
    pub(crate) fn begin_extent(&mut self, stream: StreamNo) {
        assert!(self.making.is_none(), "one extent is made at a time");
        self.making = Some(Making {
            stream,
            pos: self.end(),
            block: BlockBuilder::default(),
            index: IndexBuilder::default(),
            node: None,
            nodes: 0,
        });
    }

    /// Begins a node, or another part of the last one. The entries that follow are its; there may
    /// be none.
    ///
    /// # Panics
    ///
    /// When no extent has been begun, or the node does not follow the one before.
    pub(crate) fn node(&mut self, head: NodeHead) {
        let making = self.making.as_mut().expect("a node is in an extent");
        making.place_node();
        making.nodes += u32::from(making.nodes == 0 || !head.continues);
        making.node = Some(Node {
            head,
            placed: false,
        });
    }

    /// Adds an entry to the node that was begun last.
    ///
    /// # Errors
    ///
    /// Whatever the disk refuses. The writer can only be dropped then.
    ///
    /// # Panics
    ///
    /// When no node has been begun, or the ID does not follow the one before, or is not within what
    /// the node says.
    pub(crate) fn entry(&mut self, id: StreamId, fields: Fields<'_>) -> Result<(), DiskError> {
        let making = self.making.as_mut().expect("an entry is in an extent");
        if !making.block.is_empty() && !making.block.has_room(fields.resp) {
            self.seal_block()?;
        }
        let making = self.making.as_mut().expect("an entry is in an extent");
        making.place_node();
        making.block.entry(id, fields);
        Ok(())
    }

    /// Ends the extent; whether there is one: without entries there is none.
    ///
    /// # Errors
    ///
    /// Whatever the disk refuses. The writer can only be dropped then.
    ///
    /// # Panics
    ///
    /// When no extent has been begun.
    pub(crate) fn end_extent(&mut self) -> Result<bool, DiskError> {
        let making = self.making.as_mut().expect("an extent was begun");
        if making.block.is_empty() {
            self.making = None;
            return Ok(false);
        }
        making.place_node();
        self.seal_block()?;
        let making = self.making.take().expect("an extent was begun");
        let index_pos = self.end();
        if making.index.len() > 1 {
            let address = making.address(self.number, index_pos);
            making.index.seal(&mut self.buffer, address);
        }
        let end_pos = self.end();
        let blocks = making.index.summary();
        self.rows.push(ExtentRow {
            stream: making.stream,
            pos: making.pos,
            bytes: end_pos - making.pos,
            index_bytes: u32::try_from(end_pos - index_pos).expect("a sealed block's length fits"),
            entries: blocks.entries,
            nodes: making.nodes,
            first: blocks.first,
            last: blocks.last,
            end: blocks.end,
            continues: blocks.continues,
        });
        self.write_step()?;
        Ok(true)
    }

    /// How long the file is so far, not counting its end.
    pub(crate) fn bytes(&self) -> u64 {
        let open = self.making.as_ref();
        self.end() + open.map_or(0, |making| making.block.bytes() as u64)
    }

    /// Completes the file, makes it durable and gives it to the store. The extents are in the order
    /// in which they were begun.
    ///
    /// # Errors
    ///
    /// Whatever the disk refuses. There is no file then, if that can be helped; the next start
    /// removes what is left.
    ///
    /// # Panics
    ///
    /// When an extent has been begun and not ended.
    pub(crate) fn finish(mut self) -> Result<(Arc<DataFile>, Vec<Arc<Extent>>), DiskError> {
        assert!(self.making.is_none(), "the last extent was ended");
        let table = self.end();
        file::put_footer(&mut self.buffer, self.number, table, &self.rows);
        let len = self.end();
        self.write()?;
        self.file.sync()?;
        self.file.finish()?;
        let file = Arc::new(DataFile::new(&self.data.dir, self.number, len));
        let extents = self.rows.iter().map(|&row| Extent::new(file.clone(), row));
        let extents = extents.collect();
        self.data.add(file.clone());
        Ok((file, extents))
    }

    fn end(&self) -> u64 {
        self.file.len() + self.buffer.len() as u64
    }

    fn seal_block(&mut self) -> Result<(), DiskError> {
        let pos = self.end();
        let making = self.making.as_mut().expect("a block is in an extent");
        let address = making.address(self.number, pos);
        making
            .index
            .seal_block(&mut making.block, &mut self.buffer, address);
        if let Some(node) = making.node.as_mut().filter(|node| node.placed) {
            // If more of it follows, that is another piece of it.
            node.placed = false;
            node.head.continues = true;
            node.head.deleted = 0;
        }
        self.write_step()
    }

    fn write_step(&mut self) -> Result<(), DiskError> {
        if self.buffer.len() < STEP {
            return Ok(());
        }
        self.write()
    }

    fn write(&mut self) -> Result<(), DiskError> {
        self.file.append(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }
}

impl Making {
    fn address(&self, file: u64, pos: u64) -> Address {
        Address {
            file,
            pos,
            stream: self.stream,
        }
    }

    /// Gives the node its piece in the block that is being made.
    fn place_node(&mut self) {
        if let Some(node) = self.node.as_mut().filter(|node| !node.placed) {
            node.placed = true;
            self.block.piece(node.head);
        }
    }
}
