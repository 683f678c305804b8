//! The names under which tasks read rows of many shards: what a row shows, and which classes it is of.

use mlsm_data::Part;

/// What a row shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The whole photo, or what a method without levels looks at instead.
    Image,
    /// The object in it.
    Object,
}

/// Returns the port for the rows of one side and part; each item is a shard, its key the class.
pub const fn rows(side: Side, part: Part) -> &'static str {
    match (side, part) {
        (Side::Image, Part::Base) => "image-base",
        (Side::Image, Part::Val) => "image-val",
        (Side::Image, Part::Novel) => "image-novel",
        (Side::Object, Part::Base) => "object-base",
        (Side::Object, Part::Val) => "object-val",
        (Side::Object, Part::Novel) => "object-novel",
    }
}
