//! When serving stops: an e-Shiryaev–Roberts detector per band, another over all bands, and a run of wrong labels.
//!
//! The detector over all bands needs no weights: while every band keeps its budget, so does every label, whatever its
//! share. It notices a drift of the whole class many times sooner than the bands each for itself.

use serde::{Deserialize, Serialize};

use super::betting;
use super::grid::BANDS;

/// A band at its budget raises a false alarm once in 2 000 labels on average, at most.
const CLOSE_AT: u32 = 2_000 * PARTS;
/// Detectors are kept in thousandths, rounded up, so that JSON keeps them exactly.
const PARTS: u32 = 1_000;
/// This many wrong labels in a row close the class. Five close a single band at any budget, because the detector grows
/// by the same factor whatever the budget; spread over bands no detector would notice.
const RUN: u8 = 5;

/// What is watched while open.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Watch {
    alarms: [u32; BANDS],
    all: u32,
    run: u8,
    /// Hits drawn since the last opening.
    pub(super) drawn: u32,
}

/// What a label says about serving.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alarm {
    /// Nothing.
    None,
    /// This band and all below it must close.
    Band,
    /// All must close.
    Class,
}

impl Watch {
    /// Bands that open anew are watched from nothing.
    pub(super) fn open(&mut self, bands: std::ops::RangeInclusive<u8>) {
        for band in bands {
            if let Some(alarm) = self.alarms.get_mut(usize::from(band)) {
                *alarm = 0;
            }
        }
        *self = Self {
            alarms: self.alarms,
            ..Self::default()
        };
    }

    /// Takes the label of a served pair.
    pub(super) fn label(&mut self, band: u8, is_wrong: bool, budget: f64) -> Alarm {
        self.run = if is_wrong { self.run.saturating_add(1) } else { 0 };
        let Some(alarm) = self.alarms.get_mut(usize::from(band)) else {
            return Alarm::None;
        };
        *alarm = next(*alarm, is_wrong, budget);
        self.all = next(self.all, is_wrong, budget);
        let said = if self.run >= RUN {
            Alarm::Class
        } else if *alarm >= CLOSE_AT {
            Alarm::Band
        } else if self.all >= CLOSE_AT {
            Alarm::Class
        } else {
            return Alarm::None;
        };
        // What stays open is another population.
        (self.all, self.run) = (0, 0);
        said
    }
}

/// A detector after one more label.
fn next(parts_before: u32, is_wrong: bool, budget: f64) -> u32 {
    let before = f64::from(parts_before) / f64::from(PARTS);
    parts(betting::alarm(before, is_wrong, budget))
}

/// Whole thousandths, rounded up and capped where the band is closed anyway.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between 0 and CLOSE_AT, and a cast saturates"
)]
fn parts(alarm: f64) -> u32 {
    ((alarm * f64::from(PARTS)).ceil() as u32).min(CLOSE_AT)
}
