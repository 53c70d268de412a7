//! How long ago something was, as kubectl writes it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};

/// The time since an object was made, such as `4m`; `-` where nothing says.
pub(crate) fn age(created: Option<&Time>, now_ms: i64) -> String {
    created.map_or_else(|| "-".into(), |time| written(now_ms - time.0.as_millisecond()))
}

/// The time since an event, such as `4m`.
pub(crate) fn since(time: Option<&MicroTime>, now_ms: i64) -> String {
    time.map_or_else(|| "-".into(), |time| written(now_ms - time.0.as_millisecond()))
}

fn written(milliseconds: i64) -> String {
    let seconds = (milliseconds / 1_000).max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{minutes}m"),
        7_200..172_800 => format!("{hours}h"),
        _ => format!("{days}d"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_one_unit() {
        for (seconds, expected) in [
            (-5, "0s"),
            (119, "119s"),
            (120, "2m"),
            (7_199, "119m"),
            (7_200, "2h"),
            (172_800, "2d"),
        ] {
            assert_eq!(written(seconds * 1_000), expected);
        }
        assert_eq!(age(None, 0), "-");
    }
}
