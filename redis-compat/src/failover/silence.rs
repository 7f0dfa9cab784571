//! The longest time without a sign of life.

use std::sync::Mutex;
use std::time::{Duration, Instant};

/// The longest time without a sign of life.
pub(super) struct Silence(Mutex<(Instant, Duration)>);

impl Silence {
    pub(super) fn new() -> Self {
        Self(Mutex::new((Instant::now(), Duration::ZERO)))
    }

    /// What was before does not count.
    pub(super) fn begin(&self) {
        if let Ok(mut silence) = self.0.lock() {
            *silence = (Instant::now(), Duration::ZERO);
        }
    }

    /// There is one.
    pub(super) fn broken(&self) {
        if let Ok(mut silence) = self.0.lock() {
            let (last, longest) = *silence;
            *silence = (Instant::now(), longest.max(last.elapsed()));
        }
    }

    pub(super) fn longest(&self) -> Duration {
        self.0.lock().map_or(Duration::ZERO, |silence| silence.1)
    }
}
