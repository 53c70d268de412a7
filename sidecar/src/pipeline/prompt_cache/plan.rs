//! Which places of a prompt get a mark; pure.

use llmcache_provider::prompt::{Block, Level, Prompt, Role, Site, Ttl};
use llmcache_provider::request::Request;
use llmcache_provider::splice::Splice;

/// The provider refuses a fifth mark, the client's own and the top-level one included.
const MAX_MARKS: usize = 4;

/// What bounds the choice.
pub(super) struct Limits {
    /// Whether a system prompt written as a string may become a block.
    pub may_wrap_system: bool,
    /// Below it the provider caches nothing.
    pub minimum_tokens: u64,
    /// Life of our marks.
    pub ttl: Ttl,
}

/// A place for a mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Anchor {
    /// Offset in the prompt's text where the marked prefix ends.
    pub end: usize,
    place: Place,
    /// Lower is chosen first when marks run out.
    rank: u8,
    ttl: Ttl,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Site(Site),
    TopLevel,
}

/// All places worth a mark, in prompt order.
pub(super) fn anchors(prompt: &Prompt, limits: &Limits) -> Vec<Anchor> {
    let tail_message = prompt
        .blocks
        .iter()
        .rev()
        .find(|block| block.level == Level::Messages)
        .map(|block| block.message);
    let mut anchors: Vec<Anchor> = [
        of_level(prompt, Level::Tools, 3, false),
        of_level(prompt, Level::System, 1, limits.may_wrap_system),
        tail_message.and_then(|tail| previous_turn(prompt, tail)),
        tail_message.and_then(|tail| tail_of(prompt, tail)),
    ]
    .into_iter()
    .flatten()
    .filter(|anchor| (anchor.end as u64) / 4 >= limits.minimum_tokens)
    .map(|anchor| Anchor {
        ttl: limits.ttl,
        ..anchor
    })
    .collect();
    anchors.dedup_by_key(|anchor| anchor.end);
    anchors
}

/// The anchors that fit beside the client's own marks: not more than four in all, and every 1 h mark before any 5 m
/// mark, as the provider demands.
pub(super) fn choose(prompt: &Prompt, mut anchors: Vec<Anchor>) -> Vec<Anchor> {
    let end_of = |ttl: Ttl| {
        prompt
            .blocks
            .iter()
            .filter(move |block| block.mark == Some(ttl))
            .map(|block| block.end)
    };
    let last_hour = match prompt.top_level_mark {
        Some(Ttl::OneHour) => prompt.text.len(),
        _ => end_of(Ttl::OneHour).max().unwrap_or(0),
    };
    let first_short = end_of(Ttl::FiveMinutes).min().unwrap_or(usize::MAX);
    for anchor in &mut anchors {
        if anchor.end > first_short {
            anchor.ttl = Ttl::FiveMinutes;
        }
    }
    let automatic = automatic(prompt);
    anchors.retain(|anchor| {
        let comes_late_enough = anchor.ttl == Ttl::OneHour || anchor.end > last_hour;
        comes_late_enough && Some(anchor.end) != automatic
    });
    let taken = prompt.client_marks + usize::from(prompt.top_level_mark.is_some());
    anchors.sort_by_key(|anchor| anchor.rank);
    anchors.truncate(MAX_MARKS.saturating_sub(taken));
    anchors.sort_by_key(|anchor| anchor.end);
    anchors
}

/// Where the client's top-level mark falls: the provider refuses a second life there, and a second mark is no use.
fn automatic(prompt: &Prompt) -> Option<usize> {
    prompt.top_level_mark?;
    let last = prompt.blocks.iter().rev().find(|block| block.site != Site::None);
    last.map(|block| block.end)
}

impl Anchor {
    fn new(end: usize, place: Place, rank: u8) -> Self {
        Self {
            end,
            place,
            rank,
            ttl: Ttl::FiveMinutes,
        }
    }

    /// The change to the body.
    pub(super) fn splice(&self, request: &Request) -> Option<Splice> {
        match self.place {
            Place::Site(site) => Some(request.set_mark(site, self.ttl)),
            Place::TopLevel => request.set_top_level_mark(self.ttl),
        }
    }
}

/// The last block of the tools or of the system prompt, unless the client marked that level itself.
fn of_level(prompt: &Prompt, level: Level, rank: u8, may_wrap: bool) -> Option<Anchor> {
    let blocks = || prompt.blocks.iter().filter(|block| block.level == level);
    if blocks().any(|block| block.mark.is_some()) {
        return None;
    }
    let last = blocks().next_back()?;
    match last.site {
        Site::None => None,
        Site::String(_) if !may_wrap => None,
        site => Some(Anchor::new(last.end, Place::Site(site), rank)),
    }
}

/// The last block of the conversation that takes a mark. A prefill by the assistant differs next turn.
fn tail_of(prompt: &Prompt, tail: usize) -> Option<Anchor> {
    if prompt.top_level_mark.is_some() {
        return None;
    }
    let last = last_of_message(prompt, tail)?;
    match (last.role, last.mark, last.site) {
        (Role::Assistant, _, _) | (_, Some(_), _) | (_, _, Site::None) => None,
        (_, None, Site::Block(_)) => Some(Anchor::new(last.end, Place::Site(last.site), 0)),
        (_, None, Site::String(_)) => Some(Anchor::new(last.end, Place::TopLevel, 0)),
    }
}

/// Where the previous request had its tail: the last block of the user's turn before.
fn previous_turn(prompt: &Prompt, tail: usize) -> Option<Anchor> {
    let is_user = |block: &&Block| block.level == Level::Messages && block.role == Role::User;
    let turn = prompt
        .blocks
        .iter()
        .rev()
        .filter(is_user)
        .map(|block| block.message)
        .find(|message| *message < tail)?;
    let last = last_of_message(prompt, turn)?;
    (last.mark.is_none() && matches!(last.site, Site::Block(_)))
        .then(|| Anchor::new(last.end, Place::Site(last.site), 2))
}

/// The last block of a message that takes a mark or has one; none of what follows it can end a prefix.
fn last_of_message(prompt: &Prompt, message: usize) -> Option<&Block> {
    let of_message = |block: &&Block| block.level == Level::Messages && block.message == message;
    let mut blocks = prompt.blocks.iter().rev().filter(of_message);
    blocks.find(|block| block.site != Site::None || block.mark.is_some())
}
