//! The cosine of two unit vectors, and its form past the index.

use super::DIMENSIONS;

const LANES: usize = 16;

/// Their product; the lanes are independent sums, which is what lets the compiler use wide registers.
pub(super) fn dot(a: &[f32], b: &[f32; DIMENSIONS]) -> f32 {
    let mut sums = [0.0_f32; LANES];
    for (a, b) in a.chunks_exact(LANES).zip(b.chunks_exact(LANES)) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    sums.iter().sum()
}

/// Ten-thousandths, floored, from 0 to 10 000; what is no number is 0.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float between 0 and 10 000 is cut to its whole part, which is the floor"
)]
pub(super) fn similarity(cosine: f32) -> u16 {
    (f64::from(cosine) * 10_000.0).clamp(0.0, 10_000.0) as u16
}
