//! [`Files`]: which files, and how they are read.

use std::path::PathBuf;
use std::sync::Arc;

use millstream_core::contracts::{Commits, Compression, Ends, Framing, Places, SourceFactory, SourceTraits, Where};

use super::source::FileSource;

/// The largest block that may be asked for, in bytes.
const LARGEST_BLOCK: usize = 1 << 28;

/// Local files, read one after the other: `Files::new(["a.log", "b.log"], framing)`.
#[derive(Clone)]
pub struct Files {
    pub(super) paths: Arc<[PathBuf]>,
    pub(super) framing: Arc<dyn Framing>,
    pub(super) unpack: Unpack,
    pub(super) block_bytes: usize,
    pub(super) batch_records: usize,
}

/// How files are decompressed.
#[derive(Clone)]
pub(super) enum Unpack {
    /// Not at all.
    Never,
    /// All of them, by this.
    Always(Arc<dyn Compression>),
    /// By the first of these that a file's beginning looks like, if any.
    Matching(Arc<[Arc<dyn Compression>]>),
}

impl Files {
    /// The records that `framing` finds in the files at `paths`, in this order. A path is taken as it is: `-` and `*`
    /// mean nothing special. A path may be given twice, and is then read twice.
    pub fn new(paths: impl IntoIterator<Item = impl Into<PathBuf>>, framing: impl Framing) -> Self {
        Self {
            paths: paths.into_iter().map(Into::into).collect(),
            framing: Arc::new(framing),
            unpack: Unpack::Never,
            block_bytes: 256 << 10,
            batch_records: 4_096,
        }
    }

    /// All files are compressed like this. Default: none is. A compressed file is read from its beginning when a run
    /// resumes in it, and its size is not known beforehand.
    #[must_use]
    pub fn compression(mut self, compression: impl Compression) -> Self {
        self.unpack = Unpack::Always(Arc::new(compression));
        self
    }

    /// Files may be compressed: each is read by the first of these whose mark it begins with, and as it is if it has
    /// none of them. Default: none is.
    #[must_use]
    pub fn compressions(mut self, known: impl IntoIterator<Item = Arc<dyn Compression>>) -> Self {
        self.unpack = Unpack::Matching(known.into_iter().collect());
        self
    }

    /// How many bytes are read at once; 256 KiB by default, which stays in a core's cache. Larger ones mean fewer calls
    /// of the system and more memory in flight. A record that is longer than a block makes the block grow.
    #[must_use]
    pub fn block_bytes(mut self, bytes: usize) -> Self {
        self.block_bytes = bytes;
        self
    }

    /// The most records in a batch; 4,096 by default, so that for most records the block is what ends a batch: lines of
    /// 120 bytes are copied a fifth faster in whole blocks than 1,024 at a time. Fewer mean more work by the batch, more
    /// mean that stages wait longer for each other.
    #[must_use]
    pub fn batch_records(mut self, records: usize) -> Self {
        self.batch_records = records;
        self
    }
}

impl SourceFactory for Files {
    type Source = FileSource;

    fn traits(&self) -> SourceTraits {
        SourceTraits {
            kind: "FILE".into(),
            input: self.input(),
            identity: None,
            ends: Ends::Bounded,
            commits: Commits::Optimistic,
            keeps_positions: false,
            server: None,
            places: Places::Exclusive(Where::First),
            unacknowledged: None,
            resumable: true,
            visibility: None,
            blocking: true,
        }
    }

    fn check(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.paths.is_empty() {
            wrong.push("no file to read: give at least one path".to_owned());
        }
        if self.paths.iter().any(|path| path.as_os_str().is_empty()) {
            wrong.push("an empty path: give the path of a file".to_owned());
        }
        if self.block_bytes == 0 || self.block_bytes > LARGEST_BLOCK {
            let found = self.block_bytes;
            wrong.push(format!("blocks of {found} bytes: expected 1 to {LARGEST_BLOCK}; leave it out for 256 KiB"));
        }
        if self.batch_records == 0 {
            wrong.push("batches of 0 records: expected at least 1; leave it out for 4,096".to_owned());
        }
        wrong
    }

    fn reads(&self) -> Vec<PathBuf> {
        self.paths.to_vec()
    }

    fn make(&self) -> FileSource {
        FileSource::new(self.clone())
    }
}

impl Files {
    fn input(&self) -> String {
        let paths: Vec<_> = self.paths.iter().map(|path| path.display().to_string()).collect();
        let mut input = format!("{}; {}", paths.join(", "), self.framing.name());
        match &self.unpack {
            Unpack::Never => {}
            Unpack::Always(compression) => input.push_str(&format!("; {}", compression.name())),
            Unpack::Matching(known) => {
                let names: Vec<_> = known.iter().map(|compression| compression.name()).collect();
                input.push_str(&format!("; {} where a file is", names.join(" or ")));
            }
        }
        input
    }
}
