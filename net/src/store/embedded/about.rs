//! Whose the store is: telling another pipeline, other settings or another input from the ones it was made by.

use millstream_core::contracts::{Opened, around_difference};

/// What differs, as half a sentence; `None` if the store is theirs.
pub(super) fn differing(there: &Opened, here: &Opened) -> Option<String> {
    if there.pipeline != here.pipeline {
        return Some(format!("it is of the pipeline `{}`, and this one is `{}`", there.pipeline, here.pipeline));
    }
    if there.input != here.input {
        let (there, here) = around_difference(&there.input, &here.input);
        return Some(format!("its input is `{there}`, and this run's is `{here}`"));
    }
    if there.fingerprint != here.fingerprint {
        let (there, here) = around_difference(&there.fingerprint, &here.fingerprint);
        return Some(format!("the pipeline has changed since: it did `{there}`, and now does `{here}`"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(pipeline: &str, fingerprint: &str, input: &str) -> Opened {
        Opened { pipeline: pipeline.into(), fingerprint: fingerprint.into(), input: input.into() }
    }

    #[test]
    fn nothing_differs_between_equals() {
        assert_eq!(differing(&opened("p", "f", "i"), &opened("p", "f", "i")), None);
    }

    #[test]
    fn the_first_thing_that_differs_is_named() {
        let there = opened("p", "f", "a.txt");
        assert!(differing(&there, &opened("q", "g", "b.txt")).unwrap().contains("pipeline `p`, and this one is `q`"));
        assert!(differing(&there, &opened("p", "g", "b.txt")).unwrap().contains("`a.txt`, and this run's is `b.txt`"));
        assert!(differing(&there, &opened("p", "g", "a.txt")).unwrap().contains("it did `f`, and now does `g`"));
    }
}
