//! Which numbers have come, each of a known many: a bit for each.

use super::fault::Fault;

/// Which of the numbers below a bound have come.
pub(super) struct Seen {
    bits: Vec<u64>,
    bound: u64,
    missing: u64,
}

impl Seen {
    /// None of the numbers below `bound`.
    pub(super) fn none(bound: u64) -> Self {
        let words = usize::try_from(bound.div_ceil(64)).expect("as many as fit into memory");
        Self {
            bits: vec![0; words],
            bound,
            missing: bound,
        }
    }

    /// Notes that a number has come; whether it is the first time.
    ///
    /// # Errors
    ///
    /// [`Fault::Wrong`] if it is none of them.
    pub(super) fn note(&mut self, number: u64) -> Result<bool, Fault> {
        if number >= self.bound {
            return Err(Fault::Wrong("nothing that was not added"));
        }
        let word = usize::try_from(number / 64).expect("below the bound");
        let bit = 1 << (number % 64);
        let first = self.bits[word] & bit == 0;
        self.bits[word] |= bit;
        self.missing -= u64::from(first);
        Ok(first)
    }

    /// Whether all have come.
    pub(super) fn is_all(&self) -> bool {
        self.missing == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_comes_first_once() {
        let mut seen = Seen::none(65);
        for number in 0..65 {
            assert!(!seen.is_all());
            assert!(seen.note(number).unwrap());
            assert!(!seen.note(number).unwrap());
        }
        assert!(seen.is_all());
        assert!(seen.note(65).is_err());
    }
}
