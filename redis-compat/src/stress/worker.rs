//! One client with streams of its own.
//!
//! It asks, and compares every reply with what its models say it must be. When the connection is
//! lost, what was asked last may have been done, or a part of it, from the front. So whenever it
//! has connected it reads all of its streams and finds out how far the server got: some beginning
//! of the lost pipeline, no shorter than what was answered, must explain everything.

use std::thread;

use super::audit::{Found, Trouble, no_reply, shortened};
use super::author::{Author, Pipeline};
use super::model::{Hint, Stream};
use super::op::Op;
use super::stage::{LOOK, Stage, now};
use crate::connection::{Answer, Connection, encode};
use crate::reply::Reply;

/// What the workers do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// The streams of each worker. The first one is large.
    pub(super) streams: usize,
    /// About how many entries the large one holds at most; the others hold up to 40.
    pub(super) entries: usize,
    /// Whether consumers read again what is pending for them.
    pub(super) history: bool,
}

/// See the module.
pub(super) struct Worker<'a> {
    stage: &'a Stage,
    number: usize,
    author: Author,
    ledgers: Vec<Ledger>,
}

/// What is known of one stream.
struct Ledger {
    key: String,
    /// What its entries are made from.
    seed: u64,
    model: Stream,
    /// The number of the next entry. Never used again, not even when the stream has gone.
    serial: u64,
    target: usize,
    /// The pipeline whose outcome is not known, and to how many of its commands there were replies.
    unsettled: Option<(Pipeline, usize)>,
}

impl<'a> Worker<'a> {
    pub(super) fn new(stage: &'a Stage, number: usize, seed: u64, shape: Shape) -> Self {
        let ledger = |stream: usize| Ledger {
            key: format!("stress-{number}-{stream}"),
            seed: seed ^ ((number as u64) << 32 | stream as u64),
            model: Stream::default(),
            serial: 0,
            target: if stream == 0 { shape.entries } else { 40 },
            unsettled: None,
        };
        Self {
            stage,
            number,
            author: Author::new(seed.wrapping_add(number as u64 + 1), shape.history),
            ledgers: (0..shape.streams).map(ledger).collect(),
        }
    }

    /// Works until all is over.
    pub(super) fn run(&mut self) {
        while let Some((mut connection, round)) = self.stage.connect(self.number) {
            match self.work(&mut connection, round) {
                Ok(()) => return,
                Err(Trouble::Lost) => thread::sleep(LOOK),
                Err(Trouble::Wrong(what)) => return self.stage.fail(what),
            }
        }
    }

    fn work(&mut self, connection: &mut Connection, round: u64) -> Result<(), Trouble> {
        self.audit(connection)?;
        self.stage.is_content(round);
        while !self.stage.is_over() {
            let at = self.author.stream(self.ledgers.len());
            let ledger = &mut self.ledgers[at];
            let (model, serial) = (&ledger.model, ledger.serial);
            let pipeline = self.author.pipeline(model, ledger.target, serial);
            ledger.exchange(self.stage, connection, &pipeline)?;
        }
        Ok(())
    }

    /// Compares all that the server holds of its streams with what it must hold.
    ///
    /// # Errors
    ///
    /// [`Trouble::Wrong`] when something is not as it must be.
    pub(super) fn audit(&mut self, connection: &mut Connection) -> Result<(), Trouble> {
        for ledger in &mut self.ledgers {
            let found = Found::read(connection, &ledger.key, ledger.seed);
            let found = found.map_err(|trouble| ledger.about(trouble))?;
            ledger.settle(&found).map_err(Trouble::Wrong)?;
            self.stage.totals.audited(found.entries.len());
        }
        Ok(())
    }
}

impl Ledger {
    /// Sends a pipeline and checks every reply.
    fn exchange(
        &mut self,
        stage: &Stage,
        connection: &mut Connection,
        pipeline: &Pipeline,
    ) -> Result<(), Trouble> {
        let mut wire = Vec::new();
        if pipeline.atomic {
            encode(&["MULTI"], &mut wire);
        }
        for op in &pipeline.ops {
            encode(&op.words(&self.key, self.seed), &mut wire);
            if matches!(op, Op::Add { .. }) {
                self.serial += 1;
            }
        }
        if pipeline.atomic {
            encode(&["EXEC"], &mut wire);
        }
        stage.totals.sent(wire.len());
        let asked = now();
        let sent = connection.send_raw(&wire);
        let mut replies = Vec::new();
        let heard = match sent {
            Ok(()) => receive(connection, pipeline, &mut replies),
            Err(error) => Err(Trouble::Wrong(error.to_string())),
        };
        let told = self.check(stage, pipeline, &replies, asked)?;
        if told < pipeline.ops.len() {
            stage.totals.unknown();
            let rest = Pipeline {
                ops: pipeline.ops[told..].to_vec(),
                atomic: pipeline.atomic,
            };
            self.unsettled = Some((rest, replies.len() - told));
        }
        heard
    }

    /// Holds the replies against what they must be, and says how many commands they account for.
    /// The pipeline was sent after `asked`.
    fn check(
        &mut self,
        stage: &Stage,
        pipeline: &Pipeline,
        replies: &[Reply],
        asked: u64,
    ) -> Result<usize, Trouble> {
        for (at, (op, reply)) in pipeline.ops.iter().zip(replies).enumerate() {
            if stage.disk_fails && is_disk_fault(reply) {
                stage.totals.refused();
                continue;
            }
            let trims = matches!(op, Op::Add { trim: Some(trim), .. } if trim.approximately);
            if trims && at + 1 == replies.len() {
                // What it trimmed is in the next reply.
                return Ok(at);
            }
            let hint = Hint::Replies(&replies[at..]);
            let must = self.model.apply(op, hint, &self.key, self.seed);
            let wrong = match must {
                Ok(must) if must == *reply => {
                    stage.totals.answered(op, reply);
                    if op.has_changed(reply) {
                        stage.acknowledged(asked);
                    }
                    continue;
                }
                Ok(must) => format!("must be {}", shortened(&must)),
                Err(why) => why,
            };
            let wrong = format!("{op:?} was answered {}: {wrong}", shortened(reply));
            return Err(self.about(Trouble::Wrong(wrong)));
        }
        Ok(replies.len())
    }

    /// Finds out how far the server got with the pipeline that was not answered.
    fn settle(&mut self, found: &Found) -> Result<(), String> {
        let nothing = Pipeline {
            ops: Vec::new(),
            atomic: false,
        };
        let (pipeline, least) = self.unsettled.take().unwrap_or((nothing, 0));
        let all = pipeline.ops.len();
        let mut model = self.model.clone();
        let mut attempts = Vec::new();
        for done in 0..=all {
            if done >= least && (!pipeline.atomic || done == 0 || done == all) {
                match model.differs(found) {
                    None => {
                        self.model = model;
                        return Ok(());
                    }
                    Some(difference) => attempts.push(format!("after {done}: {difference}")),
                }
            }
            if let Some(op) = pipeline.ops.get(done)
                && let Err(why) = model.apply(op, Hint::Found(found), &self.key, self.seed)
            {
                attempts.push(format!("after {}: {why}", done + 1));
                break;
            }
        }
        let mut lines = vec![format!(
            "{}: what is there is not what must be, whatever was done of {all} unanswered commands \
             (at least {least}{}): {:?}",
            self.key,
            if pipeline.atomic { ", or none" } else { "" },
            pipeline.ops,
        )];
        lines.extend(attempts);
        Err(lines.join("\n  "))
    }

    fn about(&self, trouble: Trouble) -> Trouble {
        match trouble {
            Trouble::Lost => Trouble::Lost,
            Trouble::Wrong(what) => Trouble::Wrong(format!("{}: {what}", self.key)),
        }
    }
}

/// Takes the replies of a pipeline's own commands as far as they come.
fn receive(
    connection: &mut Connection,
    pipeline: &Pipeline,
    replies: &mut Vec<Reply>,
) -> Result<(), Trouble> {
    let mut next = |what: &str| match connection.answer() {
        // It leads no more, and has not done this, nor what comes behind it.
        Answer::Reply(reply) if is_of_a_replica(&reply) => Err(Trouble::Lost),
        Answer::Reply(reply) => Ok(reply),
        other => Err(no_reply(&other, what)),
    };
    if !pipeline.atomic {
        for op in &pipeline.ops {
            replies.push(next(&format!("{op:?}"))?);
        }
        return Ok(());
    }
    for _ in 0..=pipeline.ops.len() {
        let reply = next("MULTI")?;
        if reply.is_error() {
            return Err(Trouble::Wrong(format!("in MULTI: {}", shortened(&reply))));
        }
    }
    match next("EXEC")? {
        Reply::Array(all) if all.len() == pipeline.ops.len() => replies.extend(all),
        // All of it was refused, so each of it.
        refused if is_disk_fault(&refused) => {
            replies.extend(pipeline.ops.iter().map(|_| refused.clone()));
        }
        other => return Err(Trouble::Wrong(format!("EXEC: {}", shortened(&other)))),
    }
    Ok(())
}

/// Whether the server says that it is a replica.
fn is_of_a_replica(reply: &Reply) -> bool {
    let aborted = b"EXECABORT Transaction discarded because of: READONLY ";
    let says = |text: &Vec<u8>| text.starts_with(b"READONLY ") || text.starts_with(aborted);
    matches!(reply, Reply::Error(text) if says(text))
}

/// Whether the server says that its disk is full or broken.
fn is_disk_fault(reply: &Reply) -> bool {
    matches!(reply, Reply::Error(text) if text.starts_with(b"MISCONF "))
}
