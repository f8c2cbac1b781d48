//! `schema`: what may stand in a configuration, for editors.

use crate::cli::Schema;
use crate::schema::{self, Extent};

use super::Done;

/// Prints the schema.
pub fn schema(arguments: &Schema) -> Done {
    let extent = if arguments.part { Extent::Part } else { Extent::Whole };
    Done::json(&schema::schema(extent), 0)
}
