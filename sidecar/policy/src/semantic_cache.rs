//! Stage *semantic cache*: reuse of the answer to an equivalent question, inside a budget of wrong answers.

use serde::{Deserialize, Serialize};

use crate::Mode;

/// Whether equivalent questions share an answer, and how much error that may bring.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SemanticCache {
    /// `Observe` gathers evidence and serves nothing.
    pub mode: Mode,
    /// Budget of wrong answers among those served, in ten-thousandths.
    pub max_false_hit_rate: u16,
    /// A model that judges drawn pairs; none = feedback and comparison alone are evidence.
    pub judge: Option<Judge>,
}

/// A model that judges whether an answer fits a question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judge {
    /// Model, of the provider whose requests it judges.
    pub model: String,
    /// Share of pairs that are drawn for it, in ten-thousandths.
    pub sample: u16,
}

impl SemanticCache {
    /// A layer that does not look: what a policy without the block means.
    pub fn disabled() -> Self {
        Self {
            mode: Mode::Disabled,
            max_false_hit_rate: 100,
            judge: None,
        }
    }
}

impl Default for SemanticCache {
    fn default() -> Self {
        Self::disabled()
    }
}
