//! Whole pipelines under simulated time.
use proptest as _;
