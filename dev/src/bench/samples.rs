//! Durations, and what they say together.

use std::time::Duration;

/// Durations of the same thing, done many times.
#[derive(Default)]
pub struct Samples(Vec<Duration>);

impl Samples {
    pub fn push(&mut self, sample: Duration) {
        self.0.push(sample);
    }

    pub fn extend(&mut self, samples: impl IntoIterator<Item = Duration>) {
        self.0.extend(samples);
    }

    /// The duration in milliseconds that this share of them doesn't exceed, by the nearest rank; NaN without any.
    pub fn quantile(&mut self, share: f64) -> f64 {
        self.0.sort_unstable();
        #[expect(clippy::cast_precision_loss, reason = "there are not that many")]
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank is a small whole number")]
        let rank = (self.0.len() as f64 * share).ceil() as usize;
        self.0.get(rank.saturating_sub(1)).map_or(f64::NAN, |sample| sample.as_secs_f64() * 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_samples_of_the_nearest_rank() {
        let mut samples = Samples::default();
        samples.extend((1..=200).rev().map(Duration::from_millis));
        let quantiles = [0.5, 0.99, 1.0].map(|share| samples.quantile(share));
        assert_eq!(quantiles.map(|ms| format!("{ms:.0}")), ["100", "198", "200"]);
        assert!(Samples::default().quantile(0.5).is_nan());
    }
}
