//! Declaring opens nothing, reads no environment and starts no task; and what a closure's argument says is enough.

use std::path::Path;

use millstream::prelude::*;
use millstream::xml::Node;

