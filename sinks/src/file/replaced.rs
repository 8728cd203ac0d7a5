//! [`Replacement`]: an output that is written under another name and put in its place at the end.

use std::fs::{self, File, OpenOptions};
use std::io;

use millstream_core::contracts::{Cause, Error, Result};

use super::place::{Found, Place, failed};

/// The file that will replace an output. It is removed if it never does.
#[derive(Debug)]
pub(super) struct Replacement {
    place: Place,
    done: bool,
}

impl Replacement {
    /// Begins it, over what a killed run may have left of another. The output must be locked.
    pub(super) fn begin(place: &Place) -> Result<(Self, File)> {
        if place.positions().exists() {
            return Err(kept_by_positions(place));
        }
        let begun = |file: File| {
            if let Ok(Found::File(_)) = place.found() {
                // A file that may not be written may not be replaced either.
                let old = OpenOptions::new().write(true).open(place.output())?;
                file.set_permissions(old.metadata()?.permissions())?;
            }
            Ok(file)
        };
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(place.partial());
        let replacement = Self { place: place.clone(), done: false };
        let file = file.and_then(begun).map_err(|error| failed(place.output(), "opened", error))?;
        Ok((replacement, file))
    }

    /// Puts it in the output's place, all at once. It must be synced.
    pub(super) fn put(&mut self) -> io::Result<()> {
        fs::rename(self.place.partial(), self.place.output())?;
        self.done = true;
        self.place.sync_folder()
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if !self.done {
            // What can't be removed is overwritten by the next run.
            let _ = fs::remove_file(self.place.partial());
        }
    }
}

/// Replacing an output that another run keeps exactly-once would look to that run as if its output were lost.
pub(super) fn kept_by_positions(place: &Place) -> Error {
    let (output, positions) = (place.output().display(), place.positions());
    let message = format!(
        "{output} is written exactly-once by runs with a state folder, and this run has none or appends: give it that \
         state folder, name another output, or remove {} to give up the exactly-once output",
        positions.display()
    );
    Error::new(Cause::State, message)
}
