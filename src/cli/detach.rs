//! The keys that leave a container's terminal and let the container run on:
//! Ctrl-P, then Ctrl-Q, as Docker has them.

const CTRL_P: u8 = 0x10;
const CTRL_Q: u8 = 0x11;

/// Finds the keys among all that are typed.
#[derive(Debug, Default)]
pub struct DetachKeys {
    /// Ctrl-P came last, and is held back until the next key.
    held: bool,
}

impl DetachKeys {
    /// What of `typed` goes to the program, and whether the keys came; what
    /// was typed after them is nobody's.
    pub fn pass(&mut self, typed: &[u8]) -> (Vec<u8>, bool) {
        let mut passed = Vec::with_capacity(typed.len() + 1);
        for key in typed {
            if self.held && *key == CTRL_Q {
                self.held = false;
                return (passed, true);
            }
            if std::mem::replace(&mut self.held, *key == CTRL_P) {
                passed.push(CTRL_P);
            }
            if !self.held {
                passed.push(*key);
            }
        }
        (passed, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_sequence_detaches_and_no_other_key_is_lost() {
        for (chunks, passed, detached) in [
            (&["ab"][..], "ab", false),
            (&["a\x10\x11b"], "a", true),
            (&["a\x10", "\x11"], "a", true),
            (&["a\x10", "b\x11"], "a\x10b\x11", false),
            (&["\x10\x10\x11"], "\x10", true),
            (&["\x11\x10"], "\x11", false),
        ] {
            let mut keys = DetachKeys::default();
            let mut all = Vec::new();
            let mut left = false;
            for chunk in chunks {
                let (some, end) = keys.pass(chunk.as_bytes());
                all.extend(some);
                left |= end;
            }
            assert_eq!(
                (all.as_slice(), left),
                (passed.as_bytes(), detached),
                "{chunks:?}"
            );
        }
    }
}
