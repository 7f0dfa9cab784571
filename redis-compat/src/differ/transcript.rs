//! A conversation as a file: what is said on which connection, and what of the answers is not to be
//! compared. What the answers should be is not in it: a real server says that.
//!
//! ```text
//!  # Documentation: what this conversation is about. Anywhere; for readers only.
//!  > XADD s 1-1 field value           say it on the connection `main`, and hear the reply
//!  @ann> XLEN s                       the same on another connection, opened at its first word
//!  @ann>> XREAD BLOCK 0 STREAMS s $   say it, and go on when the server has parked the client
//!  @ann<                              hear the next reply
//!  @ann< took 200..400                ... which must come 200 to 400 ms after the words
//!  @ann>| CLIENT REPLY OFF            say it, and hear nothing
//!  @ann= "*1\r\n$4\r\nPI" "NG\r\n"    send these bytes, each word in a write of its own
//!  > XADD s * field value => $id      keep the reply: $id in later words is that text, and the
//!                                     text is "$id" in the comparison of all later replies
//!  > XREAD STREAMS s 0 => $id [0][1][0][0]      keep a part of the reply
//!
//!  !waiting 1                         wait until one client is blocked; compare how many are
//!  !close ann                         close the connection
//!  !repeat 300                        say what follows, up to !end, 300 times, with {i} counted up
//!  !end
//!
//!  Before a line, about the reply to it:
//!  !mask idle [0][*][1]               compare only the types of these: named fields, or places
//!  !about 50 idle                     these may differ by so much
//!  !only role ~run_id                 of a map or an INFO text, compare these fields; with ~ only
//!                                     whether they are there; db0.keys is keys of db0:keys=1
//!  !sorted                            the order of the elements is free
//!  !differs WHY                       do not compare: the difference is meant
//!
//!  At the top of the file:
//!  !resp2 WHY                         hold the conversation only in RESP2 (or !resp3)
//!  !since 7.4 WHY                     not with older servers
//!  !also redis-7.0 valkey-9.1         --all compares with these too
//!  !sentinel monitor a 127.0.0.1 1 2  hold it with sentinels, started for it with a file that has
//!                                     this line, and others like it
//! ```

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::compare::{Comparison, Index, Place};
use super::words::{self, WordError};

/// One file.
#[derive(Debug)]
pub(crate) struct Transcript {
    /// The file's name without `.txt`.
    pub(crate) name: String,
    pub(crate) protocols: &'static [Protocol],
    /// The oldest server that this conversation is for.
    pub(crate) since: (u32, u32),
    /// Other servers to compare with.
    pub(crate) also: Vec<String>,
    /// Lines of the file that sentinels are started with; none for a conversation with servers.
    pub(crate) sentinel: Vec<String>,
    pub(crate) steps: Vec<Step>,
}

/// The protocol that a conversation is held in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Resp2,
    Resp3,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resp2 => "RESP2",
            Self::Resp3 => "RESP3",
        })
    }
}

/// One line that does something.
#[derive(Debug)]
pub(crate) struct Step {
    /// Counted from 1.
    pub(crate) line: usize,
    /// The line as it stands, with its braces worked out.
    pub(crate) text: String,
    pub(crate) action: Action,
    pub(crate) comparison: Comparison,
}

/// What a step does. `who` is the connection.
#[derive(Debug)]
pub(crate) enum Action {
    Ask {
        who: String,
        words: Vec<Vec<u8>>,
        keep: Option<Keep>,
    },
    Close {
        who: String,
    },
    Hear {
        who: String,
        took: Option<Range<u64>>,
    },
    Park {
        who: String,
        words: Vec<Vec<u8>>,
    },
    SendRaw {
        who: String,
        pieces: Vec<Vec<u8>>,
    },
    Tell {
        who: String,
        words: Vec<Vec<u8>>,
    },
    Waiting {
        clients: u64,
    },
}

/// A part of a reply that later words refer to.
#[derive(Clone, Debug)]
pub(crate) struct Keep {
    /// With the dollar.
    pub(crate) name: String,
    pub(crate) path: Vec<usize>,
}

/// A line that is not understood.
#[derive(Debug)]
pub(crate) struct Error {
    pub(crate) file: PathBuf,
    pub(crate) line: usize,
    pub(crate) why: Why,
}

#[derive(Debug)]
pub(crate) enum Why {
    Directive,
    File(std::io::Error),
    Operand,
    RepeatWithinRepeat,
    UnclosedRepeat,
    Word(WordError),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.file.display(), self.line)?;
        match &self.why {
            Why::Directive => f.write_str("a line begins with none of # > @ !, or is unknown"),
            Why::File(error) => error.fmt(f),
            Why::Operand => f.write_str("an operand is missing or not understood"),
            Why::RepeatWithinRepeat => f.write_str("a !repeat within a !repeat"),
            Why::UnclosedRepeat => f.write_str("a !repeat without its !end"),
            Why::Word(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

impl From<WordError> for Why {
    fn from(error: WordError) -> Self {
        Self::Word(error)
    }
}

impl Transcript {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// The first line that is not understood.
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let refused = |line, why| Error {
            file: path.to_owned(),
            line,
            why,
        };
        let text = std::fs::read_to_string(path).map_err(|error| refused(0, Why::File(error)))?;
        let name = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        Self::parse(name, &text).map_err(|(line, why)| refused(line, why))
    }

    fn parse(name: String, text: &str) -> Result<Self, (usize, Why)> {
        let mut parser = Parser {
            transcript: Self {
                name,
                protocols: &[Protocol::Resp2, Protocol::Resp3],
                since: (0, 0),
                also: Vec::new(),
                sentinel: Vec::new(),
                steps: Vec::new(),
            },
            comparison: Comparison::default(),
        };
        let mut lines = text.lines().zip(1..);
        while let Some((text, line)) = lines.next() {
            let Some(rounds) = text.trim().strip_prefix("!repeat ") else {
                parser.line(line, text.trim()).map_err(|why| (line, why))?;
                continue;
            };
            let rounds: i64 = rounds.trim().parse().or(Err((line, Why::Operand)))?;
            let mut block = Vec::new();
            loop {
                match lines.next() {
                    Some((text, _)) if text.trim() == "!end" => break,
                    Some((text, line)) if text.trim().starts_with("!repeat") => {
                        return Err((line, Why::RepeatWithinRepeat));
                    }
                    Some((text, line)) => block.push((line, text.trim())),
                    None => return Err((line, Why::UnclosedRepeat)),
                }
            }
            for i in 1..=rounds {
                for &(line, text) in &block {
                    let counted = words::count_up(text, i).map_err(|why| (line, why.into()))?;
                    parser.line(line, &counted).map_err(|why| (line, why))?;
                }
            }
        }
        Ok(parser.transcript)
    }
}

struct Parser {
    transcript: Transcript,
    /// What has been said about the next step.
    comparison: Comparison,
}

impl Parser {
    fn line(&mut self, line: usize, text: &str) -> Result<(), Why> {
        if text.is_empty() || text.starts_with('#') {
            return Ok(());
        }
        let action = if let Some(directive) = text.strip_prefix('!') {
            match self.directive(directive)? {
                Some(action) => action,
                None => return Ok(()),
            }
        } else {
            said(text)?
        };
        let comparison = std::mem::take(&mut self.comparison);
        self.transcript.steps.push(Step {
            line,
            text: text.to_owned(),
            action,
            comparison,
        });
        Ok(())
    }

    /// Notes what is said about the file or the next step; returns what is a step by itself.
    fn directive(&mut self, text: &str) -> Result<Option<Action>, Why> {
        let (directive, operands) = text.split_once(' ').unwrap_or((text, ""));
        let mut operands = operands.split_whitespace();
        let mut first = || operands.next().ok_or(Why::Operand);
        match directive {
            "close" => {
                return Ok(Some(Action::Close {
                    who: first()?.to_owned(),
                }));
            }
            "waiting" => {
                let clients = first()?.parse().or(Err(Why::Operand))?;
                return Ok(Some(Action::Waiting { clients }));
            }
            "about" => {
                let by = first()?.parse().or(Err(Why::Operand))?;
                for operand in operands {
                    self.comparison.about(place(operand)?, by);
                }
            }
            "also" => self.transcript.also.extend(operands.map(str::to_owned)),
            "differs" => {
                first()?;
                self.comparison.differs = true;
            }
            "mask" => {
                for operand in operands {
                    self.comparison.mask(place(operand)?);
                }
            }
            "only" => self.comparison.only = Some(operands.map(str::to_owned).collect()),
            "resp2" | "resp3" => {
                first()?;
                self.transcript.protocols = if directive == "resp2" {
                    &[Protocol::Resp2]
                } else {
                    &[Protocol::Resp3]
                };
            }
            "since" => {
                let (major, minor) = first()?.split_once('.').ok_or(Why::Operand)?;
                let number = |digits: &str| digits.parse().or(Err(Why::Operand));
                self.transcript.since = (number(major)?, number(minor)?);
            }
            "sentinel" => {
                first()?;
                self.transcript.sentinel.push(text.to_owned());
            }
            "sorted" => self.comparison.sorted = true,
            _ => return Err(Why::Directive),
        }
        Ok(None)
    }
}

/// Reads a line that begins with `>` or `@name`.
fn said(text: &str) -> Result<Action, Why> {
    let (who, rest) = match text.strip_prefix('@') {
        Some(named) => {
            let end = named.find(['<', '=', '>']).ok_or(Why::Directive)?;
            (named[..end].trim().to_owned(), &named[end..])
        }
        None => ("main".to_owned(), text),
    };
    if let Some(words) = rest.strip_prefix(">>") {
        return Ok(Action::Park {
            who,
            words: words::split(words)?,
        });
    }
    if let Some(words) = rest.strip_prefix(">|") {
        return Ok(Action::Tell {
            who,
            words: words::split(words)?,
        });
    }
    if let Some(pieces) = rest.strip_prefix('=') {
        return Ok(Action::SendRaw {
            who,
            pieces: words::split(pieces)?,
        });
    }
    if let Some(operand) = rest.strip_prefix('<') {
        let took = match operand.trim().strip_prefix("took ") {
            None if operand.trim().is_empty() => None,
            None => return Err(Why::Operand),
            Some(range) => {
                let (from, to) = range.split_once("..").ok_or(Why::Operand)?;
                let ms = |digits: &str| digits.trim().parse().or(Err(Why::Operand));
                Some(ms(from)?..ms(to)?)
            }
        };
        return Ok(Action::Hear { who, took });
    }
    let Some(rest) = rest.strip_prefix('>') else {
        return Err(Why::Directive);
    };
    let (rest, keep) = match rest.rsplit_once(" => ") {
        Some((rest, keep)) => (rest, Some(kept(keep)?)),
        None => (rest, None),
    };
    Ok(Action::Ask {
        who,
        words: words::split(rest)?,
        keep,
    })
}

fn kept(text: &str) -> Result<Keep, Why> {
    let (name, path) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
    if !name.starts_with('$') || name.len() < 2 {
        return Err(Why::Operand);
    }
    let path = indexes(path.trim())?.into_iter().map(|index| match index {
        Index::At(at) => Ok(at),
        Index::Any => Err(Why::Operand),
    });
    Ok(Keep {
        name: name.to_owned(),
        path: path.collect::<Result<_, _>>()?,
    })
}

fn place(text: &str) -> Result<Place, Why> {
    if text.starts_with('[') {
        return Ok(Place::At(indexes(text)?));
    }
    Ok(if text == "." {
        Place::At(Vec::new())
    } else {
        Place::Named(text.as_bytes().to_vec())
    })
}

/// Reads `[0][*][2]`.
fn indexes(text: &str) -> Result<Vec<Index>, Why> {
    let mut path = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let inside = rest
            .strip_prefix('[')
            .and_then(|inside| inside.split_once(']'));
        let (inside, after) = inside.ok_or(Why::Operand)?;
        path.push(match inside {
            "*" => Index::Any,
            number => Index::At(number.parse().or(Err(Why::Operand))?),
        });
        rest = after;
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Transcript, (usize, Why)> {
        Transcript::parse("test".to_owned(), text)
    }

    #[test]
    fn a_block_is_said_as_often_as_it_says() {
        let parsed = parse("> A\n!repeat 3\n> B {i}\n!mask .\n> C {i*2}\n!end\n> D\n").unwrap();
        let texts: Vec<_> = parsed.steps.iter().map(|step| step.text.as_str()).collect();
        assert_eq!(
            texts,
            [
                "> A", "> B 1", "> C 2", "> B 2", "> C 4", "> B 3", "> C 6", "> D"
            ]
        );
        assert_eq!(parsed.steps[6].line, 5);
    }

    #[test]
    fn each_kind_of_line_is_its_own_action() {
        let text =
            "@a>> X\n@a< took 5..10\n@a>| X\n@a= \"x\"\n!close a\n!waiting 2\n> X => $x [0][1]";
        let steps = parse(text).unwrap().steps;
        assert!(matches!(&steps[0].action, Action::Park { who, .. } if who == "a"));
        assert!(matches!(&steps[1].action, Action::Hear { took: Some(t), .. } if *t == (5..10)));
        assert!(matches!(&steps[2].action, Action::Tell { .. }));
        assert!(matches!(&steps[3].action, Action::SendRaw { pieces, .. } if pieces == &[b"x"]));
        assert!(matches!(&steps[4].action, Action::Close { .. }));
        assert!(matches!(&steps[5].action, Action::Waiting { clients: 2 }));
        let Action::Ask {
            who,
            keep: Some(keep),
            ..
        } = &steps[6].action
        else {
            panic!()
        };
        assert_eq!(
            (who.as_str(), keep.name.as_str(), &*keep.path),
            ("main", "$x", &[0, 1][..])
        );
    }

    #[test]
    fn a_line_that_is_not_understood_is_refused_with_its_number() {
        for (text, line) in [
            ("> A\nB", 2),
            ("!unknown", 1),
            ("!repeat 2\n> A", 1),
            ("!repeat x\n!end", 1),
            ("\n@a< soon", 2),
            ("!differs", 1),
            ("> A => x", 1),
        ] {
            assert_eq!(parse(text).map(|_| ()).unwrap_err().0, line, "{text:?}");
        }
    }
}
