//! [`Output`]: what is declared about a file that is written.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use millstream_core::contracts::{Compression, Framing};

/// A file to write records to.
#[derive(Clone)]
pub struct Output {
    pub(super) path: PathBuf,
    pub(super) begin: Begin,
    pub(super) framing: Arc<dyn Framing>,
    pub(super) compression: Option<Arc<dyn Compression>>,
}

/// Where the first record is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begin {
    /// In a new file, or where an earlier run of the same pipeline has committed.
    Anew,
    /// Behind what there is.
    AtEnd,
}

impl Output {
    /// An output that holds what this pipeline makes and nothing else. In a run with a state folder it is written
    /// exactly-once and never overwritten: what stands at this path and is not of this pipeline is an error. In a run
    /// without one it is replaced, as a whole, at the end; until then the records stand in a file of another name
    /// beside it, and are lost with a run that doesn't end well.
    ///
    /// Its folder has to exist. A symbolic link is followed.
    pub fn create(path: impl AsRef<Path>, framing: impl Framing) -> Self {
        Self::new(path.as_ref(), Begin::Anew, Arc::new(framing))
    }

    /// An output that is appended to, and made if it isn't there: for dead letters and logs. What a crash tore off is
    /// ended first, so that it stays a record of its own. At-least-once.
    ///
    /// The framing has to end each record by the same bytes, as lines do, and to need neither header nor footer.
    pub fn append(path: impl AsRef<Path>, framing: impl Framing) -> Self {
        Self::new(path.as_ref(), Begin::AtEnd, Arc::new(framing))
    }

    fn new(path: &Path, begin: Begin, framing: Arc<dyn Framing>) -> Self {
        Self { path: path.to_owned(), begin, framing, compression: None }
    }

    /// Compressed; not compressed by default. Each commit ends a member of the stream, so that the output can be read
    /// up to there: 20 bytes or so each time, and a little less to compress by.
    #[must_use]
    pub fn compression(self, compression: impl Compression) -> Self {
        Self { compression: Some(Arc::new(compression)), ..self }
    }

    /// The form of the bytes: what must not change while an output is written exactly-once.
    pub(super) fn form(&self) -> String {
        match &self.compression {
            Some(compression) => format!("{}, {}", self.framing.name(), compression.name()),
            None => self.framing.name(),
        }
    }

    pub(super) fn describe(&self) -> String {
        format!("{} ({})", self.path.display(), self.form())
    }

    pub(super) fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        if self.path.file_name().is_none() {
            mistakes.push(format!("the output `{}` names no file: give the path of one", self.path.display()));
        }
        if self.begin == Begin::AtEnd {
            self.mistakes_of_appending(&mut mistakes);
        }
        if self.compression.is_some() && self.has_head() {
            mistakes.push(format!(
                "{} can't be compressed as a whole, because what is written as {} begins with what is needed to go on \
                 with it: leave the compression away, and choose the codec of the format if it has one",
                self.path.display(),
                self.framing.name()
            ));
        }
        mistakes
    }

    /// Whether a stream begins with bytes without which it can't be gone on with.
    pub(super) fn has_head(&self) -> bool {
        !matches!(self.framing.head(&[], false), Ok(Some(0)))
    }

    fn mistakes_of_appending(&self, mistakes: &mut Vec<String>) {
        if self.compression.is_some() {
            mistakes.push(format!(
                "{} can't be appended to compressed, because what a crash tore off could not be ended: leave the \
                 compression away, or use `create`",
                self.path.display()
            ));
        }
        let (mut writer, mut around) = (self.framing.writer(), Vec::new());
        writer.header(&mut around);
        writer.footer(&mut around);
        if writer.terminator().is_none() || !around.is_empty() || self.has_head() {
            mistakes.push(format!(
                "{} can't be appended to as {}: that takes a framing that ends each record by the same bytes and has \
                 neither header nor footer, such as lines; choose one, or use `create`",
                self.path.display(),
                self.framing.name()
            ));
        }
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Output({}, {:?})", self.describe(), self.begin)
    }
}
