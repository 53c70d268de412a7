//! Durations as policies write them: the Gateway API's form, such as `168h`, `1h30m` or `25ms`.

/// What a duration looks like: one to four runs of at most five digits with a unit of `h`, `m`, `s` or `ms`.
pub const PATTERN: &str = "^([0-9]{1,5}(h|m|s|ms)){1,4}$";
/// Most characters of a duration, as [`PATTERN`] allows.
pub const MAX_LENGTH: usize = 28;
