//! Which scripts run when: a queue, without processes.
//!
//! ```text
//!              at most 16 at once                exit 0; or 2 and more, with -script-error
//!  scheduled ---------------------> running -----------------------------------------> gone
//!      ^                              |  |                                               ^
//!      |   30 s, 60 s, 120 s, ...     |  |  60 s: killed, with -script-timeout           |
//!      +------------------------------+  |                                               |
//!              exit 1, or a signal       +------------ the tenth time, with -script-error +
//! ```
//!
//! A queue that is full loses the oldest script that does not run.

use std::collections::VecDeque;

use super::notice::{Event, SCRIPT_ENDS, SCRIPT_ERROR, SCRIPT_STARTS, SCRIPT_TIMEOUT};
use super::timers::Timers;

/// A script to be run. Numbers are never used twice in one life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ScriptNo(pub(crate) u64);

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Code(i32),
    /// It could not be started.
    NotStarted,
    Signal(i32),
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Start(ScriptNo, Vec<Box<str>>),
    Kill(ScriptNo),
    Tell(Event, String),
}

const RUNNING_MAX: usize = 16;
const QUEUE_MAX: usize = 256;
const TRIES_MAX: u32 = 10;

/// What a script that could not be started says instead of its code.
const NOT_STARTED_CODE: i32 = 99;

#[derive(Debug)]
struct Job {
    no: ScriptNo,
    /// The path of the program, and its arguments.
    argv: Vec<Box<str>>,
    is_running: bool,
    is_killed: bool,
    pid: u32,
    /// When it began, or may begin.
    at_ms: u64,
    tries: u32,
}

/// A script that has not come to its end, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pending {
    pub(crate) argv: Vec<Box<str>>,
    pub(crate) is_running: bool,
    pub(crate) pid: u32,
    /// For how long it has been running, or has to wait.
    pub(crate) ms: u64,
    pub(crate) tries: u32,
}

#[derive(Debug, Default)]
pub(crate) struct Scripts {
    last: u64,
    queue: VecDeque<Job>,
}

impl Scripts {
    /// Has a program run, with these arguments behind its path.
    pub(crate) fn schedule(&mut self, argv: &[&str]) {
        self.last += 1;
        self.queue.push_back(Job {
            no: ScriptNo(self.last),
            argv: argv.iter().map(|&word| word.into()).collect(),
            is_running: false,
            is_killed: false,
            pid: 0,
            at_ms: 0,
            tries: 0,
        });
        if self.queue.len() > QUEUE_MAX
            && let Some(oldest) = self.queue.iter().position(|job| !job.is_running)
        {
            self.queue.remove(oldest);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(crate) fn running(&self) -> usize {
        self.queue.iter().filter(|job| job.is_running).count()
    }

    pub(crate) fn pending(&self, now_ms: u64) -> Vec<Pending> {
        let pending = |job: &Job| Pending {
            argv: job.argv.clone(),
            is_running: job.is_running,
            pid: job.pid,
            ms: match job.is_running {
                true => now_ms.saturating_sub(job.at_ms),
                false => job.at_ms.saturating_sub(now_ms),
            },
            tries: job.tries,
        };
        self.queue.iter().map(pending).collect()
    }

    /// Starts what may begin, and kills what takes too long.
    pub(crate) fn tick(&mut self, now_ms: u64, timers: &Timers) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut running = self.running();
        for job in &mut self.queue {
            if !job.is_running && running < RUNNING_MAX && job.at_ms <= now_ms {
                running += 1;
                (job.is_running, job.is_killed) = (true, false);
                (job.at_ms, job.pid) = (now_ms, 0);
                job.tries += 1;
                steps.push(Step::Start(job.no, job.argv.clone()));
            }
        }
        for job in &mut self.queue {
            let is_late = now_ms.saturating_sub(job.at_ms) > timers.script_max_runtime_ms;
            if job.is_running && is_late && !job.is_killed {
                job.is_killed = true;
                let text = format!("{} {}", job.argv[0], job.pid);
                steps.push(Step::Tell(SCRIPT_TIMEOUT, text));
                steps.push(Step::Kill(job.no));
            }
        }
        steps
    }

    /// A process is there.
    pub(crate) fn started(&mut self, no: ScriptNo, pid: u32) -> Option<Step> {
        let job = self.queue.iter_mut().find(|job| job.no == no)?;
        job.pid = pid;
        Some(Step::Tell(SCRIPT_STARTS, pid.to_string()))
    }

    /// A process has ended, or there never was one.
    pub(crate) fn ended(
        &mut self,
        no: ScriptNo,
        how: Ended,
        now_ms: u64,
        timers: &Timers,
    ) -> Vec<Step> {
        let Some(at) = self.queue.iter().position(|job| job.no == no) else {
            return Vec::new();
        };
        let job = &mut self.queue[at];
        let (code, signal) = match how {
            Ended::Code(code) => (code, 0),
            Ended::NotStarted => (NOT_STARTED_CODE, 0),
            Ended::Signal(signal) => (0, signal),
        };
        let path = job.argv[0].clone();
        let mut steps = Vec::new();
        if how == Ended::NotStarted {
            // Its order of numbers differs, and is Redis'.
            steps.push(Step::Tell(SCRIPT_ERROR, format!("{path} {code} 0")));
        } else {
            let text = format!("{} {code} {signal}", job.pid);
            steps.push(Step::Tell(SCRIPT_ENDS, text));
        }
        let may_come_right = how == Ended::NotStarted || signal != 0 || code == 1;
        if may_come_right && job.tries < TRIES_MAX {
            let delay_ms = timers.script_retry_delay_ms << (job.tries - 1);
            (job.is_running, job.pid) = (false, 0);
            job.at_ms = now_ms + delay_ms;
            return steps;
        }
        if how != Ended::NotStarted && (code != 0 || signal != 0) {
            let text = format!("{path} {signal} {code}");
            steps.push(Step::Tell(SCRIPT_ERROR, text));
        }
        self.queue.remove(at);
        steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(no: u64, argv: &[&str]) -> Step {
        let argv = argv.iter().map(|&word| word.into()).collect();
        Step::Start(ScriptNo(no), argv)
    }

    fn tell(event: Event, text: &str) -> Step {
        Step::Tell(event, text.to_owned())
    }

    #[test]
    fn a_script_that_succeeds_runs_once() {
        let (mut scripts, timers) = (Scripts::default(), Timers::default());
        scripts.schedule(&["/bin/tell", "+sdown", "master orders 10.0.0.1 6379"]);
        let began = start(1, &["/bin/tell", "+sdown", "master orders 10.0.0.1 6379"]);
        assert_eq!(scripts.tick(5, &timers), [began]);
        assert_eq!(
            scripts.started(ScriptNo(1), 4711),
            Some(tell(SCRIPT_STARTS, "4711"))
        );
        assert_eq!(scripts.tick(105, &timers), []);
        let pending = &scripts.pending(105)[0];
        assert_eq!((pending.is_running, pending.pid), (true, 4711));
        assert_eq!((pending.ms, pending.tries), (100, 1));
        assert_eq!(
            scripts.ended(ScriptNo(1), Ended::Code(0), 110, &timers),
            [tell(SCRIPT_ENDS, "4711 0 0")]
        );
        assert_eq!(scripts.len(), 0);
    }

    #[test]
    fn what_may_come_right_is_tried_ever_less_often_and_ten_times_at_most() {
        for how in [Ended::Code(1), Ended::Signal(9), Ended::NotStarted] {
            let (mut scripts, timers) = (Scripts::default(), Timers::default());
            scripts.schedule(&["/bin/tell"]);
            let (mut now_ms, mut delays) = (0, Vec::new());
            loop {
                assert_eq!(scripts.tick(now_ms, &timers), [start(1, &["/bin/tell"])]);
                let steps = scripts.ended(ScriptNo(1), how, now_ms, &timers);
                let Some(pending) = scripts.pending(now_ms).pop() else {
                    let last = match how {
                        Ended::Code(_) => "/bin/tell 0 1",
                        Ended::Signal(_) => "/bin/tell 9 0",
                        Ended::NotStarted => "/bin/tell 99 0",
                    };
                    assert_eq!(steps.last(), Some(&tell(SCRIPT_ERROR, last)));
                    break;
                };
                assert_eq!(steps.len(), 1);
                assert!(!pending.is_running);
                assert_eq!(scripts.tick(now_ms + pending.ms - 1, &timers), []);
                delays.push(pending.ms / 1000);
                now_ms += pending.ms;
            }
            assert_eq!(delays, [30, 60, 120, 240, 480, 960, 1920, 3840, 7680]);
        }
    }

    #[test]
    fn what_cannot_come_right_is_not_tried_again() {
        let (mut scripts, timers) = (Scripts::default(), Timers::default());
        scripts.schedule(&["/bin/tell"]);
        scripts.tick(0, &timers);
        scripts.started(ScriptNo(1), 5);
        assert_eq!(
            scripts.ended(ScriptNo(1), Ended::Code(2), 0, &timers),
            [
                tell(SCRIPT_ENDS, "5 2 0"),
                tell(SCRIPT_ERROR, "/bin/tell 0 2")
            ]
        );
        assert_eq!(scripts.len(), 0);
    }

    #[test]
    fn what_takes_too_long_is_killed_once() {
        let (mut scripts, timers) = (Scripts::default(), Timers::default());
        scripts.schedule(&["/bin/tell"]);
        scripts.tick(0, &timers);
        scripts.started(ScriptNo(1), 5);
        assert_eq!(scripts.tick(60_000, &timers), []);
        assert_eq!(
            scripts.tick(60_001, &timers),
            [tell(SCRIPT_TIMEOUT, "/bin/tell 5"), Step::Kill(ScriptNo(1))]
        );
        assert_eq!(scripts.tick(60_101, &timers), []);
    }

    #[test]
    fn so_many_run_at_once_and_so_many_wait() {
        let (mut scripts, timers) = (Scripts::default(), Timers::default());
        for number in 0..300 {
            scripts.schedule(&["/bin/tell", &number.to_string()]);
            if number == 20 {
                assert_eq!(scripts.tick(0, &timers).len(), RUNNING_MAX);
            }
        }
        assert_eq!((scripts.len(), scripts.running()), (256, 16));
        let pending = scripts.pending(0);
        assert_eq!(*pending[15].argv[1], *"15");
        // The oldest of those who waited are gone.
        assert_eq!(*pending[16].argv[1], *"60");
        scripts.ended(ScriptNo(1), Ended::Code(0), 0, &timers);
        assert_eq!(scripts.tick(0, &timers).len(), 1);
    }
}
