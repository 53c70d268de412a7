//! The fixed thresholds that evidence is kept for, and the bands between them.
//!
//! Fixed before any label is seen: a threshold chosen by its labels would need a dearer test.

/// The strictest threshold.
const STRICTEST: u16 = 9_900;
/// How many steps lead from the strictest threshold down to the floor.
const STEPS: u16 = 15;
/// At most this many thresholds.
pub(super) const BANDS: usize = STEPS as usize + 1;

/// The thresholds of a floor, strictest first; the last is the floor. Where steps are too small to tell apart
/// there are fewer of them.
pub fn thresholds(floor: u16) -> impl Iterator<Item = u16> {
    let span = u32::from(STRICTEST - floor.min(STRICTEST));
    let steps = u32::from(STEPS);
    let threshold =
        move |step: u32| STRICTEST - u16::try_from((2 * span * step + steps) / (2 * steps)).unwrap_or(STRICTEST);
    (0..=steps)
        .filter(move |&step| step == 0 || threshold(step) < threshold(step - 1))
        .map(threshold)
}

/// Index of the band that holds this similarity: band `i` lies between threshold `i` and the next stricter one.
/// `None` = below the floor.
pub(super) fn band(floor: u16, similarity: u16) -> Option<u8> {
    let at = thresholds(floor).position(|threshold| similarity >= threshold)?;
    u8::try_from(at).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_from_the_strictest_threshold_to_the_floor() {
        let grid: Vec<u16> = thresholds(8_000).collect();
        assert_eq!(grid.len(), 16);
        assert_eq!(&grid[..3], &[9_900, 9_773, 9_647]);
        assert_eq!(grid.last(), Some(&8_000));
        assert!(thresholds(9_900).eq([9_900]));
        assert!(thresholds(9_898).eq([9_900, 9_899, 9_898]));
    }

    #[test]
    fn a_band_reaches_up_to_the_stricter_threshold() {
        assert_eq!(band(8_000, 10_000), Some(0));
        assert_eq!(band(8_000, 9_900), Some(0));
        assert_eq!(band(8_000, 9_899), Some(1));
        assert_eq!(band(8_000, 8_000), Some(15));
        assert_eq!(band(8_000, 7_999), None);
    }
}
