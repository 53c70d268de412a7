//! Where the provider would look and write for one prompt with the client's own marks; holds digests, no text.

use std::hash::{DefaultHasher, Hash, Hasher};

use llmcache_provider::prompt::{Block, Prompt, Site, Ttl};
use llmcache_provider::{Provider, models};

use super::{Key, Life, Probe, Regime, Stop};

/// Digest of one prefix, keyed by the scope of the provider's own cache (credential and upstream).
pub type PrefixDigest = [u8; 16];

/// The places of one prompt; at most 4 × 20 digests (128 for a provider that marks by itself).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outline {
    pub(super) total: u64,
    pub(super) min_tokens: u64,
    pub(super) regime: Regime,
    pub(super) probes: Vec<Probe>,
}

/// Anthropic: a mark and the 19 blocks before it.
const LOOK_BACK: usize = 20;
const MAX_MARKS: usize = 4;
/// OpenAI from GPT-5.6 on: the latest 80 breakpoints.
const EXACT_LOOK_BACK: usize = 80;
/// OpenAI before: enough block ends of the tail for any conversation whose prefix is worth a read.
const PREFIX_LOOK_BACK: usize = 128;
const PREFIX_STEP: u64 = 128;

impl Outline {
    /// Absent when the model has no prompt cache or is not known; then nothing is read or written.
    ///
    /// `digest` is asked, in no particular order, for the prefix that ends with a block, by the block's index.
    pub fn new(
        provider: Provider,
        model: &str,
        prompt: &Prompt,
        mut digest: impl FnMut(usize) -> PrefixDigest,
    ) -> Option<Self> {
        let facts = models::facts(provider, model)?;
        let mut hasher = DefaultHasher::new();
        (provider, &facts.id).hash(&mut hasher);
        let model = hasher.finish();
        let mut probe = |life: Life, last: usize, look_back: usize| {
            let stop = |block: usize| Stop {
                end: prompt.blocks[block].end as u64,
                key: Key {
                    prefix: digest(block),
                    model,
                },
            };
            let first = (last + 1).saturating_sub(look_back);
            Probe {
                life,
                stops: (first..=last).rev().map(stop).collect(),
            }
        };
        let newest = prompt.blocks.len().checked_sub(1);
        let (regime, probes) = match provider {
            Provider::Anthropic => (
                Regime::Marks,
                marks(prompt)
                    .map(|(block, ttl)| probe(ttl.into(), block, LOOK_BACK))
                    .collect(),
            ),
            Provider::OpenAi if is_exact(&facts.id) => (
                Regime::Marks,
                newest
                    .map(|block| probe(Life::Minutes30, block, EXACT_LOOK_BACK))
                    .into_iter()
                    .collect(),
            ),
            Provider::OpenAi => (
                Regime::Prefix { step: PREFIX_STEP },
                newest
                    .map(|block| probe(Life::Day, block, PREFIX_LOOK_BACK))
                    .into_iter()
                    .collect(),
            ),
        };
        Some(Self {
            total: prompt.text.len() as u64,
            min_tokens: facts.min_cacheable_tokens?,
            regime,
            probes,
        })
    }

    /// Prompt tokens of a prefix: its share of the bytes, rounded down.
    pub(super) fn tokens(&self, end: u64, prompt_tokens: u64) -> u64 {
        let share = u128::from(prompt_tokens) * u128::from(end) / u128::from(self.total.max(1));
        u64::try_from(share).unwrap_or(u64::MAX).min(prompt_tokens)
    }
}

impl From<Ttl> for Life {
    fn from(ttl: Ttl) -> Self {
        match ttl {
            Ttl::FiveMinutes => Self::Minutes5,
            Ttl::OneHour => Self::Hour,
        }
    }
}

/// The client's marks; the top-level one stands on the last block that can carry it.
fn marks(prompt: &Prompt) -> impl Iterator<Item = (usize, Ttl)> {
    let on_blocks = prompt
        .blocks
        .iter()
        .enumerate()
        .filter_map(|(at, block)| Some((at, block.mark?)));
    let can_carry = |block: &Block| block.mark.is_some() || block.site != Site::None;
    let automatic = prompt.top_level_mark.zip(prompt.blocks.iter().rposition(can_carry));
    let automatic = automatic
        .filter(|(_, at)| prompt.blocks[*at].mark.is_none())
        .map(|(ttl, at)| (at, ttl));
    on_blocks.chain(automatic).take(MAX_MARKS)
}

/// Whether the model matches exactly at breakpoints and charges for writes (GPT-5.6 and later).
fn is_exact(id: &str) -> bool {
    let version = id.strip_prefix("gpt-").and_then(|rest| rest.split('-').next());
    let mut numbers = version
        .unwrap_or_default()
        .split('.')
        .map(|part| part.parse::<u32>().unwrap_or_default());
    let version = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    version >= (5, 6)
}
