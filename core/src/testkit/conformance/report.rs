//! [`Report`]: what a run of the suite came to.

use std::fmt;

/// What the suite found out about one connector.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a report says whether the connector holds: ask for `assert_holds`"]
pub struct Report {
    /// What was checked.
    pub subject: String,
    /// The checks, in the order in which they were made.
    pub checks: Vec<Check>,
}

/// One check and how it came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What should hold.
    pub name: &'static str,
    /// Whether it does.
    pub verdict: Verdict,
}

/// Whether what a check is about holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It does; this was seen.
    Holds(Seen),
    /// It can't be asked of this connector, or the suite was not given what it takes.
    NotApplicable(String),
    /// It does not: what was expected and what was found.
    Broken(String),
}

/// What was seen while a check was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen {
    /// Records that passed.
    pub records: u64,
    /// Faults that landed: crashes, stalls, drains, refusals. `None` for a check that makes none.
    pub faults: Option<u64>,
}

/// What was expected and what was found.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Broken(pub(super) String);

/// What a check returns: `NotApplicable` is no breach.
pub(super) type Checked = Result<Verdict, Broken>;

impl Report {
    /// Those that don't hold.
    pub fn broken(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| matches!(check.verdict, Verdict::Broken(_)))
    }

    /// The verdict of the check of this name, if it was made.
    pub fn verdict(&self, name: &str) -> Option<&Verdict> {
        self.checks.iter().find(|check| check.name == name).map(|check| &check.verdict)
    }

    /// Shows the report on standard error (which test harnesses keep unless the test fails).
    ///
    /// # Panics
    /// If a check is broken, or if none could be made.
    #[track_caller]
    pub fn assert_holds(&self) {
        #[expect(clippy::print_stderr, reason = "a report of tests belongs where their output goes")]
        {
            eprint!("{self}");
        }
        assert!(self.broken().next().is_none(), "{} doesn't conform:\n{self}", self.subject);
        let made = self.checks.iter().filter(|check| matches!(check.verdict, Verdict::Holds(_))).count();
        assert!(made > 0, "nothing could be checked of {}:\n{self}", self.subject);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.subject)?;
        self.checks.iter().try_for_each(|check| writeln!(f, "  {check}"))
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.replace('_', " ");
        match &self.verdict {
            Verdict::Holds(seen) => write!(f, "holds           {name} ({seen})"),
            Verdict::NotApplicable(why) => write!(f, "not applicable  {name}: {why}"),
            Verdict::Broken(how) => write!(f, "BROKEN          {name}: {how}"),
        }
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} records", self.records)?;
        self.faults.map_or(Ok(()), |faults| write!(f, ", {faults} faults"))
    }
}

impl Check {
    /// The check as it came out. One in which nothing happened shows nothing, and is broken.
    pub(super) fn of(name: &'static str, checked: Checked) -> Self {
        let verdict = match checked {
            Ok(Verdict::Holds(seen)) if seen.faults == Some(0) => {
                Verdict::Broken("none of its faults landed: give it an input that lasts longer".into())
            }
            Ok(verdict) => verdict,
            Err(Broken(how)) => Verdict::Broken(how),
        };
        Self { name, verdict }
    }
}

/// A check of a suite, and its name.
pub(super) type Named<S> = (&'static str, fn(&S) -> Checked);

/// It holds, and this was seen; records must have passed.
pub(super) fn holds(records: u64, faults: Option<u64>) -> Checked {
    ensure(records > 0, || "no record passed: nothing was shown".into())?;
    Ok(Verdict::Holds(Seen { records, faults }))
}

/// It can't be asked.
pub(super) fn not_applicable(why: impl Into<String>) -> Checked {
    Ok(Verdict::NotApplicable(why.into()))
}

/// Breaks the check unless `holds`.
pub(super) fn ensure(holds: bool, how: impl FnOnce() -> String) -> Result<(), Broken> {
    if holds { Ok(()) } else { Err(Broken(how())) }
}

/// Breaks the check unless both are the same.
pub(super) fn same<T: PartialEq + fmt::Debug>(what: &str, found: &[T], expected: &[T]) -> Result<(), Broken> {
    if found == expected {
        return Ok(());
    }
    let at = found.iter().zip(expected).take_while(|(found, expected)| found == expected).count();
    Err(Broken(format!(
        "{what}: expected {} records, found {}; they differ from record {at} on: expected {:?}, found {:?}",
        expected.len(),
        found.len(),
        expected.get(at),
        found.get(at)
    )))
}
