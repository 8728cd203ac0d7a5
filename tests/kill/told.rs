//! [`told!`]: what passed, and which faults landed.

/// As `println!`, to standard error, with the test's name, and past what the test harness captures of a test that passes:
/// each run shows it.
macro_rules! told {
    ($($text:tt)*) => {{
        let thread = std::thread::current();
        let line = format!("{}: {}\n", thread.name().unwrap_or("a test"), format_args!($($text)*));
        // Nobody reads it if that fails.
        let _ = std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes());
    }};
}
