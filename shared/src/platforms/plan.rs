//! What the configured platforms accept: plain data, so that recording a deal needs no credentials.

use chrono::{DateTime, TimeDelta, Utc};

use super::Operation;
use crate::deals::{Stage, Stages};
use crate::identity::Hash;

/// What one platform accepts.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What `conversion_queue.platform` says.
    pub platform: &'static str,
    /// The stages it has a conversion action for.
    pub stages: Vec<Stage>,
    /// From a click to the first upload.
    pub click_hold: TimeDelta,
    /// How long a click counts.
    pub click_window: TimeDelta,
    /// How long hashed e-mail and phone count, from the form on.
    pub user_data_window: TimeDelta,
    /// The corrections it accepts.
    pub corrections: Vec<Correction>,
}

/// A correction that a platform accepts.
#[derive(Clone, Copy, Debug)]
pub struct Correction {
    pub operation: Operation,
    /// What `conversion_queue.platform` says of such rows.
    pub lane: &'static str,
    /// How long after the conversion it accepts them.
    pub window: TimeDelta,
}

/// The lane in which the uploads of another one are corrected.
#[derive(Clone, Copy, Debug)]
pub struct CorrectionLane {
    /// The lane of the uploads.
    pub of: &'static str,
    /// What `conversion_queue.platform` says of the corrections.
    pub lane: &'static str,
    /// How long after the conversion the platform accepts them.
    pub window: TimeDelta,
}

/// From when until when a conversion counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// From now on if none.
    pub from: Option<DateTime<Utc>>,
    /// For ever if none.
    pub until: Option<DateTime<Utc>>,
}

impl Plan {
    /// When a conversion counts whose click was at `clicked_at`, if there was one, and whose form came at `lead_at`.
    #[must_use]
    pub fn window(&self, clicked_at: Option<DateTime<Utc>>, lead_at: DateTime<Utc>) -> Window {
        Window {
            from: clicked_at.and_then(|at| at.checked_add_signed(self.click_hold)),
            until: match clicked_at {
                Some(at) => at.checked_add_signed(self.click_window),
                None => lead_at.checked_add_signed(self.user_data_window),
            },
        }
    }
}

/// The stages there are, and what each of the configured platforms accepts.
#[derive(Clone, Debug, Default)]
pub struct Plans {
    pub stages: Stages,
    pub platforms: Vec<Plan>,
}

impl Plans {
    /// Another one whenever a platform accepts something else than before.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let accepted = self.platforms.iter().map(|plan| {
            let mut stages: Vec<_> = plan.stages.iter().map(Stage::as_str).collect();
            stages.sort_unstable();
            format!("{}: {}", plan.platform, stages.join(", "))
        });
        let mut accepted: Vec<_> = accepted.collect();
        accepted.sort_unstable();
        Hash::of(accepted.join("; ")).as_str()[..16].to_owned()
    }

    /// Of the platforms that accept conversions of this stage.
    pub fn wanting(&self, stage: &Stage) -> impl Iterator<Item = &Plan> {
        self.platforms.iter().filter(move |plan| plan.stages.contains(stage))
    }

    /// What `conversion_queue.platform` may say: the lanes of platforms that accept any stage, with their corrections.
    #[must_use]
    pub fn lanes(&self) -> Vec<&'static str> {
        let used = self.platforms.iter().filter(|plan| !plan.stages.is_empty());
        used.flat_map(|plan| std::iter::once(plan.platform).chain(plan.corrections.iter().map(|it| it.lane))).collect()
    }

    /// The lanes of this correction, of each platform that accepts it.
    #[must_use]
    pub fn corrections(&self, operation: Operation) -> Vec<CorrectionLane> {
        let of = |plan: &Plan| plan.corrections.iter().find(|it| it.operation == operation).copied();
        let lanes = self.platforms.iter().filter_map(|plan| Some((plan.platform, of(plan)?)));
        lanes.map(|(of, Correction { lane, window, .. })| CorrectionLane { of, lane, window }).collect()
    }

    /// What `conversion_queue.platform` says of these corrections.
    #[must_use]
    pub fn correction_lanes(&self, operation: Operation) -> Vec<&'static str> {
        self.corrections(operation).iter().map(|it| it.lane).collect()
    }
}
